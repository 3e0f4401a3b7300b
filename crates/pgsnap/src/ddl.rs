//! The DDL, as `pg_dump` prints it under our snapshot, cut into what comes before the rows and
//! what comes after them.
//!
//! `pg_dump -Fc` runs once; `pg_restore --list` names its entries and `--use-list` prints the two
//! halves. Privileges go to the second half: `pg_dump --section=pre-data` prints them before the
//! rows, where an owner who revoked his own INSERT could not load them any more. Everything stays
//! in memory: user mappings hold passwords.

mod unreadable;

use std::io::Write;
use std::time::Duration;

use tokio::process::Command;

use crate::census::SchemaFingerprint;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::sql;
use crate::tools::{PgDump, libpq_command, output};

/// The two halves of the DDL, without preamble and trailer.
pub(crate) struct Ddl {
    pub(crate) pre_data: String,
    pub(crate) post_data: String,
}

/// Ends when `pg_dump` has waited for one lock longer than allowed, or can never get it.
///
/// Its own `--lock-wait-timeout` covers the tables only. A sequence that somebody renames would
/// make it wait for ever, while the leader keeps everybody else from altering any table. And
/// whoever waits for an exclusive lock on one of these tables waits for the leader, while `pg_dump`
/// waits behind them.
async fn stuck(leader: &Session, name: &str, lock_timeout: Duration) -> Error {
    const QUERY: &str = "
        SELECT waited > $2,
               waited > $3 AND EXISTS (SELECT FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(pid)) AS b (blocker)
                 WHERE pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(blocker)))
          FROM (SELECT pid, EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - query_start)::float8 AS waited
                  FROM pg_catalog.pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock') AS s";
    /// Those who wait with a limit of their own give way by then.
    const PATIENCE: Duration = Duration::from_secs(1);
    let limits = [lock_timeout.as_secs_f64(), PATIENCE.as_secs_f64()];
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let waiting =
            leader.rows("watching pg_dump", QUERY, &[&name, &limits[0], &limits[1]]).await;
        let waiting = match waiting {
            Ok(waiting) => waiting,
            Err(error) => return error,
        };
        if waiting.iter().any(|row| row.get(1)) {
            return Error::LockQueue;
        }
        if waiting.iter().any(|row| row.get(0)) {
            return Error::Server {
                context: "reading the schema".into(),
                message: "pg_dump ran into the lock timeout".into(),
                code: "55P03".into(),
                detail: None,
                server_hint: None,
            };
        }
    }
}

/// Ends what `pg_dump` waits for in the server. Only once its fate is decided: its complaint about
/// this must not be what is told.
async fn cancel(leader: &Session, name: &str) -> Result<()> {
    const QUERY: &str = "
        SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = $1";
    leader.rows("ending pg_dump", QUERY, &[&name]).await?;
    Ok(())
}

/// Settings of the session that change how definitions print, and that `pg_dump` leaves as the role
/// or database has them. Its queries are large by the planner's estimate, and compiling them takes
/// longer than running them.
fn options(database: &Database) -> String {
    const FIXED: &str = "-c standard_conforming_strings=on -c TimeZone=UTC -c bytea_output=hex -c quote_all_identifiers=off -c lc_monetary=C -c xmlbinary=base64 -c jit=off";
    let event_triggers = database.event_triggers().setting().unwrap_or_default();
    format!("{} {FIXED} {event_triggers}", database.options().unwrap_or_default())
}

/// `pg_dump` of the definitions as of a snapshot, in an encoding.
fn command(
    database: &Database,
    tool: &PgDump,
    snapshot: &Snapshot,
    lock_timeout: Duration,
    encoding: &str,
) -> Result<Command> {
    let mut command = libpq_command(&tool.program("pg_dump"), database)?;
    command
        .args(["--section=pre-data", "--section=post-data", "--no-password"])
        .arg(format!("--lock-wait-timeout={}", lock_timeout.as_millis()))
        .arg(format!("--encoding={encoding}"))
        .arg(format!("--snapshot={}", snapshot.id))
        .env("PGOPTIONS", options(database));
    Ok(command)
}

/// The last statement of the preamble that every supported `pg_restore` prints.
const PREAMBLE_END: &str = "SET row_security = off;\n";
const TRAILER: &str = "-- PostgreSQL database dump complete";

impl Ddl {
    /// Asks `pg_dump` for the DDL as of the snapshot.
    pub(crate) async fn read(
        database: &Database,
        tool: &PgDump,
        snapshot: &Snapshot,
        lock_timeout: Duration,
    ) -> Result<Self> {
        let name = format!("pgsnap ddl {}", snapshot.id);
        let encoding = snapshot.facts.client_encoding();
        let mut command = command(database, tool, snapshot, lock_timeout, encoding)?;
        command.args(["--format=custom", "--compress=0"]);
        command.env("PGAPPNAME", &name);
        let archive = tokio::select! {
            archive = output(command, b"") => archive,
            error = stuck(&snapshot.leader, &name, lock_timeout) => {
                cancel(&snapshot.leader, &name).await?;
                return Err(error);
            }
        };
        let archive = match archive {
            Err(error) if unreadable::is_meant(&error) => {
                let label = unreadable::first_of(database, tool, snapshot, lock_timeout).await;
                return Err(unreadable::error(label));
            }
            archive => archive.map_err(lock_hint)?,
        };
        let (pre_data, post_data) =
            tokio::try_join!(list(tool, &archive, "pre-data"), list(tool, &archive, "post-data"))?;
        let (before, privileges) = split_by(&pre_data, is_privilege);
        let (post_data, event_triggers) = split_by(&post_data, is_of_event_trigger);
        let after = privileges + &post_data + &event_triggers;
        let (pre_data, post_data) =
            tokio::try_join!(print(tool, &archive, &before), print(tool, &archive, &after))?;
        Ok(Self { pre_data, post_data })
    }

    /// The fingerprint of the schema.
    pub(crate) fn fingerprint(&self, tool: &PgDump, server_major: u32) -> SchemaFingerprint {
        let mut statements = sql::statements(&self.pre_data);
        statements.extend(sql::statements(&self.post_data));
        let statements = significant(statements);
        SchemaFingerprint {
            digest: SchemaFingerprint::digest_of(&statements),
            pg_dump: tool.version.clone(),
            server_major,
            statements,
        }
    }
}

/// Statements that describe objects; the toggled settings are left out.
pub(crate) fn significant(statements: Vec<String>) -> Vec<String> {
    statements.into_iter().filter(|statement| !sql::is_default_setting(statement)).collect()
}

fn lock_hint(error: Error) -> Error {
    match error {
        Error::ToolFailed { tool, status, stderr } if stderr.contains("lock timeout") => {
            Error::ToolFailed {
                tool,
                status,
                stderr: format!(
                    "{stderr} (another session waits for an exclusive lock; try again when that is done)"
                ),
            }
        }
        other => other,
    }
}

async fn list(tool: &PgDump, archive: &[u8], section: &str) -> Result<String> {
    let mut command = Command::new(tool.program("pg_restore"));
    command.args(["--list", "--section", section]);
    let text = output(command, archive).await?;
    let text = String::from_utf8(text).map_err(|_| unreadable::error(None))?;
    Ok(text
        .lines()
        .filter(|line| entry_kind(line).is_some())
        .flat_map(|line| [line, "\n"])
        .collect())
}

/// Takes some entries out of a list: what stays, and what was taken.
fn split_by(list: &str, is_taken: fn(&str) -> bool) -> (String, String) {
    let (taken, kept): (Vec<&str>, Vec<&str>) =
        list.split_inclusive('\n').partition(|line| entry_kind(line).is_some_and(is_taken));
    (kept.concat(), taken.concat())
}

fn is_privilege(kind: &str) -> bool {
    kind.starts_with("ACL ")
}

/// Event triggers and comments on them. They come last: `pg_dump` has them fire when materialised
/// views are refreshed.
fn is_of_event_trigger(kind: &str) -> bool {
    ["EVENT TRIGGER ", "COMMENT - EVENT TRIGGER ", "SECURITY LABEL - EVENT TRIGGER "]
        .iter()
        .any(|start| kind.starts_with(start))
}

/// The part of a list line after its numbers: `123; 1259 16402 TABLE public t owner`.
fn entry_kind(line: &str) -> Option<&str> {
    let (id, rest) = line.split_once("; ")?;
    id.parse::<u32>().ok()?;
    let mut rest = rest;
    for _ in 0..2 {
        rest = rest.split_once(' ')?.1;
    }
    Some(rest)
}

/// The SQL text of some entries, without the preamble and trailer, which are ours.
async fn print(tool: &PgDump, archive: &[u8], entries: &str) -> Result<String> {
    if entries.is_empty() {
        return Ok(String::new());
    }
    let list = ListFile::new(entries)?;
    let mut command = Command::new(tool.program("pg_restore"));
    command.arg("--use-list").arg(&list.path).args(["--file", "-"]);
    let text = output(command, archive).await?;
    let text = String::from_utf8(text)
        .map_err(|error| unreadable::error(unreadable::first_in(error.as_bytes())))?;
    strip(&text)
}

fn strip(text: &str) -> Result<String> {
    let unexpected = |what: &str| Error::UnexpectedDdl { what: what.to_owned() };
    let start = text
        .find(PREAMBLE_END)
        .ok_or_else(|| unexpected("the preamble has no row_security setting"))?
        + PREAMBLE_END.len();
    let end = text.rfind(TRAILER).ok_or_else(|| unexpected("the trailer is missing"))?;
    if end < start {
        return Err(unexpected("the trailer comes before the preamble"));
    }
    let body = text[start..end].trim_end_matches(['-', '\n']).trim_matches('\n');
    Ok(format!("\n{body}\n\n"))
}

/// A list of entries that a child can open by name and that never reaches a disk.
struct ListFile {
    path: std::path::PathBuf,
    #[cfg(target_os = "linux")]
    _memory: fs_err::File,
    #[cfg(not(target_os = "linux"))]
    _file: tempfile::NamedTempFile,
}

impl ListFile {
    #[cfg(target_os = "linux")]
    fn new(text: &str) -> Result<Self> {
        use std::os::fd::AsRawFd;

        let descriptor = rustix::fs::memfd_create("pgsnap-list", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(|error| Error::file("a file in memory", error.into()))?;
        let mut memory =
            fs_err::File::from_parts(std::fs::File::from(descriptor), "a file in memory");
        memory
            .write_all(text.as_bytes())
            .map_err(|error| Error::file("a file in memory", error))?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), memory.file().as_raw_fd()).into();
        Ok(Self { path, _memory: memory })
    }

    #[cfg(not(target_os = "linux"))]
    fn new(text: &str) -> Result<Self> {
        let error = |error| Error::file("a temporary file", error);
        let mut file = tempfile::NamedTempFile::new().map_err(error)?;
        file.write_all(text.as_bytes()).map_err(error)?;
        Ok(Self { path: file.path().to_owned(), _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
3; 2615 16385 SCHEMA - app owner
215; 1259 16402 TABLE public t owner
3456; 0 0 ACL - TABLE t owner
216; 1259 16500 TABLE public \"ACL table\" owner
";

    #[test]
    fn privileges_move_behind_the_rows() {
        let (before, privileges) = split_by(LIST, is_privilege);
        assert_eq!(before.lines().count(), 3, "{before}");
        assert_eq!(privileges, "3456; 0 0 ACL - TABLE t owner\n");
    }

    #[test]
    fn preamble_and_trailer_are_cut_off() {
        let text = "--\n\\restrict abc\nSET x = 1;\nSET row_security = off;\n\nCREATE TABLE t ();\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n";
        assert_eq!(strip(text).unwrap(), "\nCREATE TABLE t ();\n\n");
        assert!(strip("CREATE TABLE t ();").is_err());
    }
}
