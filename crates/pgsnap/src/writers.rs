//! An inventory of writers: the clients that write to each table, and the tables that change
//! without a client being seen.
//!
//! Three sources are put side by side for some time:
//!
//! * **Locks** are sampled. They name the role, application, address and table of a transaction
//!   that is under way. Short ones are missed.
//! * **Counters** of tables are read at the beginning and the end. They miss nothing and name no
//!   client, and are late by some seconds, or by a minute in a session that stays idle.
//! * **`pg_stat_statements`**, where the database has it, names roles and kinds of statements.
//!
//! A table that the counters show and the samples do not is listed as one without a named writer.
//! [`WriterOptions::hold`] finds every writer: it locks the tables, so that writers wait and are
//! seen. Writers of large objects are not seen either way.
//!
//! Tested on PostgreSQL 14, 15, 16, 17 and 18.

mod hold;
mod statements;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::database::Database;
use crate::error::Result;
use crate::fence::LIMITS;
use crate::name::TableName;
use crate::session::Session;

pub use hold::{WriteHold, hold_writes};
pub use statements::StatementWrites;

/// Options of [`writers`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WriterOptions {
    /// The time to watch: at least the longest pause of a periodic writer. Default: one minute.
    pub window: Duration,
    /// The pause between two samples. Default: 50 ms.
    pub interval: Duration,
    /// Lock every table against writers for the whole window, so that each is seen. **Writers wait
    /// for as long.** Default: no.
    pub hold: bool,
    /// The limit for taking these locks. Default: 5 s.
    pub lock_timeout: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            interval: Duration::from_millis(50),
            hold: false,
            lock_timeout: Duration::from_secs(5),
        }
    }
}

/// A client that writes to a table, or another process that does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Writer {
    /// The table.
    pub table: TableName,
    /// The role; none for a process without one, such as the worker of a subscription.
    pub role: Option<String>,
    /// The name that the client gave itself.
    pub application: Option<String>,
    /// The client's address; none over a socket file.
    pub address: Option<String>,
    /// The kind of process, such as `client backend`.
    pub kind: Option<String>,
}

/// Changes of the rows of a table, by the server's counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableWrites {
    /// The table.
    pub table: TableName,
    /// Rows inserted.
    pub inserted: i64,
    /// Rows updated.
    pub updated: i64,
    /// Rows deleted.
    pub deleted: i64,
}

impl TableWrites {
    fn since(&self, earlier: Option<&Self>) -> Self {
        let less = |now: i64, was: fn(&Self) -> i64| now - earlier.map_or(0, was);
        Self {
            table: self.table.clone(),
            inserted: less(self.inserted, |table| table.inserted),
            updated: less(self.updated, |table| table.updated),
            deleted: less(self.deleted, |table| table.deleted),
        }
    }

    fn is_written(&self) -> bool {
        (self.inserted, self.updated, self.deleted) != (0, 0, 0)
    }
}

/// The writers and their changes.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Writers {
    /// Every writer that was seen, table by table.
    pub writers: Vec<Writer>,
    /// Every table whose counters moved.
    pub tables: Vec<TableWrites>,
    /// Those of them of which no writer was seen.
    pub unnamed: Vec<TableName>,
    /// Statements by `pg_stat_statements`; `None` where the database does not have it, or this role
    /// may not read it.
    pub statements: Option<Vec<StatementWrites>>,
    /// The counters were reset meanwhile, so that `tables` and `unnamed` say too little.
    pub counters_reset: bool,
    /// The number of samples.
    pub samples: u32,
}

/// Watches the writers of a database for some time. Changes nothing; with [`WriterOptions::hold`]
/// writers wait.
///
/// # Errors
/// Connection errors and what the server answers; where tables are to be locked, that they were not
/// to be had in time (which may be tried again) or that this role may not lock them.
pub async fn writers(database: &Database, options: &WriterOptions) -> Result<Writers> {
    let session = Session::open_read_only(database, "writers").await?;
    session.execute("the session settings", LIMITS).await?;
    let hold = match options.hold {
        true => Some(hold_writes(database, options.lock_timeout).await?),
        false => None,
    };
    let before = Counters::read(&session).await?;
    let mut seen = BTreeSet::new();
    let mut samples = 0;
    let end = Instant::now() + options.window;
    loop {
        seen.extend(sample(&session).await?);
        samples += 1;
        if Instant::now() >= end {
            break;
        }
        tokio::time::sleep(options.interval).await;
    }
    if let Some(hold) = hold {
        hold.release().await?;
    }
    let after = Counters::read(&session).await?;
    let tables = after.since(&before);
    let is_named = |table: &TableName| seen.iter().any(|writer: &Writer| writer.table == *table);
    let unnamed = tables.iter().map(|table| &table.table).filter(|table| !is_named(table));
    Ok(Writers {
        unnamed: unnamed.cloned().collect(),
        statements: statements::since(after.statements, before.statements),
        counters_reset: before.reset != after.reset,
        writers: seen.into_iter().collect(),
        tables,
        samples,
    })
}

/// Transactions that hold the lock of a writer, or wait for one.
async fn sample(session: &Session) -> Result<Vec<Writer>> {
    const QUERY: &str = "
        SELECT DISTINCT n.nspname::text, c.relname::text, a.usename::text, a.application_name, pg_catalog.host(a.client_addr), a.backend_type
          FROM pg_catalog.pg_locks l
          JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
           AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
           AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
           AND a.backend_type IS DISTINCT FROM 'autovacuum worker' AND l.pid <> pg_catalog.pg_backend_pid()";
    let rows = session.rows("looking for writers", QUERY, &[]).await?;
    let writers = rows.iter().map(|row| Writer {
        table: TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
        role: row.get(2),
        application: row.get(3),
        address: row.get(4),
        kind: row.get(5),
    });
    Ok(writers.collect())
}

/// The server's counters at one moment.
struct Counters {
    tables: BTreeMap<u32, TableWrites>,
    reset: Option<String>,
    statements: Option<statements::Counted>,
}

impl Counters {
    async fn read(session: &Session) -> Result<Self> {
        const TABLES: &str = "
            SELECT s.relid, s.schemaname::text, s.relname::text, s.n_tup_ins, s.n_tup_upd, s.n_tup_del
              FROM pg_catalog.pg_stat_user_tables s JOIN pg_catalog.pg_class c ON c.oid = s.relid WHERE c.relpersistence <> 't'";
        const RESET: &str = "
            SELECT concat_ws(' ', s.stats_reset, pg_catalog.pg_postmaster_start_time()) FROM pg_catalog.pg_stat_database s
             WHERE s.datname = pg_catalog.current_database()";
        let rows = session.rows("reading the counters of tables", TABLES, &[]).await?;
        let tables = rows.iter().map(|row| {
            let table = TableName::new(row.get::<_, String>(1), row.get::<_, String>(2));
            let (inserted, updated, deleted) = (row.get(3), row.get(4), row.get(5));
            (row.get(0), TableWrites { table, inserted, updated, deleted })
        });
        let reset = session.rows("reading the counters of tables", RESET, &[]).await?;
        Ok(Self {
            tables: tables.collect(),
            reset: reset.first().map(|row| row.get(0)),
            statements: statements::read(session).await?,
        })
    }

    fn since(&self, earlier: &Self) -> Vec<TableWrites> {
        let since = |(oid, now): (&u32, &TableWrites)| now.since(earlier.tables.get(oid));
        let mut written: Vec<_> =
            self.tables.iter().map(since).filter(TableWrites::is_written).collect();
        written.sort_by(|a, b| a.table.cmp(&b.table));
        written
    }
}
