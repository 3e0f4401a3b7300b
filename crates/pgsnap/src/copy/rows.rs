//! Rows on their way: what a session of the source reads, a session of the target takes.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;

use crate::archive::copy_in_statement;
use crate::catalog::Table;
use crate::census::TableCensus;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::name::TableName;
use crate::progress::Progress;
use crate::restore::{LOAD_SETTINGS, Schedule, Staging, Tree, note_loaded};
use crate::scan::{RowSink, scan};
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::user_code::UserCode;

/// The destination of each table's rows.
pub(crate) struct Destination {
    database: Database,
    places: Vec<TableDestination>,
}

struct TableDestination {
    into: TableName,
    /// The staging tables from which rows move on as the owner of their table.
    staging: Option<Staging>,
}

impl Destination {
    /// Partitions of the trees are loaded through their roots.
    pub(crate) async fn prepare(
        session: &Session,
        database: &Database,
        tables: &[Table],
        rerouted: &[Tree],
        code: &UserCode,
    ) -> Result<Self> {
        let mut places = Vec::with_capacity(tables.len());
        for table in tables {
            let tree = rerouted.iter().find(|tree| tree.holds(&table.name));
            let root = tree.map_or(&table.name, |tree| &tree.root);
            let staging = match code.owner_to_load_as(root) {
                Some(owner) => {
                    let columns = table.columns.iter().map(|column| column.name.as_str());
                    Some(Staging::begin(session, root, columns, owner).await?)
                }
                None => None,
            };
            let into = staging.as_ref().map_or_else(|| root.clone(), Staging::rows);
            places.push(TableDestination { into, staging });
        }
        Ok(Self { database: database.clone(), places })
    }
}

/// Copies all rows with `jobs` sessions on either side; counts and digests them. Tells the schedule
/// which tables are whole.
pub(crate) async fn copy(
    snapshot: &Snapshot,
    tables: Vec<Table>,
    destination: Destination,
    schedule: &Arc<Schedule>,
    jobs: usize,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<TableCensus>> {
    let shared: Arc<[Table]> = tables.as_slice().into();
    let destination = Arc::new(destination);
    let writer = || Writer {
        tables: Arc::clone(&shared),
        destination: Arc::clone(&destination),
        schedule: Arc::clone(schedule),
        progress: Arc::clone(progress),
        session: None,
        copying: None,
    };
    scan(snapshot, tables, jobs, "copy", progress, writer).await
}

/// Writes rows into the target through one session, which is opened with the first row.
///
/// The driver of that session sends while the next rows are read, so both servers work at once; its
/// queue is bounded, so a slow target slows the reading.
struct Writer {
    tables: Arc<[Table]>,
    destination: Arc<Destination>,
    schedule: Arc<Schedule>,
    progress: Arc<dyn Progress>,
    session: Option<Session>,
    copying: Option<Copying>,
}

/// A COPY under way.
struct Copying {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    bytes: u64,
    rows: u64,
}

impl Writer {
    fn context(&self, table: usize) -> String {
        format!("loading {}", self.tables[table].name)
    }

    /// The session, which is opened with the first rows. Whoever takes it puts it back.
    async fn take_session(&mut self) -> Result<Session> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        let session = Session::open(&self.destination.database, "copy").await?;
        session.execute("the session settings", LOAD_SETTINGS).await?;
        Ok(session)
    }

    async fn begin(&mut self, table: usize) -> Result<Copying> {
        let session = self.take_session().await?;
        let columns = self.tables[table].columns.iter();
        let columns = columns.map(|column| column.name.as_str());
        let statement = copy_in_statement(
            &self.destination.places[table].into,
            columns,
            self.tables[table].encoding,
        );
        let sink = session.copy_in(&self.context(table), &statement).await?;
        self.session = Some(session);
        Ok(Copying { sink: Box::pin(sink), bytes: 0, rows: 0 })
    }

    /// Ends the COPY under way, if any: only now does the server say whether it took the rows.
    async fn end(&mut self, table: usize) -> Result<()> {
        let Some(mut copying) = self.copying.take() else {
            return Ok(());
        };
        let taken = copying.sink.as_mut().finish().await.map_err(|error| {
            let name = &self.tables[table].name;
            match Error::loading(&self.context(table), name, error) {
                Error::PartitionBound { partition, .. }
                    if self.destination.places[table].into != *name =>
                {
                    Error::PartitionBound {
                        partition,
                        obstacle: Some("no partition takes all of them".to_owned()),
                    }
                }
                error => error,
            }
        })?;
        // Rows diverted by a trigger or rule would not be counted; there are none at this stage.
        if taken != copying.rows {
            return Err(Error::RowsNotTaken {
                table: self.tables[table].name.to_string(),
                sent: copying.rows,
                taken,
            });
        }
        Ok(())
    }
}

impl RowSink for Writer {
    async fn rows(&mut self, table: usize, mut rows: Bytes) -> Result<()> {
        /// Bytes per protocol message.
        const MESSAGE: usize = 128 << 10;
        /// Bytes per COPY. An error shows when a COPY ends, and a whole table may be one piece.
        const LIMIT: u64 = 64 << 20;
        if rows.is_empty() {
            return Ok(());
        }
        let mut copying = match self.copying.take() {
            Some(copying) => copying,
            None => self.begin(table).await?,
        };
        copying.bytes += rows.len() as u64;
        copying.rows += memchr::memchr_iter(b'\n', &rows).count() as u64;
        while !rows.is_empty() {
            let message = rows.split_to(rows.len().min(MESSAGE));
            if let Err(error) = copying.sink.as_mut().feed(message).await {
                return Err(Error::query(self.context(table), error));
            }
        }
        let is_long = copying.bytes >= LIMIT;
        self.copying = Some(copying);
        if is_long {
            self.end(table).await?;
        }
        Ok(())
    }

    async fn end_of_piece(&mut self, table: usize) -> Result<()> {
        self.end(table).await
    }

    async fn end_of_table(&mut self, table: usize) -> Result<()> {
        let destination = Arc::clone(&self.destination);
        if let Some(staging) = &destination.places[table].staging {
            let session = self.take_session().await?;
            staging.move_rows(&session).await?;
            self.session = Some(session);
        }
        note_loaded(table, &self.schedule, &self.progress);
        Ok(())
    }

    async fn finish(self) -> Result<()> {
        Ok(())
    }
}
