//! What to do about an error.

use std::borrow::Cow;

use super::{Error, is_damage, is_of_the_login, joined};
use crate::compare::Difference;

impl Error {
    /// What to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::InvalidUrl { .. } => Some("a URL looks like postgresql://user@host:5432/database".into()),
            Self::Connect { source, .. } if is_of_the_login(source) => Some(
                "look at the password (passfile, password_file or password_command) and at channel_binding".into(),
            ),
            Self::Connect { source, .. } if is_unknown_host(source) => Some(
                "check the host name and this machine's name resolution (DNS, /etc/hosts)".into(),
            ),
            Self::Authentication { .. } => Some(
                "set scram-sha-256 in the server's pg_hba.conf, encrypt the connection with sslmode, or name the method in require_auth".into(),
            ),
            Self::ServerRole { .. } | Self::AccessMode { .. } => {
                Some("connect to the other server, or change target_session_attrs".into())
            }
            Self::Connect { .. } => Some("is the server running, and does it listen on this address?".into()),
            Self::ConnectTimeout { .. } => Some(
                "is the server healthy, and does the tunnel or proxy in between lead to it? connect_timeout=SECONDS in the URL allows more".into(),
            ),
            Self::Tls { failure, .. } => Some(failure.hint().into()),
            Self::Pooler { .. } => Some(
                "connect to the server itself: snapshots, locks and settings belong to a session, which a pooler shares out".into(),
            ),
            Self::File { source, .. } => regularfile::hint(source),
            Self::Exposed { path, .. } => Some(format!("chmod 600 {}", path.display()).into()),
            Self::PsqlTooOld { .. } => Some(
                "install psql 18, 17.6, 16.10, 15.14, 14.19, 13.22 or newer; any of them can restore into an older server".into(),
            ),
            Self::ConnectionLost { .. } => Some("nothing short was kept; run the command again once the server is back".into()),
            Self::Server { code, server_hint, message, .. } => {
                message_hint(message).or_else(|| server_hint.clone().map(Cow::Owned)).or_else(|| sqlstate_hint(code))
            }
            Self::PgDumpMissing { server_major, .. } => Some(format!(
                "install it, for example `apt-get install postgresql-client-{server_major}`; it supplies the DDL only"
            ).into()),
            Self::NotUtf8 { .. } => Some(
                "rename or redefine what is in another encoding (rows may be in any), or dump this database with pg_dump".into(),
            ),
            Self::RowSecurity { .. } => Some(
                "dump as a superuser or as a role with BYPASSRLS; a dump without the hidden rows is refused".into(),
            ),
            Self::ForeignPartition { .. } => Some(
                "the hash of an enum is another one after a restore, so its rows are loaded through the partitioned table, which \
                 may pick a foreign partition: detach the foreign tables (ALTER TABLE … DETACH PARTITION) first".into(),
            ),
            Self::PartitionBound { obstacle: None, .. } => Some(format!(
                "{BOUND_JUDGED}: a restore of everything, or a copy, into a new database loads such rows through the partitioned \
                 table; a restore of rows alone does not, and neither do they where a foreign table is among the partitions or \
                 these have their columns in different orders"
            ).into()),
            Self::PartitionBound { .. } => Some(format!(
                "{BOUND_JUDGED}: restore into a server with the same C library or ICU, and collation versions, as the source"
            ).into()),
            Self::NotReadable { .. } => {
                Some("grant SELECT on them to this role, or dump as the owner or a superuser".into())
            }
            Self::SnapshotUnstable { .. } | Self::LockQueue | Self::ChangedMeanwhile { .. } => {
                Some("run the dump when no migration is creating, dropping or rewriting tables".into())
            }
            Self::EncodingsDiffer { .. } => Some(
                "compare without listing rows, or restore the archive and compare the databases".into(),
            ),
            Self::UnsupportedFormat { .. } => Some("use a newer hubctl, or restore with `age -d | gunzip | psql`".into()),
            Self::NotAnArchive { .. } => {
                Some("a plain dump (pg_dump | gzip | age) can be restored, but not verified or read table by table".into())
            }
            Self::Damaged { .. } => Some("use another backup; keep this file for examination".into()),
            Self::Read { source } if is_damage(source) => {
                Some("the file was cut or changed after it was written; use another backup".into())
            }
            Self::Preflight { obstacles } => Some(joined(obstacles, |obstacle| &obstacle.remedy).into()),
            Self::NotSwapped { kept, .. } => Some(format!(
                "it is whole and proven; rename it into place with ALTER DATABASE \"{kept}\" RENAME TO …, or drop it"
            ).into()),
            Self::RestoreDiffers { differences } if differences.iter().all(is_recomputed) => Some(
                "compute these columns again at the source, with an UPDATE of their rows, and repeat the backup; or accept the new values"
                    .into(),
            ),
            Self::RestoreDiffers { .. } => Some("the database that was there before is untouched".into()),
            Self::InPlace { source, left, .. } if left.is_empty() => source.hint(),
            Self::InPlace { .. } => Some("drop what is left by hand before the next attempt; the next restore tries it first".into()),
            Self::RestoreRunning { .. } => Some("wait for it to end, or stop it".into()),
            _ => None,
        }
    }
}

fn is_recomputed(difference: &Difference) -> bool {
    matches!(difference, Difference::Generated { .. })
}

/// The standard library has no kind of error for it.
fn is_unknown_host(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.is_some_and(|cause| cause.to_string().contains("failed to lookup address"))
}

/// For a row that does not fit into a message of the server.
const ROW_TOO_LONG: &str = "a row longer than 1 GB as text (bytea counts twice) cannot leave the server, for pg_dump neither: \
    find it by pg_column_size and divide it, or store it as a large object";

/// Why a partition refuses rows that it held elsewhere.
const BOUND_JUDGED: &str =
    "its collation or hash function gives other results here than at the source";

/// Remedies where one SQLSTATE stands for several troubles. Servers that speak another language
/// get the remedy of the SQLSTATE.
fn message_hint(message: &str) -> Option<Cow<'static, str>> {
    let hint = if message.contains("conflict with recovery") {
        "the standby had to go on with the changes of its primary: run it again, set hot_standby_feedback = on, or raise \
         max_standby_streaming_delay"
    } else if message.contains("no pg_hba.conf entry") && message.contains("no encryption") {
        "the server may want TLS: add sslmode=require or a stricter one; otherwise pg_hba.conf has no line for this role and address"
    } else if message.contains("MULE_INTERNAL") && message.contains("UTF8") {
        "dump this database with pg_dump: sessions speak UTF-8, and no server converts MULE_INTERNAL to it"
    } else if message.starts_with("invalid memory alloc request size") {
        ROW_TOO_LONG
    } else {
        return None;
    };
    Some(hint.into())
}

/// Remedies for the SQLSTATEs an operator meets in practice (appendix A of the
/// PostgreSQL manual).
fn sqlstate_hint(code: &str) -> Option<Cow<'static, str>> {
    let hint = match code {
        "08001" => {
            "a foreign server does not answer the database server; leave its rows out, or make it reachable"
        }
        "22P05" => {
            "rename or redefine what has no equivalent in the other encoding (only rows may have none), or dump this database \
             with pg_dump"
        }
        "28P01" | "28000" => {
            "check user and password (passfile, password_file or password_command)"
        }
        "3D000" => "the database does not exist on this server",
        "42501" => "the role lacks a privilege for this",
        "53100" => "the server's disk is full",
        "53200" => "the server ran out of shared memory: raise max_locks_per_transaction",
        "53300" => "the server has no free connection slot: lower --jobs",
        "54000" => ROW_TOO_LONG,
        "55P03" => {
            "somebody holds or waits for an exclusive lock on a table; try again when it is done"
        }
        "57P01" | "57P02" | "57P03" => "the server is shutting down or starting up; try again",
        _ => return None,
    };
    Some(hint.into())
}
