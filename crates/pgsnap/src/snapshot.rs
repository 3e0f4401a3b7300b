//! One consistent point in time, shared by several sessions.
//!
//! The order matters: **lock first, snapshot after, then look again**. `LOCK` takes no snapshot in
//! a REPEATABLE READ transaction, so everything committed before the last lock was granted is
//! visible, and nothing can TRUNCATE or rewrite a table afterwards. What the catalogue says then
//! holds, whatever it said before; only what came into being meanwhile must still be locked.
//! `pg_dump` takes the snapshot first; a table truncated or rewritten in that window is dumped
//! empty with exit code 0, because neither is MVCC-safe (`doc/src/sgml/mvcc.sgml`, "Caveats").

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use futures_util::stream::{FuturesUnordered, TryStreamExt};

use crate::catalog::{self, Lockable, Table};
use crate::database::Database;
use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::name::TableName;
use crate::session::Session;

/// The least number of attempts to take the snapshot while tables come and go.
const ATTEMPTS: u32 = 5;
/// The other sessions may take this long for their locks once one session has all of them.
const GRACE: Duration = Duration::from_millis(250);
/// The SQLSTATE of a lock that was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// The SQLSTATE of a lock that was refused to end a deadlock.
const DEADLOCK: &str = "40P01";
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(10);
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
    /// Sessions that hold every lock already.
    ready: Mutex<Vec<Session>>,
    /// Sessions were left out, because a writer waits for an exclusive lock.
    is_cut: bool,
}

impl Snapshot {
    /// Locks every table with the leader and `jobs` workers, takes the snapshot and exports it.
    ///
    /// All sessions queue for their locks at the same time. A writer that locks a table exclusively
    /// again and again queues behind the first of them, and a session behind that writer would wait
    /// for ever. Such sessions are left out: see [`readers`](Self::readers).
    ///
    /// # Errors
    /// [`Error::SnapshotUnstable`] if tables keep changing for as long as `lock_timeout`,
    /// [`Error::RowSecurity`] and [`Error::NotReadable`] if this role would see less than
    /// everything.
    pub(crate) async fn take(
        database: &Database,
        purpose: &str,
        lock_timeout: Duration,
        jobs: usize,
    ) -> Result<Self> {
        let deadline = Instant::now() + lock_timeout;
        let leader = open_reader(database, purpose).await?;
        // Refuses a server that is too old before anything else is asked of it.
        let facts = Facts::read(&leader).await?;
        // One more looks into the rows first.
        let further = usize::from(jobs > 0 && Encoding::of_name(&facts.encoding).is_some());
        let mut party = Party { sessions: vec![leader] };
        let mut attempts = 0;
        let detail = loop {
            attempts += 1;
            let before = catalog::lockable(party.leader()).await?;
            let eager = before.len() <= EAGER_LOCKS;
            let wanted = if eager { jobs.min(before.len()) + further } else { 0 };
            party.resize(database, purpose, 1 + wanted).await?;
            let needed = if wanted == 0 { 1 } else { 2 + further };
            let left = deadline.saturating_duration_since(Instant::now()).max(GRACE);
            let attempt = match party.try_take(&before, needed, left).await {
                // The attempts before took the time.
                Err(error) if attempts > 1 && error.sqlstate() == Some(LOCK_NOT_AVAILABLE) => {
                    Err(error.to_string())
                }
                other => other?,
            };
            match attempt {
                Ok((locked, id)) => {
                    let is_cut = party.sessions.len() <= wanted;
                    if is_cut {
                        let sessions = party.sessions.len() - 1;
                        tracing::info!(sessions, "fewer sessions read, because a writer waits");
                    }
                    let mut workers = party.sessions.into_iter();
                    let leader = workers.next().expect("the leader holds its locks");
                    return Ok(Self {
                        facts: Facts::read(&leader).await?,
                        leader,
                        id,
                        database: database.clone(),
                        eager,
                        lock_statements: if eager {
                            lock_statements(&locked, " NOWAIT")
                        } else {
                            Vec::new()
                        },
                        ready: Mutex::new(workers.collect()),
                        is_cut,
                    });
                }
                Err(change) => {
                    tracing::debug!(
                        attempts,
                        change,
                        "tables changed while the snapshot was taken; trying again"
                    );
                    party.roll_back().await?;
                    if attempts >= ATTEMPTS && Instant::now() >= deadline {
                        break change;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        Err(Error::SnapshotUnstable { attempts, detail })
    }

    /// A snapshot without any lock. The rows of a table that is truncated meanwhile are gone from
    /// it, so it is for the catalogue only.
    pub(crate) async fn of_catalogue(database: &Database, purpose: &str) -> Result<Self> {
        let leader = open_reader(database, purpose).await?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        leader.execute("the start of the snapshot", begin).await?;
        let id = export(&leader).await?;
        Ok(Self {
            facts: Facts::read(&leader).await?,
            leader,
            id,
            database: database.clone(),
            eager: false,
            lock_statements: Vec::new(),
            ready: Mutex::default(),
            is_cut: false,
        })
    }

    /// Returns the tables to read, foreign tables of these servers included.
    pub(crate) async fn tables(&self, foreign_servers: &[String]) -> Result<Vec<Table>> {
        catalog::tables(&self.leader, foreign_servers).await
    }

    /// Returns the number of wanted sessions that can read: all, or those that got their locks
    /// before a writer queued for an exclusive one.
    pub(crate) fn readers(&self, wanted: usize) -> usize {
        if !self.is_cut {
            return wanted;
        }
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.min(ready.len().max(1))
    }

    /// A further session that sees exactly this snapshot: one that was made beside the leader, or a
    /// new one. A new one locks without waiting: waiting behind somebody's queued ACCESS EXCLUSIVE
    /// lock would be a deadlock the server cannot see, since the leader holds the lock they wait
    /// for and waits for us outside of the server.
    pub(crate) async fn worker(&self, purpose: &str) -> Result<Session> {
        let import = format!("SET TRANSACTION SNAPSHOT '{}'", self.id);
        let ready = {
            let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            ready.pop()
        };
        if let Some(session) = ready {
            session.execute("the import of the snapshot", &import).await?;
            return Ok(session);
        }
        let session = open_reader(&self.database, purpose).await?;
        let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {import}");
        session.execute("the import of the snapshot", &begin).await?;
        for statement in &self.lock_statements {
            session.execute("locking the tables", statement).await?;
        }
        Ok(session)
    }

    /// Returns true if workers lock every table when they start, or each when they read it.
    pub(crate) fn locks_eagerly(&self) -> bool {
        self.eager
    }

    /// Makes sure the leader is still there: without it the snapshot meant nothing towards the end.
    /// COMMIT alone would not tell: in a failed transaction it reports success.
    pub(crate) async fn finish(self) -> Result<()> {
        self.leader.execute("the end of the snapshot", "SELECT 1").await?;
        self.leader.execute("the end of the snapshot", "COMMIT").await
    }
}

async fn open_reader(database: &Database, purpose: &str) -> Result<Session> {
    let session = Session::open_read_only(database, purpose).await?;
    session.read_tables_only().await?;
    Ok(session)
}

async fn export(leader: &Session) -> Result<String> {
    let query = "SELECT pg_catalog.pg_export_snapshot()";
    Ok(leader.row("exporting the snapshot", query, &[]).await?.get(0))
}

/// The sessions that take their locks together, at least one. The first one is the leader.
struct Party {
    sessions: Vec<Session>,
}

/// A success, or what changed meanwhile and asks for another attempt.
type Attempt<T> = Result<std::result::Result<T, String>>;

impl Party {
    fn leader(&self) -> &Session {
        &self.sessions[0]
    }

    async fn resize(&mut self, database: &Database, purpose: &str, wanted: usize) -> Result<()> {
        let missing = wanted.saturating_sub(self.sessions.len());
        let opening = (0..missing).map(|_| open_reader(database, purpose));
        self.sessions.extend(try_join_all(opening).await?);
        self.sessions.truncate(wanted);
        Ok(())
    }

    /// One attempt with at least `needed` sessions: what is locked, and the snapshot.
    async fn try_take(
        &mut self,
        before: &[Lockable],
        needed: usize,
        lock_timeout: Duration,
    ) -> Attempt<(Vec<Lockable>, String)> {
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = {}",
            lock_timeout.as_millis().max(1)
        );
        let beginning = self
            .sessions
            .iter()
            .map(|session| session.execute("the start of the snapshot", &begin));
        try_join_all(beginning).await?;
        let locked = match self.lock(&lock_statements(before, "")).await? {
            Ok(locked) if locked.len() >= needed => locked,
            Ok(_) => return Ok(Err("another session waits for an exclusive lock".to_owned())),
            Err(change) => return Ok(Err(change)),
        };
        self.keep(&locked);
        let id = export(self.leader()).await?;
        let held = held(self.leader()).await?;
        let after = catalog::lockable(self.leader()).await?;
        let fresh: Vec<Lockable> =
            after.iter().filter(|relation| !held.contains(&relation.oid)).cloned().collect();
        if let Err(change) = self.lock_fresh(&fresh).await? {
            return Ok(Err(change));
        }
        Ok(Ok((after, id)))
    }

    /// Closes the sessions that did not get their locks. The first that did is the leader now.
    fn keep(&mut self, locked: &[usize]) {
        let mut index = 0;
        self.sessions.retain(|_| {
            index += 1;
            locked.contains(&(index - 1))
        });
    }

    /// Locks what came into being between the list and the snapshot, if nobody has changed it
    /// since.
    async fn lock_fresh(&self, fresh: &[Lockable]) -> Attempt<()> {
        // The function asks the newest catalogue, the table of relations is that of the snapshot.
        const REWRITTEN: &str = "
            SELECT c.relname FROM pg_catalog.pg_class c
             WHERE c.oid = ANY ($1) AND pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM NULLIF(c.relfilenode, 0::oid)";
        if fresh.is_empty() {
            return Ok(Ok(()));
        }
        match self.lock(&lock_statements(fresh, " NOWAIT")).await {
            Ok(Ok(locked)) if locked.len() == self.sessions.len() => {}
            Ok(Err(change)) => return Ok(Err(change)),
            Err(error) if error.sqlstate() != Some(LOCK_NOT_AVAILABLE) => return Err(error),
            _ => return Ok(Err(format!("{} is locked", fresh[0].name))),
        }
        let held = held(self.leader()).await?;
        if let Some(replaced) = fresh.iter().find(|new| !held.contains(&new.oid)) {
            return Ok(Err(format!("{} was replaced", replaced.name)));
        }
        let oids: Vec<u32> = fresh.iter().map(|new| new.oid).collect();
        let rewritten =
            self.leader().rows("reading the list of tables", REWRITTEN, &[&oids]).await?;
        Ok(match rewritten.first() {
            Some(_) => Err(format!("{} or another new table was rewritten", fresh[0].name)),
            None => Ok(()),
        })
    }

    /// Locks with all sessions at once, and returns those that have their locks soon after the
    /// first.
    ///
    /// From then on nobody holds a lock against us: a session that still waits does so behind a
    /// writer that waits for us.
    async fn lock(&self, statements: &[String]) -> Attempt<Vec<usize>> {
        let locking: FuturesUnordered<_> = self
            .sessions
            .iter()
            .enumerate()
            .map(async |(index, session)| {
                for statement in statements {
                    session.execute("locking the tables", statement).await?;
                }
                Ok::<_, Error>(index)
            })
            .collect();
        match first_locked(locking).await {
            Ok(locked) => Ok(Ok(locked)),
            // A table was dropped or renamed since the list was read, or a migration locks in another order.
            Err(Error::Server { code, message, .. })
                if matches!(code.as_str(), "42P01" | "3F000" | "42809" | DEADLOCK) =>
            {
                Ok(Err(message))
            }
            Err(error) => Err(error),
        }
    }

    /// The leader first: others may wait behind somebody who waits for it.
    async fn roll_back(&self) -> Result<()> {
        let context = "the end of the attempt";
        self.leader().execute(context, "ROLLBACK").await?;
        let rolling = self.sessions[1..].iter().map(|worker| worker.execute(context, "ROLLBACK"));
        try_join_all(rolling).await.map(drop)
    }
}

/// Waits for the first to succeed, and a moment longer for the others.
async fn first_locked(
    mut locking: FuturesUnordered<impl Future<Output = Result<usize>>>,
) -> Result<Vec<usize>> {
    let mut locked = Vec::from_iter(locking.try_next().await?);
    let grace = tokio::time::sleep(GRACE);
    tokio::pin!(grace);
    loop {
        tokio::select! {
            next = locking.try_next() => match next {
                Ok(Some(index)) => locked.push(index),
                Ok(None) => break,
                Err(error) if matches!(error.sqlstate(), Some(LOCK_NOT_AVAILABLE | DEADLOCK)) => {}
                Err(error) => return Err(error),
            },
            () = &mut grace => break,
        }
    }
    Ok(locked)
}

/// The relations that a session has locked.
async fn held(session: &Session) -> Result<HashSet<u32>> {
    const QUERY: &str = "
        SELECT l.relation FROM pg_catalog.pg_locks l
         WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted
           AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";
    let rows = session.rows("reading the locks", QUERY, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
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
    let names: Vec<String> = relations.map(|name| format!("ONLY {}", name.quoted())).collect();
    format!("LOCK TABLE {} IN ACCESS SHARE MODE{suffix}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(oid: u32, name: &str) -> Lockable {
        Lockable { oid, name: TableName::new("public", name) }
    }

    #[test]
    fn many_tables_are_locked_in_batches() {
        let relations: Vec<_> = (0..1200).map(|oid| relation(oid, "t")).collect();
        assert_eq!(lock_statements(&relations, " NOWAIT").len(), 3);
    }
}
