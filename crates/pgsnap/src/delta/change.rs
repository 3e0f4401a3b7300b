//! The one transaction that brings the base up to the source.
//!
//! It locks every table against other writers before anything is decided, and is committed only
//! once the base is proven: until then the base is as it was, whatever ends the session. Deletes
//! come before inserts, since a new row may have a key that an old one still holds. So new rows
//! wait in temporary tables of the server, and neither our memory nor our disk has to hold them.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_postgres::CopyInSink;

use super::index::Place;
use crate::archive::copy_in_statement;
use crate::catalog::{self, Part, Table};
use crate::census::TableCensus;
use crate::database::Database;
use crate::digest::{Buckets, Digest, Tally};
use crate::error::{Error, Result};
use crate::name::{TableName, quote_identifier};
use crate::session::Session;

/// Keeps triggers, rules and checks of foreign keys from being run.
pub(super) const REPLICA: &str = "SET session_replication_role = replica";

/// Rows that the base lacks.
pub(super) struct NewRows {
    pub(super) table: usize,
    /// Whole rows, as COPY takes them.
    pub(super) rows: Bytes,
}

/// The transaction.
pub(super) struct Change<'a> {
    pub(super) session: Session,
    /// Read with their places.
    tables: &'a [Table],
    changes: Vec<TableChange>,
}

/// The change of one table, as the server has shown it.
#[derive(Default)]
struct TableChange {
    /// New rows sent to the temporary table, if there is one.
    staged: Option<u64>,
    deleted: Option<Tally>,
    inserted: Option<Tally>,
}

impl TableChange {
    fn rows(tally: &Option<Tally>) -> u64 {
        tally.as_ref().map_or(0, |tally| tally.rows)
    }
}

impl<'a> Change<'a> {
    /// Begins the transaction and locks every table of the base against other writers.
    pub(super) async fn begin(
        base: &Database,
        tables: &'a [Table],
        lock_timeout: Duration,
    ) -> Result<Self> {
        const BATCH: usize = 500;
        let session = Session::open(base, "delta").await?;
        session.execute("the session settings", REPLICA).await?;
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = {}",
            lock_timeout.as_millis().max(1)
        );
        session.execute("the start of the delta", &begin).await?;
        for batch in catalog::lockable(&session).await?.chunks(BATCH) {
            let names: Vec<String> =
                batch.iter().map(|table| format!("ONLY {}", table.name.quoted())).collect();
            let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", names.join(", "));
            session.execute("locking the tables of the base", &lock).await?;
        }
        let changes = tables.iter().map(|_| TableChange::default()).collect();
        Ok(Self { session, tables, changes })
    }

    /// Takes new rows into temporary tables until no more come.
    pub(super) async fn stage(&mut self, mut rows: mpsc::Receiver<NewRows>) -> Result<()> {
        /// Bytes per protocol message.
        const MESSAGE: usize = 128 << 10;
        let mut open: Option<(usize, Pin<Box<CopyInSink<Bytes>>>)> = None;
        while let Some(NewRows { table, mut rows }) = rows.recv().await {
            if open.as_ref().is_some_and(|(other, _)| *other != table) {
                self.end_staging(open.take()).await?;
            }
            let (_, sink) = match &mut open {
                Some(open) => open,
                none => none.insert((table, self.begin_staging(table).await?)),
            };
            let context = staging_context(&self.tables[table]);
            let count = memchr::memchr_iter(b'\n', &rows).count() as u64;
            *self.changes[table].staged.get_or_insert_default() += count;
            while !rows.is_empty() {
                let message = rows.split_to(rows.len().min(MESSAGE));
                sink.feed(message).await.map_err(|error| Error::query(&context, error))?;
            }
        }
        self.end_staging(open).await
    }

    async fn begin_staging(&self, table: usize) -> Result<Pin<Box<CopyInSink<Bytes>>>> {
        let (staging, table_) = (staging_name(table), &self.tables[table]);
        let context = staging_context(table_);
        if self.changes[table].staged.is_none() {
            let create = format!(
                "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA",
                staging.quoted(),
                column_list(table_),
                table_.name.quoted(),
            );
            self.session.execute(&context, &create).await?;
        }
        let columns = table_.columns.iter().map(|column| column.name.as_str());
        let statement = copy_in_statement(&staging, columns, table_.encoding);
        Ok(Box::pin(self.session.copy_in(&context, &statement).await?))
    }

    async fn end_staging(&self, open: Option<(usize, Pin<Box<CopyInSink<Bytes>>>)>) -> Result<()> {
        if let Some((table, mut sink)) = open {
            let context = staging_context(&self.tables[table]);
            sink.as_mut().finish().await.map_err(|error| Error::query(context, error))?;
        }
        Ok(())
    }

    /// Deletes the rows at these places, in order of their places. What the server says it deleted
    /// is counted and digested.
    pub(super) async fn delete(&mut self, table: usize, places: &[Place]) -> Result<()> {
        /// Rows per statement.
        const BATCH: usize = 20_000;
        let model = &self.tables[table];
        let mut tally = Tally::new(model.digest_key());
        if places.is_empty() {
            return Ok(());
        }
        // The server would otherwise read the whole table for each statement.
        self.session.execute("deleting rows", "SET LOCAL enable_seqscan = off").await?;
        for of_part in places.chunk_by(|a, b| a.part() == b.part()) {
            let part = &model.parts[of_part[0].part()];
            for batch in of_part.chunks(BATCH) {
                self.read_into(&mut tally, model, part, &delete_statement(model, part, batch))
                    .await?;
            }
        }
        self.session.execute("deleting rows", "RESET enable_seqscan").await?;
        let (deleted, sent) = (tally.rows, places.len() as u64);
        if deleted != sent {
            let what = format!("{} of {sent} rows of {} are there", deleted, model.name);
            return Err(Error::BaseChanged { what });
        }
        self.changes[table].deleted = Some(tally);
        Ok(())
    }

    /// Inserts the rows that wait for a table. They are read back, counted and digested: by the
    /// number of this transaction, they are the rows that it wrote.
    pub(super) async fn insert(&mut self, table: usize) -> Result<()> {
        const NUMBER: &str = "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.xid::text";
        let model = &self.tables[table];
        if self.changes[table].staged.is_none() {
            return Ok(());
        }
        let context = format!("inserting rows into {}", model.name);
        self.session.execute(&context, &insert_statement(model, &staging_name(table))).await?;
        let number: String = self.session.row(&context, NUMBER, &[]).await?.get(0);
        let mut tally = Tally::new(model.digest_key());
        for part in &model.parts {
            let written = format!(
                "COPY (SELECT {} FROM ONLY {} WHERE xmin = '{number}'::pg_catalog.xid) TO STDOUT",
                model.columns_to_read(),
                part.name.quoted()
            );
            self.read_into(&mut tally, model, part, &written).await?;
        }
        self.changes[table].inserted = Some(tally);
        Ok(())
    }

    /// Reads rows, which come with their places, into a tally.
    async fn read_into(
        &self,
        tally: &mut Tally,
        table: &Table,
        part: &Part,
        statement: &str,
    ) -> Result<()> {
        let context = format!("changing rows of {}", part.name);
        let mut stream = pin!(self.session.copy_out(&context, statement).await?);
        let mut line: Vec<u8> = Vec::new();
        while let Some(message) = stream.next().await {
            let message = message.map_err(|error| Error::query(&context, error))?;
            if line.is_empty() && message.ends_with(b"\n") {
                table.tally(message, tally);
                continue;
            }
            // The protocol does not promise whole rows per message.
            line.extend_from_slice(&message);
            if line.ends_with(b"\n") {
                table.tally(std::mem::take(&mut line).into(), tally);
            }
        }
        if line.is_empty() {
            return Ok(());
        }
        Err(Error::damaged(format!("the server ended {} inside a row", part.name)))
    }

    /// Rows staged for a table.
    pub(super) fn staged(&self, table: usize) -> u64 {
        self.changes[table].staged.unwrap_or(0)
    }

    /// Rows deleted from a table, and inserted into it.
    pub(super) fn counts(&self, table: usize) -> (u64, u64) {
        let TableChange { deleted, inserted, .. } = &self.changes[table];
        (TableChange::rows(deleted), TableChange::rows(inserted))
    }

    /// The census of a table as this transaction sees it: that of the survey, without what was
    /// deleted and with what was inserted. Its rows are counted anew.
    pub(super) async fn census(&self, table: usize, before: &TableCensus) -> Result<TableCensus> {
        let TableChange { deleted, inserted, .. } = &self.changes[table];
        let mut after = before.clone();
        if deleted.is_none() && inserted.is_none() {
            return Ok(after);
        }
        let model = &self.tables[table];
        let context = format!("counting {}", model.name);
        let counted: i64 = self.session.row(&context, &model.count(), &[]).await?.get(0);
        after.rows = u64::try_from(counted).unwrap_or(0);
        after.buckets = Buckets::default();
        let mut generated = after.generated.as_ref().map_or(Digest::default(), |one| one.digest);
        if let Some(deleted) = deleted {
            after.bytes = after.bytes.wrapping_sub(deleted.bytes);
            after.digest.remove(deleted.digest);
            generated.remove(deleted.generated);
        }
        if let Some(inserted) = inserted {
            after.bytes = after.bytes.wrapping_add(inserted.bytes);
            after.digest.add(inserted.digest);
            generated.add(inserted.generated);
        }
        after.generated = model.generated_census(generated);
        Ok(after)
    }

    /// Requires that this transaction has written the rows it meant to, and no other: the server
    /// keeps count of them for each table.
    ///
    /// # Errors
    /// [`Error::UnexpectedWrites`].
    pub(super) async fn require_nothing_else(&self) -> Result<()> {
        const WRITTEN: &str = "
            SELECT n.nspname, c.relname, s.n_tup_ins, s.n_tup_upd, s.n_tup_del
              FROM pg_catalog.pg_stat_xact_all_tables s JOIN pg_catalog.pg_class c ON c.oid = s.relid
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
               AND s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0";
        let mut of_part: BTreeMap<&TableName, usize> = BTreeMap::new();
        for (index, table) in self.tables.iter().enumerate() {
            of_part.extend(table.parts.iter().map(|part| (&part.name, index)));
        }
        let mut written = vec![(0, 0); self.tables.len()];
        let mut unexpected = Vec::new();
        for row in self.session.rows("counting the written rows", WRITTEN, &[]).await? {
            let name = TableName::new(row.get::<_, String>(0), row.get::<_, String>(1));
            let count = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
            match of_part.get(&name) {
                Some(&table) if count(3) == 0 => {
                    written[table].0 += count(4);
                    written[table].1 += count(2);
                }
                _ => unexpected.push(name.to_string()),
            }
        }
        for (index, written) in written.into_iter().enumerate() {
            if written != self.counts(index) {
                unexpected.push(self.tables[index].name.to_string());
            }
        }
        if unexpected.is_empty() {
            return Ok(());
        }
        Err(Error::UnexpectedWrites { tables: unexpected })
    }

    /// Ends the transaction. The wait for a synchronous standby ends as well; the server then has
    /// committed.
    pub(super) async fn commit(self) -> Result<()> {
        const CONTEXT: &str = "the end of the delta";
        self.session.execute(CONTEXT, "SET LOCAL statement_timeout = '60s'").await?;
        self.session.execute(CONTEXT, "COMMIT").await
    }
}

fn staging_name(table: usize) -> TableName {
    TableName::new("pg_temp", format!("delta_{table}"))
}

fn staging_context(table: &Table) -> String {
    format!("sending rows of {}", table.name)
}

fn column_list(table: &Table) -> String {
    let names = table.columns.iter().map(|column| quote_identifier(&column.name));
    names.collect::<Vec<_>>().join(", ")
}

fn delete_statement(table: &Table, part: &Part, places: &[Place]) -> String {
    let ctids: Vec<String> = places.iter().map(|place| format!("\"{}\"", place.ctid())).collect();
    format!(
        "COPY (DELETE FROM ONLY {} WHERE ctid = ANY ('{{{}}}'::pg_catalog.tid[]) RETURNING {}) TO STDOUT",
        part.name.quoted(),
        ctids.join(","),
        table.columns_to_read()
    )
}

fn insert_statement(table: &Table, from: &TableName) -> String {
    let (into, from, columns) = (table.name.quoted(), from.quoted(), column_list(table));
    if columns.is_empty() {
        return format!("INSERT INTO {into} SELECT FROM {from}");
    }
    format!("INSERT INTO {into} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {from}")
}
