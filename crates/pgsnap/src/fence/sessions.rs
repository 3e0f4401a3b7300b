//! The sessions of a database, and their end.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::session::Session;

/// A session of a database, as far as this role may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The process on the server.
    pub pid: i32,
    /// The time it began, by the server's clock.
    pub began: Option<String>,
    /// The kind of process, such as `client backend` or a background worker.
    pub kind: Option<String>,
    /// The role.
    pub role: Option<String>,
    /// The name that the client gave itself.
    pub application: Option<String>,
    /// The client's address; none over a socket file.
    pub address: Option<String>,
}

impl fmt::Display for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = self.role.as_deref().unwrap_or("no role");
        write!(f, "{role} (pid {}", self.pid)?;
        if let Some(kind) = self.kind.as_deref().filter(|kind| *kind != "client backend") {
            write!(f, ", {kind}")?;
        }
        if let Some(application) = self.application.as_deref().filter(|name| !name.is_empty()) {
            // What a client says of itself may hold anything.
            write!(f, ", {}", application.escape_debug())?;
        }
        match &self.address {
            Some(address) => write!(f, ", from {address})"),
            None => f.write_str(")"),
        }
    }
}

/// The sessions of a database but this one. Autovacuum is left out: it changes no row, and a rename
/// ends it by itself.
pub(crate) async fn inside(session: &Session, database_oid: u32) -> Result<Vec<SessionInfo>> {
    const QUERY: &str = "
        SELECT a.pid, a.backend_start::text, a.backend_type, a.usename::text, a.application_name, pg_catalog.host(a.client_addr)
          FROM pg_catalog.pg_stat_activity a
         WHERE a.datid = $1 AND a.pid <> pg_catalog.pg_backend_pid()
           AND a.backend_type IS DISTINCT FROM 'autovacuum worker' ORDER BY a.pid";
    let rows = session.rows("reading the sessions", QUERY, &[&database_oid]).await?;
    let sessions = rows.iter().map(|row| SessionInfo {
        pid: row.get(0),
        began: row.get(1),
        kind: row.get(2),
        role: row.get(3),
        application: row.get(4),
        address: row.get(5),
    });
    Ok(sessions.collect())
}

/// Processes that are about to enter: they were checked already and cannot be seen as sessions yet.
/// Until their start is over they hold a lock on the database.
///
/// Ask for these first and for the sessions after: a process in neither answer is not there.
pub(crate) async fn entering(session: &Session, database_oid: u32) -> Result<Vec<i32>> {
    const QUERY: &str = "
        SELECT DISTINCT l.pid FROM pg_catalog.pg_locks l
         WHERE l.locktype = 'object' AND l.classid = 'pg_catalog.pg_database'::regclass AND l.objid = $1
           AND l.pid IS NOT NULL AND l.pid <> pg_catalog.pg_backend_pid()";
    let rows = session.rows("reading the locks on the database", QUERY, &[&database_oid]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The identifiers of transactions that were prepared in a database. They keep it from being
/// renamed, and can be committed under any read-only default.
pub(crate) async fn prepared(session: &Session, database: &str) -> Result<Vec<String>> {
    const QUERY: &str = "
        SELECT p.gid FROM pg_catalog.pg_prepared_xacts p WHERE p.database = $1 ORDER BY p.prepared, p.gid";
    let rows = session.rows("reading the prepared transactions", QUERY, &[&database]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Tells a session to end; a new process of the same number is left alone. Returns whether this
/// role may do so.
pub(crate) async fn end(session: &Session, other: &SessionInfo) -> Result<bool> {
    const QUERY: &str = "
        SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
         WHERE a.pid = $1 AND ($2::text IS NULL OR a.backend_start::text = $2)";
    match session.rows("ending a session", QUERY, &[&other.pid, &other.began]).await {
        Ok(_) => Ok(true),
        Err(error) if error.sqlstate() == Some("42501") => Ok(false),
        Err(error) => Err(error),
    }
}

/// The refusal that names every session and prepared transaction in the way.
pub(crate) fn in_the_way(
    database: &str,
    inside: &[SessionInfo],
    entering: &[i32],
    prepared: &[String],
) -> Error {
    let sessions = inside.iter().map(ToString::to_string);
    let entering = entering.iter().map(|pid| format!("a session that is starting (pid {pid})"));
    let prepared =
        prepared.iter().map(|gid| format!("prepared transaction {}", gid.escape_debug()));
    Error::StillInUse {
        database: database.to_owned(),
        by: sessions.chain(entering).chain(prepared).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_by_what_is_known_of_it() {
        let mut session = SessionInfo {
            pid: 7,
            began: None,
            kind: Some("client backend".into()),
            role: Some("app".into()),
            application: Some("worker\n1".into()),
            address: Some("192.0.2.1".into()),
        };
        assert_eq!(session.to_string(), "app (pid 7, worker\\n1, from 192.0.2.1)");
        session.kind = Some("logical replication worker".into());
        (session.role, session.application, session.address) = (None, None, None);
        assert_eq!(session.to_string(), "no role (pid 7, logical replication worker)");
    }
}
