//! One consistent point in time, shared by several sessions.
//!
//! The order matters: **lock first, snapshot after, then look again**. `LOCK` takes no
//! snapshot in a REPEATABLE READ transaction, so everything committed before the last lock was granted is
//! visible, and nothing can TRUNCATE or rewrite a table afterwards. `pg_dump` takes the snapshot first;
//! a table truncated or rewritten in that window is dumped empty with exit code 0, because neither
//! is MVCC-safe (`doc/src/sgml/mvcc.sgml`, "Caveats").

use std::time::Duration;

use crate::catalog::{self, Lockable, Table};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::name::TableName;
use crate::session::Session;

/// How often taking the snapshot is tried while tables come and go.
const ATTEMPTS: u32 = 5;
/// Above this many tables workers lock what they read when they read it: a lock held by every
/// worker on every table would exhaust the server's lock table.
const EAGER_LOCKS: usize = 1000;
/// Tables per LOCK statement.
const LOCK_BATCH: usize = 500;

/// An exported snapshot. Valid while it lives.
pub(crate) struct Snapshot {
    pub(crate) leader: Session,
    pub(crate) facts: Facts,
    /// The identifier for `SET TRANSACTION SNAPSHOT`.
    pub(crate) id: String,
    database: Database,
    eager: bool,
    lock_statements: Vec<String>,
}

impl Snapshot {
    /// Locks every table, takes the snapshot and exports it.
    ///
    /// # Errors
    /// [`Error::SnapshotUnstable`] if tables keep changing, [`Error::RowSecurity`] and
    /// [`Error::NotReadable`] if this role would see less than everything.
    pub(crate) async fn take(
        database: &Database,
        purpose: &str,
        lock_timeout: Duration,
    ) -> Result<Self> {
        let leader = Session::open(database, purpose).await?;
        leader.read_tables_only().await?;
        // Refuses a server that is too old before anything else is asked of it.
        Facts::read(&leader).await?;
        let mut detail = String::new();
        for attempt in 1..=ATTEMPTS {
            match try_take(&leader, lock_timeout).await? {
                Ok((locked, id)) => {
                    let facts = Facts::read(&leader).await?;
                    let eager = locked.len() <= EAGER_LOCKS;
                    return Ok(Self {
                        leader,
                        facts,
                        id,
                        database: database.clone(),
                        eager,
                        lock_statements: if eager {
                            lock_statements(&locked, " NOWAIT")
                        } else {
                            Vec::new()
                        },
                    });
                }
                Err(change) => {
                    tracing::info!(
                        attempt,
                        change,
                        "tables changed while the snapshot was taken; trying again"
                    );
                    detail = change;
                    leader.execute("the end of the attempt", "ROLLBACK").await?;
                }
            }
        }
        Err(Error::SnapshotUnstable {
            attempts: ATTEMPTS,
            detail,
        })
    }

    /// What there is to read, foreign tables of these servers included.
    pub(crate) async fn tables(&self, foreign_servers: &[String]) -> Result<Vec<Table>> {
        catalog::tables(&self.leader, foreign_servers).await
    }

    /// A further session that sees exactly this snapshot. It locks without waiting: waiting behind
    /// somebody's queued ACCESS EXCLUSIVE lock would be a deadlock the server cannot see, since
    /// the leader holds the lock they wait for and waits for us outside of the server.
    pub(crate) async fn worker(&self, purpose: &str) -> Result<Session> {
        let session = Session::open(&self.database, purpose).await?;
        session.read_tables_only().await?;
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{}'",
            self.id
        );
        session
            .execute("the import of the snapshot", &begin)
            .await?;
        for statement in &self.lock_statements {
            session.execute("locking the tables", statement).await?;
        }
        Ok(session)
    }

    /// Whether workers lock every table when they start, or each when they read it.
    pub(crate) fn locks_eagerly(&self) -> bool {
        self.eager
    }

    /// Makes sure the leader is still there: without it the snapshot meant nothing towards the end.
    /// COMMIT alone would not tell: in a failed transaction it reports success.
    pub(crate) async fn finish(self) -> Result<()> {
        self.leader
            .execute("the end of the snapshot", "SELECT 1")
            .await?;
        self.leader
            .execute("the end of the snapshot", "COMMIT")
            .await
    }
}

/// One attempt. The inner error tells what changed and asks for another attempt.
async fn try_take(
    leader: &Session,
    lock_timeout: Duration,
) -> Result<std::result::Result<(Vec<Lockable>, String), String>> {
    let before = catalog::lockable(leader).await?;
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = {}",
        lock_timeout.as_millis()
    );
    leader.execute("the start of the snapshot", &begin).await?;
    for statement in lock_statements(&before, "") {
        match leader.execute("locking the tables", &statement).await {
            Ok(()) => {}
            // A table was dropped or renamed since the list was read.
            Err(Error::Server { code, message, .. })
                if matches!(code.as_str(), "42P01" | "3F000" | "42809") =>
            {
                return Ok(Err(message));
            }
            Err(error) => return Err(error),
        }
    }
    let id: String = leader
        .row(
            "exporting the snapshot",
            "SELECT pg_catalog.pg_export_snapshot()",
            &[],
        )
        .await?
        .get(0);
    let after = catalog::lockable(leader).await?;
    if let Some(change) = difference(&before, &after) {
        return Ok(Err(change));
    }
    Ok(Ok((after, id)))
}

fn difference(before: &[Lockable], after: &[Lockable]) -> Option<String> {
    if before == after {
        return None;
    }
    let gone = before.iter().find(|relation| !after.contains(relation));
    let new = after.iter().find(|relation| !before.contains(relation));
    Some(match (gone, new) {
        (Some(old), Some(new)) if old.oid == new.oid => {
            format!("{} was rewritten or renamed", old.name)
        }
        (Some(old), _) => format!("{} disappeared", old.name),
        (_, Some(new)) => format!("{} appeared", new.name),
        (None, None) => "the order of the tables changed".to_owned(),
    })
}

fn lock_statements(relations: &[Lockable], suffix: &str) -> Vec<String> {
    relations
        .chunks(LOCK_BATCH)
        .map(|batch| lock(batch.iter().map(|relation| &relation.name), suffix))
        .collect()
}

/// The statement with which a worker locks what it reads next if it did not lock all at its start.
pub(crate) fn lock_statement<'a>(relations: impl Iterator<Item = &'a TableName>) -> String {
    lock(relations, " NOWAIT")
}

fn lock<'a>(relations: impl Iterator<Item = &'a TableName>, suffix: &str) -> String {
    let names: Vec<String> = relations
        .map(|name| format!("ONLY {}", name.quoted()))
        .collect();
    format!(
        "LOCK TABLE {} IN ACCESS SHARE MODE{suffix}",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(oid: u32, name: &str, filenode: u32) -> Lockable {
        Lockable {
            oid,
            name: TableName::new("public", name),
            filenode,
        }
    }

    #[test]
    fn a_rewritten_table_is_noticed_by_its_file() {
        let change = difference(&[relation(1, "a", 10)], &[relation(1, "a", 11)]);
        assert_eq!(
            change.as_deref(),
            Some("\"public\".\"a\" was rewritten or renamed")
        );
    }

    #[test]
    fn a_table_replaced_under_the_same_name_is_noticed() {
        assert!(difference(&[relation(1, "a", 10)], &[relation(2, "a", 10)]).is_some());
        assert!(difference(&[relation(1, "a", 10)], &[relation(1, "a", 10)]).is_none());
    }

    #[test]
    fn many_tables_are_locked_in_batches() {
        let relations: Vec<_> = (0..1200).map(|oid| relation(oid, "t", 0)).collect();
        assert_eq!(lock_statements(&relations, " NOWAIT").len(), 3);
    }
}
