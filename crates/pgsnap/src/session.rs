//! One connection with the settings every row must be read and written under.

mod coalescing;
mod connect;

use std::pin::pin;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CopyInSink, CopyOutStream, Row, RowStream, SimpleQueryMessage};

pub(crate) use self::coalescing::{Coalescing, Guard};
use self::connect::{ASK_MARK, Connected};
use crate::database::{Database, ServerRole};
use crate::error::{Error, Result};

/// Settings under which text is read and written. The first block is what `pg_dump` sets
/// (`setup_connection` in `src/bin/pg_dump/pg_dump.c`); the second keeps defaults of a
/// role or database from leaking into the text of a row, or changing what a text means.
const SETTINGS: &str = "
    SET standard_conforming_strings = on;
    SET DateStyle = 'ISO, YMD';
    SET IntervalStyle = 'postgres';
    SET extra_float_digits = 3;
    SET synchronize_seqscans = off;
    SET statement_timeout = 0;
    SET lock_timeout = 0;
    SET idle_in_transaction_session_timeout = 0;
    SET row_security = off;

    SET bytea_output = 'hex';
    SET xmlbinary = 'base64';
    SET xmloption = 'content';
    SET array_nulls = on;
    SET transform_null_equals = off;
    SET backslash_quote = safe_encoding;
    SET lc_monetary = 'C';
    SET TimeZone = 'UTC';
    SET quote_all_identifiers = off;
    SET client_min_messages = 'warning';
    SET check_function_bodies = off;
    SET jit = off;
    SET max_parallel_workers_per_gather = 0;
    SELECT pg_catalog.set_config('search_path', '', false);
    SELECT pg_catalog.set_config(name, '0', false)
      FROM pg_catalog.pg_settings WHERE name IN ('transaction_timeout', 'idle_session_timeout');
";

/// Bytes of an answer that is kept as a whole: the catalogue of a hundred thousand tables takes
/// half of it.
const LONGEST_ANSWER: usize = 256 << 20;
/// The overhead of a row over its bytes.
const ROW_OVERHEAD: usize = 256;

/// Returns the remaining budget of an answer after more bytes of it.
fn less(left: usize, bytes: usize, context: &str) -> Result<usize> {
    left.checked_sub(bytes)
        .ok_or_else(|| Error::TooLarge { what: format!("the server's answer to {context}") })
}

/// The default of the session's transactions. Code that runs in one of them cannot change that one
/// any more, but it can change this default: what reads the user's expressions begins its
/// transaction itself, with [`BEGIN_READ_ONLY`].
const READ_ONLY: &str = "SET default_transaction_read_only = on";

/// Begins a transaction that nothing can make writable: the server allows that before the first
/// query only.
const BEGIN_READ_ONLY: &str = "BEGIN TRANSACTION READ ONLY; SELECT 1";

/// A connection whose driver task ends with it: dropping a session in the middle of a COPY closes
/// the socket instead of draining the rest of the table.
pub(crate) struct Session {
    connected: Connected,
}

impl Session {
    /// Connects for reading only, and says so to the server: every transaction of the session is
    /// read-only, also one that nobody began.
    ///
    /// It is said once the session has begun: a trigger on login may have to write.
    pub(crate) async fn open_read_only(database: &Database, purpose: &str) -> Result<Self> {
        let session = Self::open(database, purpose).await?;
        session.execute("the session settings", READ_ONLY).await?;
        Ok(session)
    }

    /// Connects and applies the fixed settings. `purpose` shows in `pg_stat_activity`.
    ///
    /// The connect timeout covers all of it: something that accepts connections and then says
    /// nothing (a forward to a dead host, a stopped server) must not hold us forever.
    pub(crate) async fn open(database: &Database, purpose: &str) -> Result<Self> {
        let limit = database.connect_timeout();
        tokio::time::timeout(limit, Self::open_now(database, purpose)).await.unwrap_or_else(|_| {
            Err(Error::ConnectTimeout { target: database.to_string(), seconds: limit.as_secs() })
        })
    }

    async fn open_now(database: &Database, purpose: &str) -> Result<Self> {
        let connected = Connected::open(database, purpose).await?;
        let session = Self { connected };
        let settings = format!("{SETTINGS} {ASK_MARK}");
        let mark = session.last_value("the session settings", &settings).await?;
        if !session.connected.is_marked(mark.as_deref()) {
            return Err(Error::Pooler { target: database.to_string() });
        }
        session.require_role(database).await?;
        // SQL_ASCII means "bytes of unknown encoding": they must pass unconverted.
        session
            .execute(
                "the client encoding",
                "SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)
                   WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'",
            )
            .await?;
        Ok(session)
    }

    async fn require_role(&self, database: &Database) -> Result<()> {
        let Some(wanted) = database.server_role() else {
            return Ok(());
        };
        // Nothing of ours has changed the default of the session's transactions yet.
        let query = "SELECT pg_catalog.pg_is_in_recovery(),
            pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool";
        let row = self.row("asking for the server's role", query, &[]).await?;
        let (is_standby, is_read_only) = (row.get(0), row.get(1));
        let target = database.to_string();
        match wanted {
            ServerRole::Primary if is_standby => Err(Error::ServerRole { target, is_standby }),
            ServerRole::Standby if !is_standby => Err(Error::ServerRole { target, is_standby }),
            ServerRole::ReadWrite if is_read_only => {
                Err(Error::AccessMode { target, is_read_only })
            }
            ServerRole::ReadOnly if !is_read_only => {
                Err(Error::AccessMode { target, is_read_only })
            }
            _ => Ok(()),
        }
    }

    /// A session that the server ended by itself only says that it is closed; why was said before.
    fn failed(&self, context: &str, error: tokio_postgres::Error) -> Error {
        match self.connected.farewell.get().and_then(tokio_postgres::Error::as_db_error) {
            Some(farewell) if error.as_db_error().is_none() => Error::server(context, farewell),
            _ => Error::query(context, error),
        }
    }

    /// Refuses to read views and foreign tables: one that took a table's name must not run its code
    /// with our rights (CVE-2024-7348). For sessions that read rows; a restore must refresh views.
    pub(crate) async fn read_tables_only(&self) -> Result<()> {
        const SQL: &str = "SELECT pg_catalog.set_config(name, 'view, foreign-table', false)
            FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind'";
        self.execute("the session settings", SQL).await
    }

    /// Lets a session that [reads tables only](Self::read_tables_only) read foreign tables as well,
    /// which somebody asked for.
    pub(crate) async fn read_foreign_tables(&self) -> Result<()> {
        const SQL: &str = "SELECT pg_catalog.set_config(name, 'view', false)
            FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind'";
        self.execute("the session settings", SQL).await
    }

    /// Begins a transaction that can only read. It ends with the session.
    pub(crate) async fn begin_read_only(&self) -> Result<()> {
        self.execute("the start of a transaction", BEGIN_READ_ONLY).await
    }

    /// Runs one or more statements that return nothing of interest.
    pub(crate) async fn execute(&self, context: &str, sql: &str) -> Result<()> {
        self.connected.client.batch_execute(sql).await.map_err(|error| self.failed(context, error))
    }

    pub(crate) async fn rows(
        &self,
        context: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let mut stream = pin!(self.stream(context, sql, parameters).await?);
        let (mut rows, mut left) = (Vec::new(), LONGEST_ANSWER);
        while let Some(row) = stream.next().await {
            let row = row.map_err(|error| self.failed(context, error))?;
            left = less(left, ROW_OVERHEAD + row.raw_size_bytes(), context)?;
            rows.push(row);
        }
        Ok(rows)
    }

    pub(crate) async fn row(
        &self,
        context: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row> {
        self.connected
            .client
            .query_one(sql, parameters)
            .await
            .map_err(|error| self.failed(context, error))
    }

    /// Rows as they arrive, for results that do not fit in memory.
    pub(crate) async fn stream(
        &self,
        context: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<RowStream> {
        self.connected
            .client
            .query_raw(sql, parameters.iter().copied())
            .await
            .map_err(|error| self.failed(context, error))
    }

    pub(crate) async fn copy_out(&self, context: &str, sql: &str) -> Result<CopyOutStream> {
        self.connected.client.copy_out(sql).await.map_err(|error| self.failed(context, error))
    }

    pub(crate) async fn copy_in(&self, context: &str, sql: &str) -> Result<CopyInSink<Bytes>> {
        self.connected.client.copy_in(sql).await.map_err(|error| self.failed(context, error))
    }

    /// The first column of the first row, as text. For the user's own checks.
    pub(crate) async fn scalar(&self, context: &str, sql: &str) -> Result<Option<String>> {
        let rows = self.simple_rows(context, sql).await?;
        Ok(rows.first().and_then(|row| row.get(0)).map(str::to_owned))
    }

    /// The first column of the last row of several statements.
    async fn last_value(&self, context: &str, sql: &str) -> Result<Option<String>> {
        let rows = self.simple_rows(context, sql).await?;
        Ok(rows.last().and_then(|row| row.get(0)).map(str::to_owned))
    }

    async fn simple_rows(
        &self,
        context: &str,
        sql: &str,
    ) -> Result<Vec<tokio_postgres::SimpleQueryRow>> {
        let answer = self.connected.client.simple_query_raw(sql).await;
        let mut answer = pin!(answer.map_err(|error| self.failed(context, error))?);
        let (mut rows, mut left) = (Vec::new(), LONGEST_ANSWER);
        while let Some(message) = answer.next().await {
            let message = message.map_err(|error| self.failed(context, error))?;
            if let SimpleQueryMessage::Row(row) = message {
                let values = (0..row.len()).filter_map(|column| row.get(column));
                let bytes: usize = values.map(str::len).sum();
                left = less(left, ROW_OVERHEAD + bytes, context)?;
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connected.driver.abort();
    }
}

/// Runs one query against a database and returns the first column of its first row as text.
///
/// `None` means no row, or NULL. The session has the defaults of its role and database, as an
/// application would, except that everything runs in one read-only transaction: this is meant for
/// checks.
///
/// # Errors
/// Connection errors and whatever the server answers.
pub async fn query_scalar(database: &Database, sql: &str) -> Result<Option<String>> {
    let session = Session::open(database, "check").await?;
    session.execute("the session settings", &format!("RESET ALL; {READ_ONLY}")).await?;
    session.begin_read_only().await?;
    session.scalar("a check", sql).await
}

/// Runs statements (simple query protocol, so several may be separated by semicolons) in one
/// session with the server's default settings.
///
/// # Errors
/// Connection errors and whatever the server answers.
pub async fn execute(database: &Database, sql: &str) -> Result<()> {
    // The sessions of this crate ask for no event triggers; statements of others are to be seen by them.
    const SETTINGS: &str = "RESET ALL;
        SELECT pg_catalog.set_config(name, 'on', false) FROM pg_catalog.pg_settings
         WHERE name = 'event_triggers' AND setting = 'off'";
    let session = Session::open(database, "execute").await?;
    session.execute("the session settings", SETTINGS).await?;
    session.execute("the statements", sql).await
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_server_that_says_nothing_does_not_hold_us() {
        // The kernel accepts connections for a listener; nobody ever answers them.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let url = format!("postgresql://hub@127.0.0.1:{port}/hub?connect_timeout=1");
        let begun = Instant::now();
        let database = Database::from_url(&url).unwrap();
        let error = tokio::time::timeout(
            std::time::Duration::from_secs(20),
            query_scalar(&database, "SELECT 1"),
        )
        .await
        .expect("an answer within the limit")
        .unwrap_err();
        assert!(matches!(error, Error::ConnectTimeout { seconds: 1, .. }), "{error}");
        assert!(error.is_retryable() && error.hint().is_some());
        assert!(begun.elapsed().as_secs() < 10);
    }
}
