//! Locks that let readers go on and make every writer wait.

use std::time::Duration;

use crate::database::Database;
use crate::error::Result;
use crate::name::TableName;
use crate::session::Session;

/// A lock on every table of a database against writers, DDL included. Readers, dumps and censuses
/// go on.
///
/// It ends with the value, the session or the server, whichever ends first, so it is no fence.
/// Sequences, new tables and large objects are not covered: the server opens large objects for
/// reading as it does for writing, so a lock would also stop their readers.
pub struct WriteHold {
    session: Session,
}

impl WriteHold {
    /// Lets the writers go on.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`](crate::Error::ConnectionLost) and
    /// [`Error::Server`](crate::Error::Server) where the session had ended, so that writers may
    /// have gone on earlier.
    pub async fn release(self) -> Result<()> {
        self.session.execute("the end of the locks", "ROLLBACK").await
    }
}

/// Locks every table of a database in SHARE mode. It waits at most `lock_timeout` for transactions
/// that are under way.
///
/// The role needs UPDATE, DELETE, TRUNCATE or MAINTAIN on every table. No transaction number is
/// taken.
///
/// # Errors
/// [`Error::Server`](crate::Error::Server) where a lock was not granted in time, which is
/// retryable, or is not allowed to this role; then nothing is locked.
pub async fn hold_writes(database: &Database, lock_timeout: Duration) -> Result<WriteHold> {
    const TABLES: &str = "
        SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
           AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY c.oid";
    const BATCH: usize = 500;
    let context = "locking the tables against writers";
    let session = Session::open_read_only(database, "hold").await?;
    let rows = session.rows(context, TABLES, &[]).await?;
    let tables: Vec<TableName> = rows
        .iter()
        .map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)))
        .collect();
    let begin = format!("BEGIN; SET LOCAL lock_timeout = {}", lock_timeout.as_millis().max(1));
    session.execute(context, &begin).await?;
    for batch in tables.chunks(BATCH) {
        let names: Vec<String> =
            batch.iter().map(|table| format!("ONLY {}", table.quoted())).collect();
        let lock = format!("LOCK TABLE {} IN SHARE MODE", names.join(", "));
        session.execute(context, &lock).await?;
    }
    Ok(WriteHold { session })
}
