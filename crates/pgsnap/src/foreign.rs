//! Plain dumps of other programs: restored through psql, and honest about what that cannot prove.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::archive::read_error;
use crate::census::Census;
use crate::count::{CensusOptions, census};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::progress::{Phase, Progress, Work};
use crate::restore::{RestoreOptions, Target, TargetState, analyze, restoring_name};
use crate::tools::{PgDump, last_lines, libpq_command};

/// What a restore of a plain dump did, and what it could not prove.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ForeignRestored {
    /// The database that now holds the dump.
    pub database: String,
    /// The name the database that was there before now has.
    pub kept: Option<String>,
    /// Bytes of SQL text that psql took.
    pub bytes: u64,
    /// What was counted afterwards.
    #[serde(skip)]
    pub census: Census,
    /// What the dump does not allow to prove.
    pub unproven: Vec<String>,
}

/// Opens the stream of a plain dump, gzipped or not, from its beginning.
pub type OpenDump = dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync;

const TRAILER: &[u8] = b"-- PostgreSQL database dump complete";
/// The end of the text that is held back until the trailer was seen in it.
const HELD_BACK: usize = 4096;

/// Restores a plain dump (`pg_dump`, gzipped or not) as database `target.name()`.
///
/// The text goes through `psql --single-transaction` into a new database, which replaces the present one
/// by name only after psql ended well and the dump's trailer was seen. psql is not told about the end of its
/// input before that: it would commit a dump that was cut in the middle of a COPY.
///
/// # Errors
/// [`Error::ForeignDump`] with what psql said, or if the trailer is missing.
pub async fn restore_foreign(
    open: Arc<OpenDump>,
    target: &Database,
    options: &RestoreOptions,
    progress: &Arc<dyn Progress>,
) -> Result<ForeignRestored> {
    /// Roles a scratch server may be given, one per attempt.
    const MAX_ROLES: usize = 50;
    let psql = Psql::find(&options.bin_directories).await?;
    let server = Target::connect(target).await?;
    if let TargetState::Present { sessions: 1.., .. } = server.state().await? {
        return Err(server.in_use());
    }
    server.lock().await?;
    server.drop_leftovers().await?;
    let restoring = target.with_name(&restoring_name(target.name(), server.id()));
    for _ in 0..MAX_ROLES {
        server.create_empty_database(restoring.name()).await?;
        progress.begin(Phase::Load, Work::default());
        let fed = psql.feed(Arc::clone(&open), &restoring, progress).await;
        let bytes = match fed {
            Ok(bytes) => bytes,
            Err(error) => {
                let _ = server.drop_database(restoring.name()).await;
                match missing_role(&error).filter(|_| options.create_roles) {
                    Some(role) => {
                        server.create_roles(&[role]).await?;
                        continue;
                    }
                    None => return Err(error),
                }
            }
        };
        let census_options = CensusOptions {
            jobs: options.jobs,
            bin_directories: options.bin_directories.clone(),
            ..CensusOptions::default()
        };
        let census = census(&restoring, &census_options, progress).await?;
        analyze(&restoring, options.jobs, progress).await?;
        progress.begin(Phase::Swap, Work::default());
        let kept = server.swap(restoring.name(), options.swap_timeout).await?;
        return Ok(ForeignRestored {
            database: target.name().to_owned(),
            kept,
            bytes,
            census,
            unproven: unproven(),
        });
    }
    Err(Error::ForeignDump {
        what: "it refers to too many roles that do not exist".into(),
    })
}

fn unproven() -> Vec<String> {
    vec![
        "row counts and contents: a plain dump does not say what it should hold".into(),
        "when and from which server it was taken".into(),
    ]
}

/// The role psql complained about, if that was the complaint.
fn missing_role(error: &Error) -> Option<String> {
    let Error::ForeignDump { what } = error else {
        return None;
    };
    let rest = &what[what.find("role \"")? + 6..];
    rest.find("\" does not exist")
        .map(|end| rest[..end].to_owned())
}

struct Psql {
    program: PathBuf,
    /// Whether it knows `\restrict` (CVE-2025-8714).
    restricts: bool,
}

impl Psql {
    async fn find(directories: &[PathBuf]) -> Result<Self> {
        let newest = PgDump::installed(directories)
            .await
            .into_iter()
            .max_by_key(|tool| tool.major);
        let program = newest.map_or_else(|| PathBuf::from("psql"), |tool| tool.program("psql"));
        let output = Command::new(&program)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .await;
        let output = output.map_err(|source| Error::ToolStart {
            tool: "psql".into(),
            source,
        })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .unwrap_or_default();
        Ok(Self {
            program,
            restricts: knows_restrict(version),
        })
    }

    /// Feeds the dump to psql and waits for it to end well. Returns the bytes fed.
    async fn feed(
        &self,
        open: Arc<OpenDump>,
        database: &Database,
        progress: &Arc<dyn Progress>,
    ) -> Result<u64> {
        let mut command = libpq_command(&self.program, database);
        command.args([
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--single-transaction",
            "--no-password",
            "--file=-",
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().map_err(|source| Error::ToolStart {
            tool: "psql".into(),
            source,
        })?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let complaints = tokio::spawn(async move {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text).await;
            text
        });
        let (sender, mut received) = mpsc::channel::<Result<Bytes>>(4);
        let restrict = self.restricts;
        tokio::task::spawn_blocking(move || read_dump(&open, restrict, &sender));
        let mut bytes = 0;
        while let Some(portion) = received.recv().await {
            // An error drops the child, which is killed before it sees the end of its input.
            let portion = portion?;
            if stdin.write_all(&portion).await.is_err() {
                break;
            }
            bytes += portion.len() as u64;
            progress.advance(Work {
                bytes: portion.len() as u64,
                rows: 0,
            });
        }
        drop(stdin);
        let status = child.wait().await.map_err(|source| Error::ToolStart {
            tool: "psql".into(),
            source,
        })?;
        let complaints = complaints.await.unwrap_or_default();
        if status.success() {
            Ok(bytes)
        } else {
            Err(Error::ForeignDump {
                what: last_lines(&complaints),
            })
        }
    }
}

/// Whether a psql of this version has `\restrict`.
fn knows_restrict(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| {
        part.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse::<u32>()
    });
    let (Some(Ok(major)), minor) = (
        numbers.next(),
        numbers.next().and_then(std::result::Result::ok),
    ) else {
        return false;
    };
    let minor = minor.unwrap_or(0);
    match major {
        13 => minor >= 22,
        14 => minor >= 19,
        15 => minor >= 14,
        16 => minor >= 10,
        17 => minor >= 6,
        _ => major >= 18,
    }
}

/// Reads the dump to its end and sends it in portions; the last one only if the trailer is in it.
fn read_dump(open: &Arc<OpenDump>, restrict: bool, sender: &mpsc::Sender<Result<Bytes>>) {
    if let Err(error) = try_read_dump(open, restrict, sender) {
        // Nobody listens any more if psql ended first; it has said why.
        let _ = sender.blocking_send(Err(error));
    }
}

fn try_read_dump(
    open: &Arc<OpenDump>,
    restrict: bool,
    sender: &mpsc::Sender<Result<Bytes>>,
) -> Result<()> {
    const PORTION: usize = 256 << 10;
    let mut reader = decompressed(open().map_err(read_error)?)?;
    let mut held: Vec<u8> = Vec::new();
    let mut is_first = true;
    loop {
        let mut portion = std::mem::take(&mut held);
        let before = portion.len();
        (&mut reader)
            .take(PORTION as u64)
            .read_to_end(&mut portion)
            .map_err(read_error)?;
        let ended = portion.len() == before;
        if is_first {
            portion = check_head(portion, restrict)?;
            is_first = false;
        }
        if ended {
            if memchr::memmem::find(&portion, TRAILER).is_none() {
                return Err(Error::ForeignDump {
                    what: "it ends before its end: the last line of pg_dump is missing".into(),
                });
            }
            let _ = sender.blocking_send(Ok(Bytes::from(portion)));
            return Ok(());
        }
        held = portion.split_off(portion.len().saturating_sub(HELD_BACK));
        if sender.blocking_send(Ok(Bytes::from(portion))).is_err() {
            return Ok(());
        }
    }
}

fn decompressed(mut reader: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let mut magic = Vec::new();
    (&mut reader)
        .take(5)
        .read_to_end(&mut magic)
        .map_err(read_error)?;
    let gzipped = magic.starts_with(&[0x1f, 0x8b]);
    if magic == b"PGDMP" {
        return Err(Error::ForeignDump {
            what: "it is in pg_dump's custom format; use pg_restore".into(),
        });
    }
    let whole = Read::chain(io::Cursor::new(magic), reader);
    Ok(if gzipped {
        Box::new(MultiGzDecoder::new(whole))
    } else {
        Box::new(whole)
    })
}

/// Makes sure the text is a dump, and protects psql from meta-commands in it where the dump does
/// not do so itself.
fn check_head(text: Vec<u8>, restrict: bool) -> Result<Vec<u8>> {
    let head = &text[..text.len().min(4096)];
    let holds = |needle: &[u8]| memchr::memmem::find(head, needle).is_some();
    if !holds(b"-- PostgreSQL database dump") {
        return Err(Error::ForeignDump {
            what: "it does not begin like a dump of pg_dump".into(),
        });
    }
    if holds(b"\\restrict ") || !restrict {
        return Ok(text);
    }
    let key = blake3::hash(head).to_hex();
    Ok([
        format!("\\restrict {}\n", &key.as_str()[..40]).as_bytes(),
        &text,
    ]
    .concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_with_restrict_are_known() {
        for (version, expected) in [
            ("15.18", true),
            ("15.13", false),
            ("16.2", false),
            ("18.0", true),
            ("19beta1", true),
            ("12.9", false),
        ] {
            assert_eq!(knows_restrict(version), expected, "{version}");
        }
    }

    #[test]
    fn the_missing_role_is_found_in_the_complaint() {
        let error = Error::ForeignDump {
            what: "psql:<stdin>:42: ERROR:  role \"app owner\" does not exist".into(),
        };
        assert_eq!(missing_role(&error).as_deref(), Some("app owner"));
    }

    #[test]
    fn only_a_dump_is_taken_for_one() {
        assert!(check_head(b"hello".to_vec(), true).is_err());
        let guarded = check_head(b"--\n-- PostgreSQL database dump\n--\n".to_vec(), true).unwrap();
        assert!(guarded.starts_with(b"\\restrict "));
    }
}
