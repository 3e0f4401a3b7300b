//! The one error type of this crate: each variant is a fact, its cause is the
//! `source()`, and [`Error::hint`] tells what to do about it.

mod hint;

use std::io;
use std::path::PathBuf;

use tokio_postgres::error::SqlState;

use crate::compare::Difference;
use crate::name::TableName;
use crate::restore::Obstacle;
use crate::tls::TlsFailure;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The meaning of an error for the question that was asked.
///
/// "The answer is no" and "could not ask" lead an operator to different places,
/// so they are never mixed. The enum is exhaustive on purpose: a program that maps
/// it to exit codes does not compile when a class is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller asked for something invalid: a malformed URL, an
    /// unknown table.
    Usage,
    /// The question was asked and answered with no: damaged, different, hidden rows.
    No,
    /// The question could not be asked: connection, tool, file system.
    CouldNotAsk,
}

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A connection URL that cannot be used.
    #[error("invalid connection URL: {reason}")]
    InvalidUrl {
        /// The reason, without the URL itself: it may hold a password.
        reason: String,
    },
    /// No connection could be made.
    #[error("could not connect to {target}")]
    Connect {
        /// Host, port and database; never a password.
        target: String,
        /// The error of the operating system or the server.
        #[source]
        source: tokio_postgres::Error,
    },
    /// Something accepted the connection, but there was no usable session in time.
    #[error("{target} did not answer within {seconds} s")]
    ConnectTimeout {
        /// Role, host, port and database; never a password.
        target: String,
        /// The limit: `connect_timeout` of the URL, or the default.
        seconds: u64,
    },
    /// No encrypted connection could be made.
    #[error("no TLS connection to {target}: {failure}")]
    Tls {
        /// Role, host, port and database; never a password.
        target: String,
        /// The reason.
        failure: TlsFailure,
    },
    /// The server asks for a way to prove who we are that is not allowed. No password was sent.
    #[error("no login at {target}: {reason}")]
    Authentication {
        /// Role, host, port and database; never a password.
        target: String,
        /// The server's demand, and the reason why it is refused.
        reason: String,
    },
    /// `target_session_attrs` asks for a primary, and the server is a standby, or the other way.
    #[error("{target} is a {}, and target_session_attrs asks for a {}", role_name(*.is_standby), role_name(!*.is_standby))]
    ServerRole {
        /// Role, host, port and database; never a password.
        target: String,
        /// True if the server is a standby.
        is_standby: bool,
    },
    /// `target_session_attrs` asks for sessions that can write, and those of the server can only
    /// read, or the other way.
    #[error("{target} is {}, and target_session_attrs asks for {}", access_mode(*.is_read_only), access_mode(!*.is_read_only))]
    AccessMode {
        /// Role, host, port and database; never a password.
        target: String,
        /// True if its sessions can only read.
        is_read_only: bool,
    },
    /// A connection pooler is in between: sessions are not what they seem to be.
    #[error("{target} is a connection pooler and not the PostgreSQL server itself")]
    Pooler {
        /// Role, host, port and database; never a password.
        target: String,
    },
    /// A file of certificates or of a key cannot be used.
    #[error("{}: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        reason: String,
    },
    /// A file with a secret can be read by others.
    #[error("{} may be read by others (mode {mode:03o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// An established connection broke.
    #[error("lost the connection to the server while {context}")]
    ConnectionLost {
        /// The action that failed.
        context: String,
        /// The driver's error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The server answered a statement with an error.
    #[error("{}", server_message(.context, .message, .detail.as_deref(), .code))]
    Server {
        /// The action that failed.
        context: String,
        /// The primary message.
        message: String,
        /// The five-character SQLSTATE.
        code: String,
        /// The detail line, if there was one.
        detail: Option<String>,
        /// The server's own hint, if there was one.
        server_hint: Option<String>,
    },
    /// The server is older than this crate supports.
    #[error("the server is PostgreSQL {version}, older than the oldest supported one (14)")]
    ServerTooOld {
        /// The server's version as it names it.
        version: String,
    },
    /// No installed `pg_dump` can read this server.
    #[error("no pg_dump of version {server_major} or newer was found{}", found_list(.found))]
    PgDumpMissing {
        /// The server's major version.
        server_major: u32,
        /// The versions that were found, with their paths.
        found: Vec<String>,
    },
    /// No psql is installed that can be kept from running commands of a hostile dump
    /// (CVE-2025-8714).
    #[error(
        "psql {found} does not know \\restrict: a hostile dump could run commands on this machine"
    )]
    PsqlTooOld {
        /// The version that was found.
        found: String,
    },
    /// A program of PostgreSQL could not be started.
    #[error("could not run {tool}")]
    ToolStart {
        /// The program.
        tool: String,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A program of PostgreSQL failed.
    #[error("{tool} failed ({status}): {stderr}")]
    ToolFailed {
        /// The program.
        tool: String,
        /// Its exit status.
        status: String,
        /// The last lines it wrote to stderr.
        stderr: String,
    },
    /// The output of `pg_dump` was not of the expected shape.
    #[error("unexpected output of pg_dump: {what}")]
    UnexpectedDdl {
        /// The missing part.
        what: String,
    },
    /// A name or definition has no equivalent in UTF-8, or is of an SQL_ASCII database and in
    /// another encoding.
    #[error("{what} cannot be read in UTF-8")]
    NotUtf8 {
        /// The object that was read, such as the name of a table.
        what: String,
    },
    /// Row-level security hides rows from the role that dumps.
    #[error("row-level security hides rows of {} from this role", tables.join(", "))]
    RowSecurity {
        /// The tables concerned.
        tables: Vec<String>,
    },
    /// The role may not read what it must dump.
    #[error("this role may not read {}", objects.join(", "))]
    NotReadable {
        /// Tables, sequences or large objects without the `SELECT` privilege.
        objects: Vec<String>,
    },
    /// The set of tables kept changing while the snapshot was being taken.
    #[error(
        "the tables kept changing while the snapshot was taken ({attempts} attempts): {detail}"
    )]
    SnapshotUnstable {
        /// The number of attempts.
        attempts: u32,
        /// The change at the last attempt.
        detail: String,
    },
    /// `pg_dump` waits behind somebody who waits for a lock that the snapshot holds.
    #[error("pg_dump waits behind a session that waits for an exclusive lock on a table")]
    LockQueue,
    /// A server or program answers with more than it may have to say.
    #[error("{what} is larger than any that can be handled")]
    TooLarge {
        /// The object that was being read.
        what: String,
    },
    /// A definition that cannot be locked was changed during the dump, which is not of one point in
    /// time then.
    #[error("the {what} was changed while it was dumped")]
    ChangedMeanwhile {
        /// The kind and name of what was changed.
        what: String,
    },
    /// Writing the archive failed.
    #[error("could not write the archive")]
    Write {
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// Reading the archive failed; with a sealed archive this includes failed authentication.
    #[error("could not read the archive")]
    Read {
        /// The reader's error.
        #[source]
        source: io::Error,
    },
    /// The file is not a `pgsnap` archive (it may be a plain dump).
    #[error("not a pgsnap archive: {reason}")]
    NotAnArchive {
        /// The unexpected contents.
        reason: String,
    },
    /// The archive was written by a newer format version.
    #[error(
        "the archive has format {found}, this program reads {} and {}",
        crate::manifest::FORMAT,
        crate::manifest::FORMAT_WITH_ENCODINGS
    )]
    UnsupportedFormat {
        /// The format the archive names.
        found: String,
    },
    /// The archive contradicts itself.
    #[error("the archive is damaged: {what}")]
    Damaged {
        /// The place and the difference.
        what: String,
    },
    /// A plain dump ended before its end, or psql refused it.
    #[error("the plain dump could not be restored: {what}")]
    ForeignDump {
        /// The event.
        what: String,
    },
    /// A table was named that the archive or database does not hold.
    #[error("no table {name} in {place}")]
    NoSuchTable {
        /// The name as given.
        name: String,
        /// The searched place.
        place: String,
    },
    /// Rows of the two sides of a comparison cannot be read in one encoding.
    #[error(
        "rows of {table} cannot be told apart: they are in {a} on one side and in {b} on the other"
    )]
    EncodingsDiffer {
        /// The table.
        table: String,
        /// The encoding of the first side.
        a: String,
        /// The encoding of the second side.
        b: String,
    },
    /// A schema was named that the archive does not hold.
    #[error("no schema {name} in this archive")]
    NoSuchSchema {
        /// The name as given.
        name: String,
    },
    /// A foreign server was named that is not there, or of which an archive holds no rows.
    #[error("no foreign server {name} in {place}")]
    NoSuchForeignServer {
        /// The name as given.
        name: String,
        /// The searched place.
        place: String,
    },
    /// A restore would send rows of the database to a foreign server that never had them.
    #[error(
        "a restore would send rows to foreign servers: {} below a table partitioned by the hash of an enum",
        tables.join(", ")
    )]
    ForeignPartition {
        /// The foreign tables that are partitions of such a table.
        tables: Vec<String>,
    },
    /// This server finds that rows belong to another partition than the one they come from.
    #[error("rows of partition {partition} do not fit its bound, as this server judges it{}", not_rerouted(.obstacle))]
    PartitionBound {
        /// The partition they come from.
        partition: String,
        /// The reason why they could not be loaded through the partitioned table instead, if that
        /// was considered.
        obstacle: Option<String>,
    },
    /// The target cannot take the restore. All reasons are given at once.
    #[error("the target is not ready: {}", joined(obstacles, |obstacle| &obstacle.problem))]
    Preflight {
        /// Each with its remedy.
        obstacles: Vec<Obstacle>,
    },
    /// The restored database is not what the manifest promises. It was not swapped in.
    #[error("the restored database differs from the backup: {}", summary(.differences))]
    RestoreDiffers {
        /// Each difference.
        differences: Vec<Difference>,
    },
    /// The schema of the source is not, or no longer, that of the base of a delta.
    #[error("the base of the delta has another schema than the source: {}", summary(.differences))]
    SchemaDrift {
        /// Each difference; A is the source.
        differences: Vec<Difference>,
    },
    /// The base of a delta is not what the survey found.
    #[error("the base of the delta was changed since it was surveyed: {what}")]
    BaseChanged {
        /// The part that is not as it was.
        what: String,
    },
    /// The base differs from the source after the delta, which was rolled back.
    #[error("the base would differ from the source after the delta: {}", summary(.differences))]
    DeltaDiffers {
        /// Each difference; A is the source.
        differences: Vec<Difference>,
    },
    /// A delta changed other rows than it meant to, and was rolled back.
    #[error("the delta would also change rows of {}", tables.join(", "))]
    UnexpectedWrites {
        /// The tables concerned.
        tables: Vec<String>,
    },
    /// The server said that it took another number of rows than it was sent.
    #[error("the server took {taken} of {sent} rows of {table}")]
    RowsNotTaken {
        /// The table.
        table: String,
        /// Rows sent to it in one statement.
        sent: u64,
        /// Rows it took.
        taken: u64,
    },
    /// A restore into a database that was there and empty failed. What it had made was dropped
    /// again.
    #[error("the restore into database {database} failed, and {}", in_place(.left))]
    InPlace {
        /// The database.
        database: String,
        /// Objects that could not be dropped. If empty, the database is as it was.
        left: Vec<String>,
        /// The reason for the failure.
        #[source]
        source: Box<Error>,
    },
    /// A restored and compared database could not get its place.
    #[error("the restored database could not take its place, and is kept as {kept}")]
    NotSwapped {
        /// Its name now.
        kept: String,
        /// The reason.
        #[source]
        source: Box<Error>,
    },
    /// Another restore of the same database is running.
    #[error("another restore of database {database} is running on this server")]
    RestoreRunning {
        /// The database.
        database: String,
    },
    /// A database cannot be fenced. All reasons are given at once, and nothing was changed.
    #[error("database {database} cannot be fenced: {}", joined(obstacles, |obstacle| &obstacle.problem))]
    CannotFence {
        /// The database.
        database: String,
        /// Each with its remedy.
        obstacles: Vec<Obstacle>,
    },
    /// A fence could not be finished.
    #[error("database {database} could not be fenced, and {}", taken_down(*.undone))]
    NotFenced {
        /// The database.
        database: String,
        /// True if the unfinished fence was taken down again.
        undone: bool,
        /// The reason why it could not be finished.
        #[source]
        source: Box<Error>,
    },
    /// Sessions or prepared transactions are in a database that has to be empty.
    #[error("database {database} is in use: {}", .by.join("; "))]
    StillInUse {
        /// The database.
        database: String,
        /// Each session and prepared transaction.
        by: Vec<String>,
    },
    /// Another run fences this database, takes its fence down, or hands it over.
    #[error("another run works on the fence or the handover of database {database}")]
    FenceRunning {
        /// The database.
        database: String,
    },
    /// Another program holds the claim on this name.
    #[error("another program works on database {database}")]
    Claimed {
        /// The database.
        database: String,
    },
    /// A database is not in the state that the record of its fence says.
    #[error("database {database} is not as it was before its fence: {}", .differences.join("; "))]
    FenceDiffers {
        /// The database.
        database: String,
        /// Each difference.
        differences: Vec<String>,
    },
    /// A database cannot be handed over. All reasons are given at once, and nothing was changed.
    #[error("database {database} cannot be handed over: {}", joined(obstacles, |obstacle| &obstacle.problem))]
    CannotHandOver {
        /// The database.
        database: String,
        /// Each with its remedy.
        obstacles: Vec<Obstacle>,
    },
    /// The answer of the server to the commit of a handover did not arrive.
    #[error("it is not known whether run {run} has handed over database {database}")]
    HandoverUnknown {
        /// The database.
        database: String,
        /// The run.
        run: String,
        /// The end of the wait for the answer.
        #[source]
        source: Box<Error>,
    },
    /// A database cannot be marked as retired. Nothing was changed.
    #[error("database {database} cannot be retired: {}", joined(obstacles, |obstacle| &obstacle.problem))]
    CannotRetire {
        /// The database.
        database: String,
        /// Each with its remedy.
        obstacles: Vec<Obstacle>,
    },
    /// The markers of databases do not tell which one is primary.
    #[error("the markers of databases do not tell which one is primary: {reason}")]
    Marker {
        /// The reason.
        reason: String,
    },
    /// The identifier of a run cannot be part of the name of a database.
    #[error("`{}` is no identifier of a run", .run.escape_debug())]
    InvalidRun {
        /// The identifier.
        run: String,
    },
    /// The record of a fence cannot be used.
    #[error("the record of the fence cannot be used: {reason}")]
    FenceRecord {
        /// The reason.
        reason: String,
    },
    /// A throw-away server could not be started.
    #[error("could not start a scratch server: {reason}")]
    Scratch {
        /// The event, with the end of the server's log.
        reason: String,
    },
    /// A local file could not be used.
    #[error("could not use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A worker ended without an answer. This is a bug or the end of the runtime.
    #[error("a worker died: {what}")]
    WorkerDied {
        /// The action it failed at.
        what: String,
    },
}

/// One side of all obstacles, in one line.
fn joined(obstacles: &[Obstacle], side: impl Fn(&Obstacle) -> &String) -> String {
    let sides: Vec<&str> = obstacles.iter().map(|obstacle| side(obstacle).as_str()).collect();
    sides.join("; ")
}

fn role_name(is_standby: bool) -> &'static str {
    if is_standby { "standby" } else { "primary" }
}

fn access_mode(is_read_only: bool) -> &'static str {
    if is_read_only { "read-only" } else { "read-write" }
}

impl Error {
    /// Returns the class: the answer is no, or the question could not be asked.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InvalidUrl { .. }
            | Self::Certificate { .. }
            | Self::Exposed { .. }
            | Self::NoSuchTable { .. }
            | Self::NoSuchSchema { .. }
            | Self::NoSuchForeignServer { .. }
            | Self::InvalidRun { .. } => ErrorClass::Usage,
            // Obstacles are an answer: the target was asked, and is not ready.
            Self::Damaged { .. }
            | Self::NotAnArchive { .. }
            | Self::RowSecurity { .. }
            | Self::ForeignPartition { .. }
            | Self::PartitionBound { .. }
            | Self::RestoreDiffers { .. }
            | Self::SchemaDrift { .. }
            | Self::DeltaDiffers { .. }
            | Self::UnexpectedWrites { .. }
            | Self::RowsNotTaken { .. }
            | Self::ForeignDump { .. }
            | Self::Preflight { .. }
            | Self::CannotFence { .. }
            | Self::CannotHandOver { .. }
            | Self::CannotRetire { .. }
            | Self::StillInUse { .. }
            | Self::FenceDiffers { .. }
            | Self::NotReadable { .. } => ErrorClass::No,
            // Failed authentication of the sealed file and a short file are answers;
            // anything else of the operating system is not.
            Self::Read { source } if is_damage(source) => ErrorClass::No,
            // Somebody named a pipe, or a file that others may change.
            Self::File { source, .. } if regularfile::Error::of(source).is_some() => {
                ErrorClass::Usage
            }
            Self::InPlace { source, .. }
            | Self::NotSwapped { source, .. }
            | Self::NotFenced { source, .. } => source.class(),
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Tls { .. }
            | Self::Authentication { .. }
            | Self::ServerRole { .. }
            | Self::AccessMode { .. }
            | Self::Pooler { .. }
            | Self::ConnectionLost { .. }
            | Self::Server { .. }
            | Self::ServerTooOld { .. }
            | Self::PgDumpMissing { .. }
            | Self::PsqlTooOld { .. }
            | Self::ToolStart { .. }
            | Self::ToolFailed { .. }
            | Self::UnexpectedDdl { .. }
            | Self::NotUtf8 { .. }
            | Self::SnapshotUnstable { .. }
            | Self::LockQueue
            | Self::TooLarge { .. }
            | Self::ChangedMeanwhile { .. }
            | Self::BaseChanged { .. }
            | Self::Write { .. }
            | Self::Read { .. }
            | Self::UnsupportedFormat { .. }
            | Self::FenceRecord { .. }
            | Self::FenceRunning { .. }
            | Self::Claimed { .. }
            | Self::HandoverUnknown { .. }
            | Self::Marker { .. }
            | Self::RestoreRunning { .. }
            | Self::Scratch { .. }
            | Self::File { .. }
            | Self::EncodingsDiffer { .. }
            | Self::WorkerDied { .. } => ErrorClass::CouldNotAsk,
        }
    }

    /// Returns true if the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            // A network may come back; a missing password does not.
            Self::Connect { source, .. } => !is_of_the_login(source),
            Self::ConnectTimeout { .. }
            | Self::ConnectionLost { .. }
            | Self::SnapshotUnstable { .. }
            | Self::LockQueue
            | Self::ChangedMeanwhile { .. }
            | Self::BaseChanged { .. }
            | Self::StillInUse { .. }
            | Self::FenceRunning { .. }
            | Self::Claimed { .. }
            | Self::HandoverUnknown { .. }
            | Self::RestoreRunning { .. } => true,
            Self::NotFenced { undone, source, .. } => *undone && source.is_retryable(),
            // Lock not available, admin shutdown, cannot connect now, too many connections.
            Self::Server { code, .. } => {
                matches!(
                    code.as_str(),
                    "55P03" | "57P01" | "57P02" | "57P03" | "53300" | "40001" | "40P01"
                )
            }
            _ => false,
        }
    }

    /// Returns true if the server asked for a password, and there was none to give.
    #[must_use]
    pub fn wants_password(&self) -> bool {
        let Self::Connect { source, .. } = self else {
            return false;
        };
        let mut cause: Option<&dyn std::error::Error> = Some(source);
        while let Some(error) = cause {
            // The driver tells by its words only.
            if error.to_string().contains("password missing") {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Turns an error of the driver into ours, with the server's message, detail,
    /// hint and SQLSTATE: the driver's own `Display` says only "db error".
    pub(crate) fn query(context: impl Into<String>, error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self::server(context, db),
            None => Self::ConnectionLost { context: context.into(), source: error },
        }
    }

    /// Returns the error of the end of a COPY into `table`.
    pub(crate) fn loading(context: &str, table: &TableName, error: tokio_postgres::Error) -> Self {
        // Violations of CHECK constraints, which have the same SQLSTATE, name the constraint.
        match error.as_db_error() {
            Some(db) if *db.code() == SqlState::CHECK_VIOLATION && db.constraint().is_none() => {
                Self::PartitionBound { partition: table.to_string(), obstacle: None }
            }
            _ => Self::query(context, error),
        }
    }

    /// The server's message.
    pub(crate) fn server(context: impl Into<String>, db: &tokio_postgres::error::DbError) -> Self {
        Self::Server {
            context: context.into(),
            message: db.message().to_owned(),
            code: db.code().code().to_owned(),
            detail: db.detail().filter(|_| !quotes_rows(db.code().code())).map(str::to_owned),
            server_hint: db.hint().map(str::to_owned),
        }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File { path: path.into(), source }
    }

    /// The SQLSTATE, where the server answered with one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// Details of data exceptions and constraint violations quote values of the row.
fn quotes_rows(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("23")
}

/// Returns true if the server was reached and we could not log in. The driver tells by its words
/// only.
fn is_of_the_login(error: &tokio_postgres::Error) -> bool {
    let said = error.to_string();
    said.starts_with("authentication error") || said.starts_with("invalid configuration")
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
}

fn server_message(context: &str, message: &str, detail: Option<&str>, code: &str) -> String {
    let detail = detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
    format!("the server refused {context}: {message}{detail} [SQLSTATE {code}]")
}

fn not_rerouted(obstacle: &Option<String>) -> String {
    obstacle
        .as_ref()
        .map(|obstacle| {
            format!(", and they cannot be loaded through the partitioned table: {obstacle}")
        })
        .unwrap_or_default()
}

fn taken_down(undone: bool) -> &'static str {
    if undone { "everything is as it was" } else { "the unfinished fence still stands" }
}

fn in_place(left: &[String]) -> String {
    if left.is_empty() {
        "what it had made there was dropped again".to_owned()
    } else {
        format!("not everything it had made could be dropped: {}", left.join(", "))
    }
}

fn found_list(found: &[String]) -> String {
    if found.is_empty() { String::new() } else { format!(" (found: {})", found.join(", ")) }
}

fn summary(differences: &[Difference]) -> String {
    const SHOWN: usize = 5;
    let mut text =
        differences.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if differences.len() > SHOWN {
        text.push_str(&format!("; and {} more", differences.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_error_shows_message_detail_and_sqlstate() {
        let error = Error::Server {
            context: "reading the catalogue".into(),
            message: "permission denied".into(),
            code: "42501".into(),
            detail: Some("table t".into()),
            server_hint: None,
        };
        assert_eq!(
            error.to_string(),
            "the server refused reading the catalogue: permission denied (table t) [SQLSTATE 42501]"
        );
        assert_eq!(
            error.hint().as_deref(),
            Some("grant this role the privilege, or connect as the owner or a superuser")
        );
    }

    #[test]
    fn a_row_that_the_server_cannot_print_has_a_remedy() {
        for (code, message) in
            [("54000", "out of memory"), ("XX000", "invalid memory alloc request size 1258291203")]
        {
            let error = Error::Server {
                context: "reading \"public\".\"t\"".into(),
                message: message.into(),
                code: code.into(),
                detail: None,
                server_hint: None,
            };
            assert!(error.hint().unwrap().contains("1 GB"), "{error}");
        }
    }

    #[test]
    fn damage_is_an_answer_and_a_broken_disk_is_not() {
        let cut = Error::Read { source: io::ErrorKind::UnexpectedEof.into() };
        let disk = Error::Read { source: io::Error::from_raw_os_error(5) };
        assert_eq!(cut.class(), ErrorClass::No);
        assert_eq!(disk.class(), ErrorClass::CouldNotAsk);
    }
}
