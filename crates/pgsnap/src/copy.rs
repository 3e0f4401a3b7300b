//! A copy: one snapshot streamed from server to server, with no file in between.
//!
//! Rows are counted and digested on their way, so the census of the source costs no second reading.
//! What becomes of the new database afterwards is what becomes of a restored one.

mod indexes;
pub(crate) mod large_objects;
mod origin;
mod rows;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::catalog;
use crate::census::Census;
use crate::database::Database;
use crate::definitions::{self, Scope};
use crate::dump::{default_jobs, provenance};
use crate::encoding;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Source};
use crate::progress::{Phase, Progress, Work};
use crate::restore::{
    Building, Loaded, Method, PlainTables, RestoreOptions, RestorePlan, Restored, Schedule,
    Selection, Target, Tree, post_data, run_statements,
};
use crate::scan;
use crate::snapshot::Snapshot;
use crate::tools::PgDump;
use crate::user_code::UserCode;

use indexes::IndexBuilds;
use origin::Origin;
use rows::Destination;

/// Options of a copy.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Sessions on either side that carry rows, and those that build indexes. Default: the number
    /// of processors, at least 2.
    pub jobs: usize,
    /// The longest wait for a lock on the tables of the source. Default: 30 s.
    pub lock_timeout: Duration,
    /// Create roles the source refers to and the target lacks, without login and without
    /// privileges, and do without tablespaces it lacks. Default: no, what is missing is an
    /// obstacle.
    pub create_roles: bool,
    /// Read every row of the copy and compare it with the source before it is swapped in. Default:
    /// yes.
    pub census: bool,
    /// Accept generated columns whose values differ from those of the source, because their
    /// function computes them differently today. They become a
    /// [`Note::Recomputed`](crate::Note::Recomputed). Default: no, they fail the proof.
    pub accept_recomputed: bool,
    /// The longest wait for a moment without sessions in the old database.
    pub swap_timeout: Duration,
    /// Directories to look for PostgreSQL's programs in, before the usual places.
    pub bin_directories: Vec<PathBuf>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        let RestoreOptions { create_roles, census, swap_timeout, .. } = RestoreOptions::default();
        Self {
            jobs: default_jobs(),
            lock_timeout: Duration::from_secs(30),
            create_roles,
            census,
            accept_recomputed: false,
            swap_timeout,
            bin_directories: Vec::new(),
        }
    }
}

impl CopyOptions {
    /// Returns the options for the target: those of a restore of everything.
    fn of_target(&self) -> RestoreOptions {
        RestoreOptions {
            jobs: self.jobs,
            create_roles: self.create_roles,
            tablespaces: !self.create_roles,
            census: self.census,
            accept_recomputed: self.accept_recomputed,
            swap_timeout: self.swap_timeout,
            bin_directories: self.bin_directories.clone(),
            ..RestoreOptions::default()
        }
    }
}

/// The plan of a copy, with its obstacles.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CopyPlan {
    /// The database that would be copied, as `user@host:port/name`.
    pub source: String,
    /// Its tables with rows of their own.
    pub tables: usize,
    /// About how many bytes they have on the source's disk, indexes left out.
    pub bytes: u64,
    /// The plan for the target.
    pub target: RestorePlan,
}

/// The result of a copy.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Copied {
    /// The origin of the rows.
    pub source: Source,
    /// The time of the snapshot, by the source server's clock (RFC 3339, UTC).
    pub taken_at: String,
    /// The census of the source as of that snapshot.
    pub census: Census,
    /// The result at the target, with the proof.
    pub restored: Restored,
}

/// Looks at both servers and says what a copy would do and what stands in its way.
///
/// # Errors
/// Connection errors; [`Error::RowSecurity`](crate::Error::RowSecurity) and
/// [`Error::NotReadable`](crate::Error::NotReadable) if the source would not show everything.
/// Obstacles at the target are no errors here: see [`RestorePlan::obstacles`].
pub async fn plan_copy(
    source: &Database,
    target: &Database,
    options: &CopyOptions,
) -> Result<CopyPlan> {
    let server = Target::connect(target).await?;
    let origin = Origin::read(source, options).await?;
    origin.plan(&server, &options.of_target()).await
}

/// Copies a database as database `target.name()`, on another server or the same.
///
/// All rows are of one snapshot of the source. Those of foreign tables stay where they are: their
/// definitions are copied, and nobody is asked for their rows. They go into a new database
/// `NAME__restoring_ID`, which is compared row by row with what the source sent and then renamed in
/// one transaction; a database that was there before is kept as `NAME__before_ID`. Until that
/// moment the old database is not touched. The source is locked against changes of its tables, not
/// of their rows, until the last row is out.
///
/// Memory is bounded by `jobs` times a few hundred KiB (or the largest row, if that is larger).
/// Dropping the future ends all sessions; the unfinished database is dropped by the next run or by
/// [`drop_leftovers`](crate::drop_leftovers).
///
/// # Errors
/// Any failure of any session on either side fails the copy.
/// [`Error::Preflight`](crate::Error::Preflight) lists all obstacles;
/// [`Error::RestoreDiffers`](crate::Error::RestoreDiffers) if the proof fails.
pub async fn copy(
    source: &Database,
    target: &Database,
    options: &CopyOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Copied> {
    let server = Target::connect(target).await?;
    let copied = copy_to(&server, source, options, progress).await;
    server.unlock(copied).await
}

async fn copy_to(
    server: &Target,
    source: &Database,
    options: &CopyOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Copied> {
    let origin = Origin::read(source, options).await?;
    let at_target = options.of_target();
    let plan = origin.plan(server, &at_target).await?;
    plan.target.require_clear()?;
    let (tool, manifest) = origin.leave();
    let selection = Selection::of_everything(&manifest, &at_target);
    let begin = async || {
        let plan = &plan.target;
        Building::begin(server, plan, &manifest, &selection, &at_target, progress).await
    };
    let mut building = begin().await?;
    let mut streamed = stream(source, &tool, options, &mut building, None).await;
    if let (Err(Error::PartitionBound { .. }), Method::Swap) = (&streamed, plan.target.method) {
        progress.note(
            "the target judges the bounds of partitions in another way than the source: once more from the beginning, with \
             partitions loaded through their roots",
        );
        building.drop_database().await?;
        building = begin().await?;
        streamed = stream(source, &tool, options, &mut building, Some(&manifest)).await;
    }
    let (taken_at, mut loaded) = match streamed {
        Ok(streamed) => streamed,
        Err(error) => return Err(building.abandon(error).await),
    };
    let restored = building.complete(&mut loaded).await?;
    Ok(Copied { source: loaded.source, taken_at, census: loaded.expected, restored })
}

/// Moves everything up to what comes after the rows, and lets go of the source. Returns the time of
/// the snapshot with it. With a manifest, the partitions in it are loaded through their roots.
async fn stream(
    source: &Database,
    tool: &PgDump,
    options: &CopyOptions,
    building: &mut Building<'_>,
    partitions: Option<&Manifest>,
) -> Result<(String, Loaded)> {
    let progress = building.progress;
    progress.begin(Phase::Snapshot, Work::default());
    let snapshot = Snapshot::take(source, "copy", options.lock_timeout, options.jobs).await?;
    progress.begin(Phase::Schema, Work::default());
    let ddl = definitions::read_ddl(source, tool, &snapshot, options.lock_timeout).await?;
    let session = building.session().await?;
    let pre_data = building.selection.edits.statements(&ddl.pre_data)?;
    building.run_schema(&session, &pre_data).await?;
    building.lap("schema");

    let rerouted = match partitions {
        Some(manifest) => Tree::all(&session, manifest).await?,
        None => Vec::new(),
    };
    let mut tables = snapshot.tables(&[]).await?;
    encoding::settle(&snapshot, &mut tables, None, progress).await?;
    encoding::require(&session, &tables).await?;
    let code = UserCode::read(&session).await?;
    let post_data = building.selection.edits.statements(&ddl.post_data)?;
    let plain = PlainTables::of_catalog(&tables, &pre_data);
    let mut steps = post_data::plan(post_data, &plain, building.options);
    let with_rows = (0..tables.len()).filter(|&index| !tables[index].parts.is_empty());
    let builds = post_data::take_builds(&mut steps, &plain, &code);
    let schedule = Arc::new(Schedule::beside(with_rows, builds));
    let target = &building.database;
    let mut indexes = IndexBuilds::begin(target, &schedule, options.jobs, progress);
    progress.begin(Phase::Copy, scan::expected(&tables));
    let destination = Destination::prepare(&session, target, &tables, &rerouted, &code).await?;
    let rows = rows::copy(&snapshot, tables, destination, &schedule, options.jobs, progress);
    let tables = tokio::select! {
        rows = rows => rows,
        error = indexes.failure() => Err(error),
    };
    let tables = definitions::unchanged(tables, &snapshot, source, Scope::Rows).await?;
    let large_objects = large_objects::copy(&snapshot.leader, tool, &session).await?;
    let sequences = catalog::sequences(&snapshot.leader).await?;
    run_statements(&session, sequences.iter().map(catalog::setval).collect(), "the sequences")
        .await?;

    let facts = snapshot.facts.clone();
    let taken_at = facts.now.clone();
    let expected = Census {
        tables,
        sequences,
        large_objects,
        extensions: catalog::extensions(&snapshot.leader).await?,
        locale: facts.locale.clone(),
        schema: Some(ddl.fingerprint(tool, facts.server_major())),
        content: true,
    };
    let source = provenance(&snapshot.leader, facts, tool).await?;
    // The source is free again, whatever the indexes still take.
    snapshot.finish().await?;
    indexes.finish().await?;
    building.lap("load");
    let loaded = Loaded { steps, source, expected, rerouted };
    Ok((taken_at, loaded))
}
