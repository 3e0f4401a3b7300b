//! A restore: into a new database beside the old one, proven, and only then swapped in.

mod building;
mod data_only;
mod foreign_rows;
mod in_place;
mod kept;
mod load;
mod plan;
pub(crate) mod post_data;
mod preflight;
mod proof;
mod rerouting;
mod roles;
mod schedule;
mod schemas;
mod selection;
mod settings;
mod staging;
mod swap;
mod target;
mod tied;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::archive::Archive;
use crate::catalog::setval;
use crate::census::Census;
use crate::compare::{Comparison, Note};
use crate::database::Database;
use crate::dump::default_jobs;
use crate::error::{Error, Result};
use crate::manifest::MemberKind;
use crate::name::TableName;
use crate::progress::{Phase, Progress, Work};
use crate::session::Session;
use crate::sql;
use crate::user_code::UserCode;

pub(crate) use building::{Building, Loaded, Stopwatch, analyze, run_statements};
pub use kept::{KeptDatabase, drop_kept, kept_databases};
pub(crate) use load::{SETTINGS as LOAD_SETTINGS, note_loaded, run_build};
pub(crate) use plan::refusal;
pub use plan::{Method, Obstacle, RestorePlan, TargetState};
pub(crate) use post_data::{INDEX_SETTINGS, PlainTables, Refreshes, is_refresh};
pub(crate) use rerouting::Tree;
pub(crate) use roles::create_role;
pub(crate) use schedule::{Schedule, Task};
pub(crate) use selection::{Edits, Selection};
pub(crate) use settings::{apply as apply_settings, apply_to_new, assignment, without_fence};
pub(crate) use staging::Staging;
pub(crate) use swap::{
    BEFORE, comment_statement, kept_name, leftover_pattern, own_pattern, pattern, restoring_name,
    suffixed,
};
pub(crate) use target::Target;

/// Which parts of an archive are restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Extent {
    /// Schema and rows.
    #[default]
    Everything,
    /// Everything but rows, large objects and the values of sequences.
    SchemaOnly,
    /// Rows, large objects and the values of sequences, into a database that has the schema and is
    /// empty.
    DataOnly,
}

/// Options of a restore.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// Sessions that load rows and build indexes. Default: the number of processors, at least 2.
    pub jobs: usize,
    /// Only these tables, with all types and functions but no foreign keys; or everything.
    pub tables: Option<Vec<TableName>>,
    /// Only what is in these schemas, and extensions; or everything. Large objects, publications
    /// and whatever else is in no schema stay out.
    pub schemas: Option<Vec<String>>,
    /// Write the rows of foreign tables of these foreign servers, too, by their exact names, **into
    /// the servers that the definitions of the backup name**: what is written there stays, even if
    /// the restore fails afterwards. Their tables must be empty. Default: none; the definitions are
    /// restored, and nobody else is asked or written to.
    pub foreign_data: Vec<String>,
    /// Schema, rows, or both. Default: both.
    pub extent: Extent,
    /// Restore into the database that is there, which must be empty. Without this that happens only
    /// where the role may not create a database. Default: no.
    pub into_existing: bool,
    /// Give objects the owners they had. Default: yes; otherwise whoever restores owns everything.
    pub owners: bool,
    /// Restore privileges (`GRANT`, `REVOKE`, default privileges). Default: yes.
    pub privileges: bool,
    /// Roles of the backup that have another name here: owners, privileges, policies, user
    /// mappings, settings.
    pub role_map: BTreeMap<String, String>,
    /// Create roles the backup refers to and the server lacks, without login and without
    /// password. Default: no, what is missing is an obstacle.
    pub create_roles: bool,
    /// Put objects into the tablespaces they were in. Default: yes; otherwise everything goes into
    /// the default one.
    pub tablespaces: bool,
    /// Compare every row of the restored database with the manifest before it is swapped in.
    /// Default: yes.
    pub census: bool,
    /// Accept generated columns whose values differ from those of the source, because their
    /// function computes them differently today. They become a [`Note::Recomputed`]. Default: no,
    /// they fail the proof.
    pub accept_recomputed: bool,
    /// Collect the planner's statistics (`ANALYZE`) of what was restored. Default: yes.
    pub statistics: bool,
    /// The longest wait for a moment without sessions in the old database.
    pub swap_timeout: Duration,
    /// Directories to look for PostgreSQL's programs in, before the usual places.
    pub bin_directories: Vec<PathBuf>,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            jobs: default_jobs(),
            tables: None,
            schemas: None,
            foreign_data: Vec::new(),
            extent: Extent::default(),
            into_existing: false,
            owners: true,
            privileges: true,
            role_map: BTreeMap::new(),
            create_roles: false,
            tablespaces: true,
            census: true,
            accept_recomputed: false,
            statistics: true,
            swap_timeout: Duration::from_secs(10),
            bin_directories: Vec::new(),
        }
    }
}

/// The result of a restore.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Restored {
    /// The database that now holds the backup.
    pub database: String,
    /// The name the database that was there before now has.
    pub kept: Option<String>,
    /// Left-overs of earlier runs that were dropped.
    pub cleaned: Vec<String>,
    /// Tables loaded.
    pub tables: usize,
    /// Rows loaded.
    pub rows: u64,
    /// Facts that qualify the proof: properties no restore can keep, and properties that could not
    /// be compared.
    pub notes: Vec<Note>,
    /// The proof: the restored database against the manifest.
    #[serde(skip)]
    pub comparison: Option<Comparison>,
    /// The restored database's census.
    #[serde(skip)]
    pub census: Option<Census>,
    /// Seconds per phase.
    pub seconds: Vec<(&'static str, f64)>,
}

/// Looks at the target and says what a restore would do and what stands in its way.
///
/// # Errors
/// Connection errors. Obstacles are not errors here: see [`RestorePlan::obstacles`].
pub async fn plan_restore(
    archive: &Archive,
    target: &Database,
    options: &RestoreOptions,
) -> Result<RestorePlan> {
    let selection = Selection::read(archive, options)?;
    let target = Target::connect(target).await?;
    target.plan(archive.manifest(), &selection, options).await
}

/// Restores an archive as database `target.name()`.
///
/// If this role may create databases, the rows go into a new database `NAME__restoring_ID`, which
/// is compared row by row with the manifest and then renamed in one transaction; a database that
/// was there before is kept as `NAME__before_ID`. Until that moment the old database is not
/// touched. Killed anywhere, the old database is still in place; the next restore drops the
/// leftover.
///
/// # Errors
/// [`Error::Preflight`] lists all obstacles; [`Error::RestoreDiffers`] if the proof fails.
pub async fn restore(
    archive: &Archive,
    target: &Database,
    options: &RestoreOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Restored> {
    let selection = Selection::read(archive, options)?;
    let server = Target::connect(target).await?;
    let restored = restore_on(&server, archive, &selection, options, progress).await;
    server.unlock(restored).await
}

async fn restore_on(
    server: &Target,
    archive: &Archive,
    selection: &Selection,
    options: &RestoreOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Restored> {
    server.lock().await?;
    let cleaned = server.clear_unfinished().await?;
    let plan = server.plan(archive.manifest(), selection, options).await?;
    plan.require_clear()?;
    let mut restored = match plan.method {
        Method::Swap | Method::InPlace => {
            let manifest = archive.manifest();
            let mut building =
                Building::begin(server, &plan, manifest, selection, options, progress).await?;
            match load_archive(archive, &mut building).await {
                Ok(mut loaded) => building.complete(&mut loaded).await?,
                Err(error) => return Err(building.abandon(error).await),
            }
        }
        Method::IntoTables => {
            let order = data_only::Order { archive, selection, progress };
            order.restore(&server.database, options).await?
        }
    };
    restored.cleaned.splice(0..0, cleaned);
    let left_out = foreign_rows::left_out(archive.manifest(), selection);
    restored.notes.extend(left_out.map(|what| Note::NotCompared { what }));
    Ok(restored)
}

/// Drops what unfinished restores of database `target.name()` left behind, and returns the names.
///
/// Every restore does so by itself before it begins; this is for a caller that was interrupted.
///
/// # Errors
/// [`Error::RestoreRunning`] while a restore of this name is under way, and errors of the server.
pub async fn drop_leftovers(target: &Database) -> Result<Vec<String>> {
    let server = Target::connect(target).await?;
    let dropped = async {
        server.lock().await?;
        let mut dropped = server.clear_unfinished().await?;
        dropped.extend(server.drop_leftovers().await?);
        Ok(dropped)
    };
    server.unlock(dropped.await).await
}

/// Loads everything that is selected of an archive into an empty database, up to what comes after
/// the rows.
async fn load_archive(archive: &Archive, building: &mut Building<'_>) -> Result<Loaded> {
    let (manifest, selection) = (archive.manifest(), building.selection);
    let session = building.session().await?;
    building.progress.begin(Phase::Schema, Work::default());
    building.run_schema(&session, &selection.pre_data).await?;
    building.lap("schema");
    foreign_rows::require_empty(&session, manifest, selection).await?;

    let code = UserCode::read(&session).await?;
    let tables = PlainTables::of_census(&manifest.census.tables, &selection.pre_data);
    let mut steps = post_data::plan(selection.post_data.clone(), &tables, building.options);
    let mut rerouted = Vec::new();
    if selection.has_rows() {
        let (foreign, members) = foreign_rows::split(manifest, load::wanted(manifest, selection));
        rerouted = load::load(
            archive,
            &building.database,
            members,
            post_data::take_builds(&mut steps, &tables, &code),
            &code,
            building.options.jobs,
            building.progress,
        )
        .await?;
        if selection.has_large_objects() {
            run_large_objects(&session, archive, selection).await?;
        }
        let sequences = manifest.census.sequences.iter();
        let sequences = sequences.filter(|sequence| selection.holds_sequence(sequence));
        run_statements(&session, sequences.map(setval).collect(), "the sequences").await?;
        let order = data_only::Order { archive, selection, progress: building.progress };
        foreign_rows::load(&order, &building.database, foreign).await?;
    }
    building.lap("load");
    Ok(Loaded {
        source: manifest.source.clone(),
        expected: proof::expected(archive, selection),
        rerouted,
        steps,
    })
}

/// Runs the statements of the large objects, one member at a time: their contents may be larger
/// than the memory.
async fn run_large_objects(
    session: &Session,
    archive: &Archive,
    selection: &Selection,
) -> Result<()> {
    let mut reader = archive.reader()?;
    for member in archive.manifest().members_of(MemberKind::LargeObjects) {
        let text = String::from_utf8(reader.read(member)?)
            .map_err(|_| Error::damaged("a member of large objects is not UTF-8"))?;
        let mut statements = Vec::new();
        for statement in sql::statements(&text) {
            statements.extend(selection.edits.statement(statement)?);
        }
        run_statements(session, statements, "the large objects").await?;
    }
    Ok(())
}
