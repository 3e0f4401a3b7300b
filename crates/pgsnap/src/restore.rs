//! A restore: into a new database beside the old one, proven, and only then swapped in.

mod building;
mod load;
pub(crate) mod post_data;
mod schedule;
mod settings;
mod swap;
mod target;
mod tied;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::archive::Archive;
use crate::census::Census;
use crate::compare::{Comparison, Note};
use crate::database::Database;
use crate::dump::default_jobs;
use crate::error::{Error, Result};
use crate::manifest::MemberKind;
use crate::name::TableName;
use crate::progress::{Phase, Progress, Work};
use crate::session::Session;

pub(crate) use building::{Building, Loaded, analyze, run_statements};
pub(crate) use load::SETTINGS as LOAD_SETTINGS;
pub(crate) use swap::restoring_name;
pub(crate) use target::Target;
pub use target::{RestorePlan, TargetState};

/// How to restore.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// Sessions that load rows and build indexes. Default: the number of processors, at least 2.
    pub jobs: usize,
    /// Only these tables, with all types and functions but no foreign keys; or everything.
    pub tables: Option<Vec<TableName>>,
    /// Create roles the backup refers to and the server lacks, without login and without
    /// privileges, and do without tablespaces it lacks. For drills on a scratch server. Default:
    /// no, what is missing is an obstacle.
    pub create_roles: bool,
    /// Compare every row of the restored database with the manifest before it is swapped in.
    /// Default: yes.
    pub census: bool,
    /// How long to wait for the moment in which nobody is connected to the old database.
    pub swap_timeout: Duration,
    /// Directories to look for PostgreSQL's programs in, before the usual places.
    pub bin_directories: Vec<PathBuf>,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            jobs: default_jobs(),
            tables: None,
            create_roles: false,
            census: true,
            swap_timeout: Duration::from_secs(10),
            bin_directories: Vec::new(),
        }
    }
}

/// What a restore did.
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
    /// What qualifies the proof: what no restore can keep, and what could not be compared.
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
/// Connection errors. Obstacles are not errors here: see [`RestorePlan::problems`].
pub async fn plan_restore(
    archive: &Archive,
    target: &Database,
    options: &RestoreOptions,
) -> Result<RestorePlan> {
    let target = Target::connect(target).await?;
    target.plan(archive.manifest(), options).await
}

/// Restores an archive as database `target.name()`.
///
/// The rows go into a new database `NAME__restoring_ID`, which is compared row by row with the
/// manifest and then renamed in one transaction; a database that was there before is kept as
/// `NAME__before_ID`. Until that moment the old database is not touched. Killed anywhere, the
/// old database is still in place; the left-over is dropped by the next restore.
///
/// # Errors
/// [`Error::Preflight`] lists all obstacles; [`Error::RestoreDiffers`] if the proof fails.
pub async fn restore(
    archive: &Archive,
    target: &Database,
    options: &RestoreOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Restored> {
    if let Some(tables) = &options.tables {
        for table in tables {
            archive.table_index(table)?;
        }
    }
    let manifest = archive.manifest();
    let server = Target::connect(target).await?;
    server.plan(manifest, options).await?.require_clear()?;
    let mut building = Building::begin(&server, target, manifest, options, progress).await?;
    match load_archive(archive, &mut building).await {
        Ok(mut loaded) => building.complete(&mut loaded).await,
        Err(error) => Err(building.abandon(error).await),
    }
}

/// Drops what unfinished restores of database `target.name()` left behind, and returns the names.
///
/// Every restore does so by itself before it begins; this is for a caller that was interrupted.
///
/// # Errors
/// [`Error::RestoreRunning`] while a restore of this name is under way, and errors of the server.
pub async fn drop_leftovers(target: &Database) -> Result<Vec<String>> {
    let server = Target::connect(target).await?;
    server.lock().await?;
    server.drop_leftovers().await
}

/// Loads everything an archive holds into an empty database, up to what comes after the rows.
async fn load_archive(archive: &Archive, building: &mut Building<'_>) -> Result<Loaded> {
    let (manifest, options) = (archive.manifest(), building.options);
    let session = building.session().await?;
    building.progress.begin(Phase::Schema, Work::default());
    run_members(
        &session,
        archive,
        MemberKind::PreData,
        options.create_roles,
        "the schema",
    )
    .await?;
    building.lap("schema");

    let post_data = archive.text_of(MemberKind::PostData)?;
    let mut steps = post_data::plan(&post_data, &manifest.census.tables, options);
    load::load(
        archive,
        &building.database,
        load::wanted(manifest, options.tables.as_deref()),
        post_data::take_builds(&mut steps, &manifest.census.tables),
        options.jobs,
        building.progress,
    )
    .await?;
    if options.tables.is_none() {
        run_members(
            &session,
            archive,
            MemberKind::LargeObjects,
            false,
            "the large objects",
        )
        .await?;
    }
    run_members(
        &session,
        archive,
        MemberKind::Sequences,
        false,
        "the sequences",
    )
    .await?;
    building.lap("load");

    let mut expected = selected_census(&manifest.census, options.tables.as_deref());
    if let Some(schema) = &mut expected.schema {
        // The manifest keeps only their hash; with the statements a difference can be named and judged.
        schema.statements = archive.schema_statements()?;
    }
    Ok(Loaded {
        source: manifest.source.clone(),
        expected,
        steps,
    })
}

/// The part of a census that a restore of some tables can be compared with.
fn selected_census(census: &Census, tables: Option<&[TableName]>) -> Census {
    let mut selected = census.clone();
    if let Some(tables) = tables {
        selected.tables.retain(|table| tables.contains(&table.name));
        selected.schema = None;
    }
    selected
}

/// Runs the statements of all members of one kind.
async fn run_members(
    session: &Session,
    archive: &Archive,
    kind: MemberKind,
    without_tablespaces: bool,
    context: &str,
) -> Result<()> {
    let mut reader = archive.reader()?;
    for member in archive.manifest().members_of(kind) {
        let text = String::from_utf8(reader.read(member)?)
            .map_err(|_| Error::damaged(format!("{kind:?} is not UTF-8")))?;
        run_statements(session, &text, without_tablespaces, context).await?;
    }
    Ok(())
}
