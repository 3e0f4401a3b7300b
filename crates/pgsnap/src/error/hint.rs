//! Hints: the remedies of errors.

use std::borrow::Cow;
use std::io;

use super::{Error, is_damage, is_of_the_login, joined};
use crate::compare::Difference;

impl Error {
    /// Returns the remedy, if there is one.
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
            Self::Connect { source, .. } => Some(connection_hint(source).into()),
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
            Self::SchemaDrift { .. } => {
                Some("copy the source anew, and make the delta from that copy".into())
            }
            Self::BaseChanged { .. } => {
                Some("keep everybody else out of the base, and survey it again".into())
            }
            Self::DeltaDiffers { differences } if differences.iter().all(is_recomputed) => {
                Some("compute these columns again at the source, or accept the new values".into())
            }
            Self::DeltaDiffers { .. } | Self::UnexpectedWrites { .. } => {
                Some("the rows of the base are as they were; copy the whole source instead".into())
            }
            Self::RestoreDiffers { .. } => Some("the database that was there before is untouched".into()),
            Self::InPlace { source, left, .. } if left.is_empty() => source.hint(),
            Self::InPlace { .. } => Some("drop what is left by hand before the next attempt; the next restore tries it first".into()),
            Self::CannotFence { obstacles, .. } => {
                Some(joined(obstacles, |obstacle| &obstacle.remedy).into())
            }
            Self::CannotHandOver { obstacles, .. } | Self::CannotRetire { obstacles, .. } => {
                Some(joined(obstacles, |obstacle| &obstacle.remedy).into())
            }
            Self::HandoverUnknown { .. } => Some(
                "keep the old primary fenced, and ask the server with find_handover until it says whether this run has committed".into(),
            ),
            Self::Marker { .. } => Some(
                "use the version that wrote the markers, ask the primary server, and see the setting hubctl.epoch and the comment of each database".into(),
            ),
            Self::InvalidRun { .. } => Some("use 14 digits and 4 hexadecimal digits".into()),
            Self::NotFenced { undone: false, .. } => Some(
                "take it down, or fence again: a fence that was begun is finished then".into(),
            ),
            Self::NotFenced { source, .. } => source.hint(),
            Self::StillInUse { .. } => Some(
                "stop these clients and their schedulers, finish prepared transactions in their database, and try again".into(),
            ),
            Self::FenceRunning { .. } | Self::Claimed { .. } => Some("wait for it to end, or stop it".into()),
            Self::FenceDiffers { .. } => Some(
                "compare the database with the record of the fence, and set by hand the properties that changed meanwhile".into(),
            ),
            Self::FenceRecord { .. } => Some(
                "use the version that fenced the database, or another copy of the record: its file, and the fenced database's setting or comment, hold the same".into(),
            ),
            Self::RestoreRunning { .. } => Some("wait for it to end, or stop it".into()),
            _ => None,
        }
    }
}

fn is_recomputed(difference: &Difference) -> bool {
    matches!(difference, Difference::Generated { .. })
}

/// The remedy follows from how far the connection came.
fn connection_hint(error: &tokio_postgres::Error) -> &'static str {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    remedy_of(cause.map(io::Error::kind))
}

fn remedy_of(kind: Option<io::ErrorKind>) -> &'static str {
    use io::ErrorKind as K;
    match kind {
        Some(K::ConnectionRefused | K::NotFound) => {
            "check that the server runs and listens on this address"
        }
        Some(K::PermissionDenied) => {
            "let this user reach the server's socket or port, or connect another way (host=127.0.0.1)"
        }
        Some(K::NetworkUnreachable | K::HostUnreachable | K::NetworkDown | K::AddrNotAvailable) => {
            "check the network between this machine and the server: route, VPN, tunnel"
        }
        _ => {
            "check that PostgreSQL listens at this address; its log may say why it ended the connection"
        }
    }
}

/// The standard library has no kind of error for it.
fn is_unknown_host(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.is_some_and(|cause| cause.to_string().contains("failed to lookup address"))
}

/// For a row that does not fit into a message of the server.
const ROW_TOO_LONG: &str = "a row longer than 1 GB as text (bytea counts twice) cannot leave the server, for pg_dump neither: \
    find it by pg_column_size and divide it, or store it as a large object";

/// The hint for a partition that refuses rows it held elsewhere.
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
    } else if message.contains("out of shared memory") {
        "raise max_locks_per_transaction on the server"
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
        "28P01" => "check user and password (passfile, password_file or password_command)",
        "28000" => {
            "check that the role exists, has LOGIN, and may connect from here (pg_hba.conf, pg_ident.conf)"
        }
        "3D000" => "check the name of the database; `psql -l` lists those of the server",
        "42501" => "grant this role the privilege, or connect as the owner or a superuser",
        "53100" => "make room on the server's disk",
        "53200" => {
            "lower `jobs`, work_mem or maintenance_work_mem; if it is shared memory, raise max_locks_per_transaction"
        }
        "53300" => {
            "end idle sessions, raise the connection limit of the server, database or role, or lower `jobs`"
        }
        "54000" => ROW_TOO_LONG,
        "55P03" => {
            "another session holds or waits for an exclusive lock on a table; try again later"
        }
        "57P01" => "try again; the session was ended, or the server stopped",
        "57P02" | "57P03" => "try again once the server has started",
        _ => return None,
    };
    Some(hint.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_connection_has_the_remedy_of_its_cause() {
        use io::ErrorKind as K;
        let remedies = [
            Some(K::ConnectionRefused),
            Some(K::NotFound),
            Some(K::PermissionDenied),
            Some(K::NetworkUnreachable),
            Some(K::ConnectionReset),
            Some(K::UnexpectedEof),
            None,
        ]
        .map(remedy_of);
        insta::assert_snapshot!(remedies.join("\n"), @r"
        check that the server runs and listens on this address
        check that the server runs and listens on this address
        let this user reach the server's socket or port, or connect another way (host=127.0.0.1)
        check the network between this machine and the server: route, VPN, tunnel
        check that PostgreSQL listens at this address; its log may say why it ended the connection
        check that PostgreSQL listens at this address; its log may say why it ended the connection
        check that PostgreSQL listens at this address; its log may say why it ended the connection
        ");
    }

    #[test]
    fn one_code_of_several_troubles_has_no_remedy_of_only_one() {
        let remedy = |code: &str| sqlstate_hint(code).unwrap();
        // 28000 is never about a wrong password, 57P01 not always about the server, 53300 not always about jobs.
        assert!(!remedy("28000").contains("password") && remedy("28P01").contains("password"));
        assert!(remedy("57P01").contains("session"));
        assert!(remedy("53300").contains("connection limit"));
        assert!(remedy("53200").contains("work_mem"));
        assert!(
            message_hint("out of shared memory")
                .is_some_and(|hint| hint.starts_with("raise max_locks"))
        );
        assert_eq!(message_hint("out of memory"), None);
    }
}
