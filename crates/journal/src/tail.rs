//! The end of the file: its last whole line, and what a crash left behind it.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;
use jiff::Timestamp;
use regularfile::Options;

use crate::evidence::Recovered;
use crate::record::{NewRecord, Outcome};
use crate::{Error, Hash};

const BLOCK: u64 = 64 * 1024;

/// An incomplete last line that was moved out of the journal. It was never acknowledged to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornLine {
    /// Its present path.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Hash,
}

impl TornLine {
    /// The record that tells the journal's readers about it.
    pub(crate) fn record(&self, at: SystemTime) -> NewRecord {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let evidence = Recovered { torn_bytes: self.bytes, sha256: self.sha256 };
        NewRecord::of(at, Outcome::Other("recovered".to_owned()), name, &evidence)
    }
}

/// The last lines of a journal.
pub(crate) struct Tail {
    /// The last line that ends, without its line end.
    pub(crate) last: Option<Vec<u8>>,
    /// The bytes after it: empty unless an append was interrupted.
    pub(crate) torn: Vec<u8>,
    /// The length of the file up to where `torn` begins.
    sound: u64,
}

/// Reads as much from the end of the file as is needed to see its last whole line.
pub(crate) fn read(file: &mut fs::File) -> Result<Tail, Error> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut start = length;
    let mut content = Vec::new();
    // Two line ends enclose the last line; the start of the file stands for the first of them.
    while start > 0 && content.iter().filter(|byte| **byte == b'\n').count() < 2 {
        let block = BLOCK.min(start);
        start -= block;
        file.seek(SeekFrom::Start(start))?;
        let mut earlier = vec![0; usize::try_from(block).expect("a block fits into memory")];
        file.read_exact(&mut earlier)?;
        earlier.append(&mut content);
        content = earlier;
    }
    let torn = match content.iter().rposition(|byte| *byte == b'\n') {
        Some(line_end) => content.split_off(line_end + 1),
        None => std::mem::take(&mut content),
    };
    content.pop();
    let last = (length > torn.len() as u64).then(|| {
        let begin = content.iter().rposition(|byte| *byte == b'\n');
        content.split_off(begin.map_or(0, |line_end| line_end + 1))
    });
    let sound = length - torn.len() as u64;
    Ok(Tail { last, torn, sound })
}

impl Tail {
    /// Copies the torn line to a file of its own, durably, and only then cuts it off.
    pub(crate) fn move_aside(
        &self,
        journal: &Path,
        file: &fs::File,
        at: SystemTime,
    ) -> Result<TornLine, Error> {
        let (mut copy, path) = create_beside(journal, at)?;
        copy.write_all(&self.torn)?;
        copy.sync_all()?;
        regularfile::sync_directory(regularfile::parent(journal))?;
        file.set_len(self.sound)?;
        file.sync_all()?;
        Ok(TornLine { path, bytes: self.torn.len() as u64, sha256: Hash::of(&self.torn) })
    }
}

/// Creates `JOURNAL.torn-STAMP`, or `JOURNAL.torn-STAMP-2` and so on when there is one already.
fn create_beside(journal: &Path, at: SystemTime) -> Result<(fs::File, PathBuf), Error> {
    let stamp = Timestamp::try_from(at)
        .map_err(|error| Error::InvalidRecord { reason: error.to_string() })?
        .strftime("%Y%m%dT%H%M%SZ");
    let mut number = 1;
    loop {
        let mut path = journal.as_os_str().to_owned();
        path.push(format!(".torn-{stamp}"));
        if number > 1 {
            path.push(format!("-{number}"));
        }
        let path = PathBuf::from(path);
        match Options::new_file().open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(content: &[u8]) -> Tail {
        let mut file = fs::File::from_parts(tempfile::tempfile().unwrap(), "journal");
        file.write_all(content).unwrap();
        read(&mut file).unwrap()
    }

    #[test]
    fn the_last_whole_line_is_found() {
        let long = vec![b'x'; 3 * 64 * 1024 + 17];
        let long_and_newline = [b"first\n".as_slice(), &long, b"\n"].concat();
        type Bytes<'a> = &'a [u8];
        let cases: [(Bytes<'_>, Option<Bytes<'_>>, Bytes<'_>); 7] = [
            (b"", None, b""),
            (b"torn", None, b"torn"),
            (b"one\n", Some(b"one"), b""),
            (b"one\ntwo\n", Some(b"two"), b""),
            (b"one\ntwo\ntorn", Some(b"two"), b"torn"),
            (b"one\n\n", Some(b""), b""),
            (&long_and_newline, Some(&long), b""),
        ];
        for (content, last, torn) in cases {
            let tail = tail_of(content);
            assert_eq!(tail.last.as_deref(), last);
            assert_eq!(tail.torn, torn);
            assert_eq!(tail.sound, (content.len() - torn.len()) as u64);
        }
    }

    #[test]
    fn a_line_as_long_as_a_block_is_found() {
        for length in [BLOCK - 1, BLOCK, BLOCK + 1] {
            let line = vec![b'x'; usize::try_from(length).unwrap()];
            let tail = tail_of(&[&line, b"\n".as_slice(), &line].concat());
            assert_eq!(tail.last.unwrap(), line);
            assert_eq!(tail.torn, line);
        }
    }
}
