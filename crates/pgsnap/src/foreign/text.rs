//! The text of a plain dump: checked at both ends, and guarded on its way to psql.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tokio::sync::mpsc;

use crate::archive::read_error;
use crate::error::{Error, Result};
use crate::foreign::OpenDump;
use crate::progress::Progress;
use crate::random::random_digits;

const FIRST_COMMENT: &[u8] = b"-- PostgreSQL database dump";
const TRAILER: &[u8] = b"-- PostgreSQL database dump complete";
const TRANSACTION_TIMEOUT: &[u8] = b"SET transaction_timeout = 0;";
/// The end of the text that is held back until it is known to be the end.
const HELD_BACK: usize = 4096;

/// A piece of what psql is to read.
pub(crate) enum Portion {
    /// There is more to come.
    Middle(Bytes),
    /// The end of the dump, which was seen to be one.
    Last(Bytes),
}

/// The guard around a dump. Its author can know neither word.
#[derive(Clone)]
pub(crate) struct Guard {
    /// The key of our `\restrict`: psql then refuses every meta-command (CVE-2025-8714).
    key: String,
    /// The text that psql is asked to print last. It does so only if it has read everything before
    /// as intended: not as rows of a COPY and not as a quoted text.
    proof: String,
    /// True if the server knows `transaction_timeout`, which `pg_dump` 17 and newer set.
    has_transaction_timeout: bool,
}

impl Guard {
    pub(crate) fn new(has_transaction_timeout: bool) -> Result<Self> {
        Ok(Self { key: random_digits()?, proof: random_digits()?, has_transaction_timeout })
    }

    /// Returns true if this is what psql prints after it has come to the end.
    pub(super) fn is_proven_by(&self, output: &[u8]) -> bool {
        let mut lines = output.rsplit(|&byte| byte == b'\n').map(without_return);
        lines.find(|line| !line.is_empty()) == Some(self.proof.as_bytes())
    }

    /// Makes sure the text is a dump and puts it under our own `\restrict`, in place of the dump's.
    /// A dump can only pretend to protect itself: whoever wrote it knows its key.
    fn begin(&self, text: &[u8], progress: &dyn Progress) -> Result<Vec<u8>> {
        let mut guarded = format!("\\restrict {}\n", self.key).into_bytes();
        let mut is_dump = false;
        let mut is_before_statements = true;
        let mut rest = text;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            let content = without_return(&line[..end]);
            let mut is_kept = true;
            if content.is_empty() || content.starts_with(b"--") {
                is_dump |= content == FIRST_COMMENT;
            } else if is_before_statements && is_restriction(content, b"\\restrict ") {
                is_kept = false;
            } else if content.starts_with(b"SET ") && content.ends_with(b";") {
                is_before_statements = false;
                is_kept = self.has_transaction_timeout || content != TRANSACTION_TIMEOUT;
                if !is_kept {
                    progress.note(
                        "the dump sets transaction_timeout, which this server does not know; left out",
                    );
                }
            } else {
                break;
            }
            if is_kept {
                guarded.extend_from_slice(line);
            }
            rest = after;
        }
        if !is_dump {
            return Err(Error::ForeignDump {
                what: "it does not begin like a dump of pg_dump".into(),
            });
        }
        guarded.extend_from_slice(rest);
        Ok(guarded)
    }

    /// Makes sure the text ends as a dump does, and has psql prove that it came here.
    fn end(&self, mut text: Vec<u8>) -> Result<Vec<u8>> {
        let end = trailer_end(&text).ok_or_else(|| Error::ForeignDump {
            what: "it ends before its end: the last line of pg_dump is missing".into(),
        })?;
        text.truncate(end);
        text.extend_from_slice(format!("\nSELECT '{}';\n", self.proof).as_bytes());
        Ok(text)
    }
}

/// Returns the end of the trailer, if it is a line of its own with nothing of meaning after it.
fn trailer_end(text: &[u8]) -> Option<usize> {
    let mut end = text.len();
    loop {
        // A line without a line feed before it may be the rest of a longer one.
        let start = memchr::memrchr(b'\n', &text[..end])? + 1;
        let line = without_return(&text[start..end]);
        if line == TRAILER {
            return Some(end);
        }
        if !(line.is_empty() || line == b"--" || is_restriction(line, b"\\unrestrict ")) {
            return None;
        }
        end = start - 1;
    }
}

fn is_restriction(line: &[u8], command: &[u8]) -> bool {
    line.strip_prefix(command)
        .is_some_and(|key| !key.is_empty() && key.iter().all(u8::is_ascii_alphanumeric))
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Reads the dump to its end and sends it in portions; the last one only if it ends as a dump does.
pub(crate) fn send(
    open: &OpenDump,
    guard: &Guard,
    progress: &Arc<dyn Progress>,
    sender: &mpsc::Sender<Result<Portion>>,
) {
    if let Err(error) = try_send(open, guard, progress, sender) {
        // Nobody listens any more if psql ended first; it has said why.
        let _ = sender.blocking_send(Err(error));
    }
}

fn try_send(
    open: &OpenDump,
    guard: &Guard,
    progress: &Arc<dyn Progress>,
    sender: &mpsc::Sender<Result<Portion>>,
) -> Result<()> {
    const PORTION: usize = 256 << 10;
    let mut reader = decompressed(open().map_err(read_error)?)?;
    let mut held = guard.begin(&read(&mut reader, PORTION)?, progress.as_ref())?;
    loop {
        let more = read(&mut reader, PORTION)?;
        if more.is_empty() {
            let last = Portion::Last(Bytes::from(guard.end(held)?));
            let _ = sender.blocking_send(Ok(last));
            return Ok(());
        }
        held.extend_from_slice(&more);
        let end = held.split_off(held.len().saturating_sub(HELD_BACK));
        let middle = Portion::Middle(Bytes::from(std::mem::replace(&mut held, end)));
        if sender.blocking_send(Ok(middle)).is_err() {
            return Ok(());
        }
    }
}

fn read(reader: &mut dyn Read, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(length as u64).read_to_end(&mut bytes).map_err(read_error)?;
    Ok(bytes)
}

fn decompressed(mut reader: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let magic = read(&mut reader, 5)?;
    let gzipped = magic.starts_with(&[0x1f, 0x8b]);
    if magic == b"PGDMP" {
        return Err(Error::ForeignDump {
            what: "it is in pg_dump's custom format; use pg_restore".into(),
        });
    }
    let whole = Read::chain(io::Cursor::new(magic), reader);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::NoProgress;

    fn begun(head: &str, has_transaction_timeout: bool) -> Result<String> {
        let guard = Guard::new(has_transaction_timeout).unwrap();
        let text = String::from_utf8(guard.begin(head.as_bytes(), &NoProgress)?).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(first, format!("\\restrict {}", guard.key));
        Ok(rest.to_owned())
    }

    const HEAD: &str = "--\n-- PostgreSQL database dump\n--\n\n";

    #[test]
    fn only_a_dump_is_taken_for_one() {
        assert!(begun("hello\n", true).is_err());
        assert!(begun("SELECT 1;\n-- PostgreSQL database dump\n", true).is_err());
        assert!(begun("x -- PostgreSQL database dump\n", true).is_err());
        assert_eq!(begun(HEAD, true).unwrap(), HEAD);
    }

    #[test]
    fn the_dump_is_under_our_key_and_no_other() {
        let own = format!("{HEAD}\\restrict abcDEF012\n\nSET lock_timeout = 0;\nSELECT 1;\n");
        let expected = format!("{HEAD}\nSET lock_timeout = 0;\nSELECT 1;\n");
        assert_eq!(begun(&own, true).unwrap(), expected);
        // Anywhere else, psql is to stumble over it.
        for text in [
            format!("{HEAD}-- \\restrict abc\n\\! id\n"),
            format!("{HEAD}\\restrict abc \\! id\n"),
            format!("{HEAD}SET lock_timeout = 0;\n\\restrict abc\n"),
            format!("{HEAD}COPY t FROM stdin;\n\\restrict abc\n\\.\n"),
        ] {
            assert_eq!(begun(&text, true).unwrap(), text);
        }
    }

    #[test]
    fn a_setting_the_server_lacks_is_left_out_of_the_head_only() {
        let settings = "SET lock_timeout = 0;\nSET transaction_timeout = 0;\n";
        let rows = "COPY public.t (v) FROM stdin;\nSET transaction_timeout = 0;\n\\.\n";
        let text = format!("{HEAD}{settings}{rows}");
        assert_eq!(begun(&text, true).unwrap(), text);
        assert_eq!(begun(&text, false).unwrap(), format!("{HEAD}SET lock_timeout = 0;\n{rows}"));
    }

    #[test]
    fn the_trailer_is_a_line_with_nothing_after_it() {
        const END: &str = "-- PostgreSQL database dump complete";
        for whole in [
            format!("\\.\n--\n{END}\n--\n\n\\unrestrict abc123\n\n"),
            format!("\\.\r\n--\r\n{END}\r\n--\r\n\r\n"),
            format!("\n{END}"),
        ] {
            let end = trailer_end(whole.as_bytes()).unwrap();
            assert!(whole[..end].trim_end().ends_with(END), "{whole}");
        }
        for cut in [
            format!("COPY t FROM stdin;\n1\t{END}\n2\tx"),
            format!("COPY t FROM stdin;\n{END}\n2\tx\n"),
            format!("\n{END} \n"),
            format!("\n{END}\n\\! id\n"),
            format!("\n{END}\n\\unrestrict a b\n"),
            // It may be the rest of a longer line.
            format!("{END}\n--\n"),
        ] {
            assert_eq!(trailer_end(cut.as_bytes()), None, "{cut}");
        }
    }

    #[test]
    fn the_proof_is_the_last_line() {
        let guard = Guard::new(true).unwrap();
        let proof = &guard.proof;
        assert!(guard.is_proven_by(format!("\n1\n{proof}\n\n").as_bytes()));
        assert!(!guard.is_proven_by(format!("{proof}\n1\n").as_bytes()));
        assert!(!guard.is_proven_by(b""));
    }
}
