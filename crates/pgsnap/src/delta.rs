//! A delta: an earlier copy is brought up to its source, and only rows that differ are sent.
//!
//! A copy of everything takes as long as everything takes to be written. A delta moves that time
//! before the freeze: [`survey`] reads every row of an earlier copy, the base, and keeps the hash
//! and place of each. [`delta`] then reads the source once. Rows that the base has stay where they
//! are, rows that it lacks are sent, and rows that the source lacks are deleted.
//!
//! The proof is as exact as that of a copy. Rows that stay stand by the survey: transaction numbers
//! show that nobody has written since, or the base is read again, and locks keep it so. Rows that
//! were deleted and inserted are read back from the server. The base is changed in one transaction,
//! which is committed only if the base then has the census of the source.

mod base;
mod change;
mod index;
mod large_objects;
mod matching;
mod obstacles;
mod proof;
mod properties;
mod schema;
mod statistics;
mod transfer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::catalog;
use crate::census::{Census, SchemaFingerprint};
use crate::compare::{Comparison, Note};
use crate::database::Database;
use crate::dump::default_jobs;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::foreign_data;
use crate::manifest::Source;
use crate::name::TableName;
use crate::progress::{Phase, Progress, Work};
use crate::restore::{Obstacle, Stopwatch};
use crate::same::is_seen_at;
use crate::scan;
use crate::session::Session;
use crate::snapshot::Snapshot;

pub use base::{Base, survey};
use change::Change;
use transfer::Transfer;

/// Options of a delta.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeltaOptions {
    /// Sessions that read rows. Default: the number of processors, at least 2.
    pub jobs: usize,
    /// The longest wait for a lock on the tables of the source or the base. Default: 30 s.
    pub lock_timeout: Duration,
    /// Accept generated columns whose values differ from those of the source, because their
    /// function computes them differently today. They become a
    /// [`Note::Recomputed`](crate::Note::Recomputed). Default: no, they fail the proof.
    pub accept_recomputed: bool,
    /// Collect the planner's statistics (`ANALYZE`) of tables of which autovacuum would: more than
    /// a tenth of the rows changed, and more than 50. Default: yes.
    pub statistics: bool,
    /// The schema that the source had when the base was copied from it, as in
    /// [`Copied::census`](crate::Copied::census). It must still be the source's. Without it, the
    /// schemas of source and base must print alike, which those of servers of different versions
    /// never do. Default: none.
    pub copied_schema: Option<SchemaFingerprint>,
    /// Directories to look for `pg_dump` in, before the usual places.
    pub bin_directories: Vec<PathBuf>,
}

impl Default for DeltaOptions {
    fn default() -> Self {
        Self {
            jobs: default_jobs(),
            lock_timeout: Duration::from_secs(30),
            accept_recomputed: false,
            statistics: true,
            copied_schema: None,
            bin_directories: Vec::new(),
        }
    }
}

impl DeltaOptions {
    /// The setting that ends each wait for a lock.
    fn lock_limit(&self) -> String {
        format!("SET lock_timeout = {}", self.lock_timeout.as_millis().max(1))
    }
}

/// The plan of a delta, with its obstacles.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DeltaPlan {
    /// The source, as `user@host:port/name`.
    pub source: String,
    /// The base, in the same form.
    pub base: String,
    /// Tables of the source with rows of their own.
    pub tables: usize,
    /// About how many bytes they have on the source's disk, indexes left out: all of them are read.
    pub bytes: u64,
    /// A delta refuses while there is one.
    pub obstacles: Vec<Obstacle>,
}

/// The rows of one table that a delta changed. An updated row counts on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableDelta {
    /// The table.
    pub table: TableName,
    /// Rows that the base lacked.
    pub inserted: u64,
    /// Rows that the source lacks.
    pub deleted: u64,
}

/// The result of a delta.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Updated {
    /// The origin of the rows.
    pub source: Source,
    /// The time of the snapshot, by the source server's clock (RFC 3339, UTC).
    pub taken_at: String,
    /// The census of the source as of that snapshot.
    pub census: Census,
    /// The census of the base, which is equal. Its schema, without large objects, is the
    /// [`copied_schema`](DeltaOptions::copied_schema) of a delta in the other direction.
    pub base_census: Census,
    /// The tables whose rows changed.
    pub tables: Vec<TableDelta>,
    /// Large objects that were made anew or removed.
    pub large_objects: u64,
    /// The proof: the source against the base.
    pub comparison: Comparison,
    /// Facts that qualify the proof.
    pub notes: Vec<Note>,
    /// Seconds per phase.
    pub seconds: Vec<(&'static str, f64)>,
}

/// Looks at both databases and says what stands in the way of a delta. Changes nothing.
///
/// # Errors
/// Connection errors; [`Error::RowSecurity`] and [`Error::NotReadable`] if one of the databases
/// would not show everything. Obstacles are no errors here: see [`DeltaPlan::obstacles`].
pub async fn plan_delta(
    source: &Database,
    base: &Database,
    options: &DeltaOptions,
) -> Result<DeltaPlan> {
    let from = Session::open_read_only(source, "delta").await?;
    let into = Session::open_read_only(base, "delta").await?;
    // Asking for the size of a table waits for whoever has locked it.
    for session in [&from, &into] {
        session.execute("the session settings", &options.lock_limit()).await?;
    }
    foreign_data::require_no_rerouting(&from).await?;
    let tables = catalog::tables(&from, &[]).await?;
    let mut obstacles = Vec::new();
    if is_seen_at(&from, &into, base.name()).await? {
        obstacles.push(obstacles::same_database());
    } else {
        obstacles.extend(obstacles::of_base(&into).await?);
        let (source_facts, base_facts) = (Facts::read(&from).await?, Facts::read(&into).await?);
        obstacles.extend(obstacles::of_both(&source_facts, &base_facts, options));
        let is_comparable = source_facts.server_major() == base_facts.server_major();
        if is_comparable || options.copied_schema.is_some() {
            obstacles.extend(obstacles_of_schemas(source, base, options).await?);
        }
    }
    Ok(DeltaPlan {
        source: source.to_string(),
        base: base.to_string(),
        tables: tables.len(),
        bytes: scan::expected(&tables).bytes,
        obstacles,
    })
}

async fn obstacles_of_schemas(
    source: &Database,
    base: &Database,
    options: &DeltaOptions,
) -> Result<Vec<Obstacle>> {
    let read = |database| schema::read_now(database, options);
    let (source, base) = tokio::try_join!(read(source), read(base))?;
    match schema::require_same(&source, &base, options.copied_schema.as_ref()) {
        Ok(()) => Ok(Vec::new()),
        Err(Error::Preflight { obstacles }) => Ok(obstacles),
        Err(error @ Error::SchemaDrift { .. }) => {
            let remedy = error.hint().unwrap_or_default().into_owned();
            Ok(vec![Obstacle::new(error.to_string(), remedy)])
        }
        Err(error) => Err(error),
    }
}

/// Brings the base up to the source, and proves that they are equal.
///
/// All rows are of one snapshot of the source. The rows and large objects of the base change in one
/// transaction, which is committed only after the proof: whatever happens before, they are as they
/// were. Sequences are set just before that, which no transaction takes back, and properties of the
/// database just after it; the next delta makes good what an interrupted one left.
///
/// Memory is that of the [`Base`], 8 bytes for each row that one table loses, and a few blocks per
/// job (or the largest row, if that is larger).
///
/// A connection that is lost in the last moment may leave the base up to date and unknown to be so.
/// Survey it again and repeat the delta: it ends in the same place, whatever was done before.
///
/// # Errors
/// [`Error::Preflight`] as [`plan_delta`]; [`Error::SchemaDrift`] if rows of the source do not fit
/// into the base; [`Error::BaseChanged`] if somebody wrote to the base since the survey;
/// [`Error::DeltaDiffers`] and [`Error::UnexpectedWrites`] if the proof fails.
pub async fn delta(
    source: &Database,
    base: Base,
    options: &DeltaOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Updated> {
    let mut clock = Stopwatch::default();
    progress.begin(Phase::Snapshot, Work::default());
    require_ready(source, &base.database, options).await?;
    let change = Change::begin(&base.database, &base.contents.tables, options.lock_timeout).await?;
    let snapshot = Snapshot::take(source, "delta", options.lock_timeout, options.jobs).await?;
    let present = Facts::read(&change.session).await?;
    obstacles::require_none(obstacles::of_both(&snapshot.facts, &present, options))?;
    clock.lap("snapshot");
    let mut transfer = Transfer { source, base: &base, options, progress, snapshot, change, clock };
    let read = transfer.read_source().await?;
    transfer.finish(read, &present).await
}

/// Looks for obstacles before anything is locked.
async fn require_ready(source: &Database, base: &Database, options: &DeltaOptions) -> Result<()> {
    let from = Session::open_read_only(source, "delta").await?;
    let into = Session::open_read_only(base, "delta").await?;
    for session in [&from, &into] {
        session.execute("the session settings", &options.lock_limit()).await?;
    }
    foreign_data::require_no_rerouting(&from).await?;
    if is_seen_at(&from, &into, base.name()).await? {
        return obstacles::require_none(vec![obstacles::same_database()]);
    }
    obstacles::require_none(obstacles::of_base(&into).await?)
}
