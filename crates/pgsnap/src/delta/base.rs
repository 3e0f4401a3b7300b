//! The base of a delta: a database that was copied before, and the index of its rows.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::index::{Entry, Place, RowIndex, row_hash};
use super::{DeltaOptions, obstacles, schema};
use crate::catalog::{self, Table};
use crate::census::Census;
use crate::database::Database;
use crate::digest::{Digest, split_place};
use crate::error::{Error, Result};
use crate::large_object::{self, NoPieces};
use crate::progress::{NoProgress, Phase, Progress, Work};
use crate::quiet::{QuietReading, Verdict, read_quiet, same_xid};
use crate::scan::{self, RowSink, scan};
use crate::session::Session;
use crate::snapshot::Snapshot;

/// A surveyed database, which [`delta`](crate::delta) brings up to its source.
///
/// It holds 16 bytes and one bit in memory for each row, and one idle session of the base. If that
/// ends, the delta reads the base again.
pub struct Base {
    pub(super) database: Database,
    /// A session of since before the survey.
    witness: Session,
    /// The transaction numbers of before the survey.
    quiet: QuietReading,
    pub(super) contents: Contents,
    /// One for each table of the contents.
    pub(super) indexes: Arc<Vec<RowIndex>>,
}

impl Base {
    /// The census of the base as of the survey.
    #[must_use]
    pub fn census(&self) -> &Census {
        &self.contents.census
    }

    /// The rows of all tables together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.indexes.iter().map(|index| index.len() as u64).sum()
    }

    /// The bytes that the index of its rows takes.
    #[must_use]
    pub fn bytes_in_memory(&self) -> u64 {
        self.indexes.iter().map(|index| index.bytes() as u64).sum()
    }

    /// Returns the reason why the base may have changed since the survey, or `None` where it has
    /// not. The tables must be locked by now.
    ///
    /// The session of the survey has to live: a crash of the server ends it, and may empty unlogged
    /// tables and undo commits without taking a transaction number.
    pub(super) async fn doubt(&self) -> Result<Option<String>> {
        let alive = self.witness.execute("looking at the session of the survey", "SELECT 1");
        let limit = self.database.connect_timeout();
        if !matches!(tokio::time::timeout(limit, alive).await, Ok(Ok(()))) {
            return Ok(Some("the session of the survey has ended".to_owned()));
        }
        let finding = same_xid(&self.quiet, &read_quiet(&self.database).await?);
        Ok((finding.verdict != Verdict::Proven).then_some(finding.fact))
    }

    /// Reads every row again and requires that each is where it was.
    ///
    /// # Errors
    /// [`Error::BaseChanged`].
    pub(super) async fn require_unchanged(&self, options: &DeltaOptions) -> Result<()> {
        // It goes on beside the reading of the source, whose progress is told.
        let progress: Arc<dyn Progress> = Arc::new(NoProgress);
        let (now, _) = Contents::read(&self.database, options, Keep::Nothing, &progress).await?;
        match self.contents.difference(&now) {
            None => Ok(()),
            Some(what) => Err(Error::BaseChanged { what }),
        }
    }
}

/// Reads every row of a database that [`delta`](crate::delta) will bring up to its source, and
/// changes nothing. Nobody else may write to it from now on.
///
/// # Errors
/// [`Error::Preflight`] with everything that a delta cannot keep exact, and those of
/// [`census`](crate::census()).
pub async fn survey(
    base: &Database,
    options: &DeltaOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Base> {
    let session = Session::open_read_only(base, "survey").await?;
    session.execute("the session settings", &options.lock_limit()).await?;
    obstacles::require_none(obstacles::of_base(&session).await?)?;
    // What is written after this reading shows in the next one, so it comes before the snapshot.
    let quiet = read_quiet(base).await?;
    let (contents, rows) = Contents::read(base, options, Keep::Places, progress).await?;
    let sorting = tokio::task::spawn_blocking(|| rows.into_iter().map(RowIndex::new).collect());
    let indexes = sorting.await.map_err(|_| Error::WorkerDied { what: "sorting rows".into() })?;
    let (database, indexes) = (base.clone(), Arc::new(indexes));
    Ok(Base { database, witness: session, quiet, contents, indexes })
}

/// The part of the rows that a reading keeps in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Places,
    Nothing,
}

/// The contents of the base as of one snapshot.
pub(super) struct Contents {
    pub(super) tables: Vec<Table>,
    pub(super) census: Census,
    /// A digest for each table that also depends on the place of each row.
    places: Vec<Digest>,
}

impl Contents {
    async fn read(
        database: &Database,
        options: &DeltaOptions,
        keep: Keep,
        progress: &Arc<dyn Progress>,
    ) -> Result<(Self, Vec<Vec<Entry>>)> {
        progress.begin(Phase::Snapshot, Work::default());
        let snapshot =
            Snapshot::take(database, "survey", options.lock_timeout, options.jobs).await?;
        let mut tables = snapshot.tables(&[]).await?;
        for table in &mut tables {
            table.located = true;
            if table.parts.len() > usize::from(u16::MAX) {
                let what = format!("the number of partitions of {}", table.name);
                return Err(Error::TooLarge { what });
            }
        }
        progress.begin(Phase::Census, scan::expected(&tables));
        let found: Arc<Vec<Mutex<Found>>> =
            Arc::new(tables.iter().map(|_| Mutex::default()).collect());
        let surveyor =
            || Surveyor { found: Arc::clone(&found), keep, part: 0, here: Found::default() };
        let rows = scan(&snapshot, tables.clone(), options.jobs, "survey", progress, surveyor);
        let schema = schema::read(database, &snapshot, options);
        let (counted, (schema, _)) = tokio::try_join!(rows, schema)?;
        let census = Census {
            tables: counted,
            sequences: catalog::sequences(&snapshot.leader).await?,
            large_objects: large_object::read(&snapshot.leader, &mut NoPieces).await?,
            extensions: catalog::extensions(&snapshot.leader).await?,
            locale: snapshot.facts.locale.clone(),
            schema: Some(schema),
            content: true,
        };
        snapshot.finish().await?;
        let found = Arc::into_inner(found).expect("all workers have ended");
        let (places, rows) = found
            .into_iter()
            .map(|found| found.into_inner().expect("no worker panics while it holds the rows"))
            .map(|found| (found.places, found.entries))
            .unzip();
        Ok((Self { tables, census, places }, rows))
    }

    /// Names the first part that is not the same in a later reading. Sequences and large objects
    /// are left out: a delta reads them all.
    fn difference(&self, later: &Self) -> Option<String> {
        let shape = |contents: &Self| -> Vec<_> {
            let of = |table: &Table| (table.name.clone(), table.columns.clone(), parts(table));
            contents.tables.iter().map(of).collect()
        };
        if shape(self) != shape(later) {
            return Some("it has other tables".to_owned());
        }
        let counted = self.census.tables.iter().zip(&later.census.tables);
        let places = self.places.iter().zip(&later.places);
        for ((before, now), (place, place_now)) in counted.zip(places) {
            if before != now {
                return Some(format!("table {} has other rows", before.name));
            }
            if place != place_now {
                return Some(format!("rows of table {} were written anew", before.name));
            }
        }
        let digest = |census: &Census| census.schema.as_ref().map(|schema| schema.digest.clone());
        (digest(&self.census) != digest(&later.census)
            || self.census.extensions != later.census.extensions)
            .then(|| "it has another schema".to_owned())
    }
}

fn parts(table: &Table) -> Vec<u32> {
    table.parts.iter().map(|part| part.oid).collect()
}

/// What the reading of a table, or of a piece of it, has found.
#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    places: Digest,
}

/// Notes the hash and place of each row.
struct Surveyor {
    found: Arc<Vec<Mutex<Found>>>,
    keep: Keep,
    part: u16,
    /// The present piece.
    here: Found,
}

impl RowSink for Surveyor {
    fn begin_of_piece(&mut self, _table: usize, part: usize) {
        self.part = u16::try_from(part).expect("the number of parts was looked at");
    }

    async fn rows(&mut self, _table: usize, rows: Bytes) -> Result<()> {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &rows) {
            let line = &rows[start..end];
            start = end + 1;
            self.here.places.add(Digest::seeded(line, u64::from(self.part)));
            if self.keep == Keep::Places {
                let (ctid, row) = split_place(line);
                let place = Place::parse(self.part, ctid)?;
                self.here.entries.push(Entry { hash: row_hash(row), place });
            }
        }
        Ok(())
    }

    async fn end_of_piece(&mut self, table: usize) -> Result<()> {
        let here = std::mem::take(&mut self.here);
        let mut found = self.found[table].lock().expect("no worker panics while it holds the rows");
        found.places.add(here.places);
        if found.entries.is_empty() {
            found.entries = here.entries;
        } else {
            found.entries.extend_from_slice(&here.entries);
        }
        Ok(())
    }

    async fn finish(self) -> Result<()> {
        Ok(())
    }
}
