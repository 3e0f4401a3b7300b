//! A restore: into a new database beside the old one, proven, and only then swapped in.

mod load;
mod post_data;
mod settings;
mod swap;
mod target;
mod tied;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::archive::Archive;
use crate::census::Census;
use crate::compare::{Comparison, Note, compare};
use crate::count::{CensusOptions, census};
use crate::database::Database;
use crate::dump::default_jobs;
use crate::error::{Error, Result};
use crate::manifest::MemberKind;
use crate::name::TableName;
use crate::progress::{Phase, Progress, Work};
use crate::session::Session;
use crate::sql;

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
    let plan = server.plan(manifest, options).await?;
    plan.require_clear()?;
    server.lock().await?;
    let cleaned = server.drop_leftovers().await?;
    if options.create_roles {
        server.create_roles(&manifest.source.roles).await?;
    }
    let restoring = target.with_name(&restoring_name(target.name(), server.id()));
    server.create_database(restoring.name(), manifest).await?;
    match fill_and_swap(archive, &server, &restoring, options, progress).await {
        Ok(restored) => Ok(Restored {
            database: target.name().to_owned(),
            cleaned,
            ..restored
        }),
        Err(error) => {
            // The first error is the one that matters; what cannot be dropped is found by the next run.
            let _ = server.drop_database(restoring.name()).await;
            Err(error)
        }
    }
}

async fn fill_and_swap(
    archive: &Archive,
    server: &Target,
    restoring: &Database,
    options: &RestoreOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Restored> {
    let mut restored = fill(archive, restoring, options, progress).await?;
    settings::apply(
        server,
        restoring.name(),
        archive.manifest(),
        options.tables.is_none(),
    )
    .await?;
    progress.begin(Phase::Swap, Work::default());
    restored.kept = server.swap(restoring.name(), options.swap_timeout).await?;
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
    server.lock().await?;
    server.drop_leftovers().await
}

/// Loads everything into an empty database and proves it.
async fn fill(
    archive: &Archive,
    database: &Database,
    options: &RestoreOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Restored> {
    let manifest = archive.manifest();
    let mut clock = Stopwatch::default();
    let session = Session::open(database, "restore").await?;
    session
        .execute("the session settings", load::SETTINGS)
        .await?;
    progress.begin(Phase::Schema, Work::default());
    run_text(
        &session,
        archive,
        MemberKind::PreData,
        options.create_roles,
        "the schema",
    )
    .await?;
    clock.lap("schema");

    let members = load::wanted(manifest, options.tables.as_deref());
    load::load(archive, database, members, options.jobs, progress).await?;
    if options.tables.is_none() {
        run_text(
            &session,
            archive,
            MemberKind::LargeObjects,
            false,
            "the large objects",
        )
        .await?;
    }
    run_text(
        &session,
        archive,
        MemberKind::Sequences,
        false,
        "the sequences",
    )
    .await?;
    clock.lap("load");

    let statements = post_data::plan(&archive.text_of(MemberKind::PostData)?, manifest, options);
    post_data::run(
        &session,
        database,
        statements,
        Phase::Index,
        options.jobs,
        progress,
    )
    .await?;
    clock.lap("indexes");

    analyze(database, options.jobs, progress).await?;
    clock.lap("analyze");

    let mut restored = Restored {
        database: database.name().to_owned(),
        kept: None,
        cleaned: Vec::new(),
        tables: options
            .tables
            .as_ref()
            .map_or(manifest.census.tables.len(), Vec::len),
        rows: 0,
        notes: Vec::new(),
        comparison: None,
        census: None,
        seconds: Vec::new(),
    };
    let mut selected = selected_census(&manifest.census, options.tables.as_deref());
    if let Some(schema) = &mut selected.schema {
        // The manifest keeps only their hash; with the statements a difference can be named and judged.
        schema.statements = archive.schema_statements()?;
    }
    restored.rows = selected.rows();
    if options.census {
        let found = prove(database, &selected, options, progress).await?;
        clock.lap("census");
        let comparison = compare(&selected, &found).of_restore();
        if !comparison.is_equal() {
            return Err(Error::RestoreDiffers {
                differences: comparison.differences,
            });
        }
        restored.notes.clone_from(&comparison.notes);
        restored.comparison = Some(comparison);
        restored.census = Some(found);
    }
    restored.seconds = clock.laps;
    Ok(restored)
}

/// Collects planner statistics of every table and materialised view; partitions come with their
/// roots. A plain `ANALYZE` would also try foreign tables, and fail where one cannot be reached.
pub(crate) async fn analyze(
    database: &Database,
    jobs: usize,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    const QUERY: &str = "
        SELECT pg_catalog.format('ANALYZE %I.%I', n.nspname, c.relname), pg_catalog.pg_table_size(c.oid)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
           AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    let session = Session::open(database, "analyze").await?;
    let rows = session
        .rows("reading the list of tables", QUERY, &[])
        .await?;
    let weight = |bytes: Option<i64>| {
        bytes
            .and_then(|bytes| u64::try_from(bytes).ok())
            .unwrap_or(0)
    };
    let steps = rows
        .iter()
        .map(|row| post_data::Step::Beside {
            statement: row.get(0),
            weight: weight(row.get(1)),
        })
        .collect();
    post_data::run(&session, database, steps, Phase::Analyze, jobs, progress).await
}

/// Counts and digests what is in the restored database now: the proof comes from the database, not
/// from what was sent to it.
async fn prove(
    database: &Database,
    selected: &Census,
    options: &RestoreOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Census> {
    let census_options = CensusOptions {
        jobs: options.jobs,
        schema: options.tables.is_none(),
        tables: options.tables.clone(),
        columns_like: Some(selected.clone()),
        bin_directories: options.bin_directories.clone(),
        ..CensusOptions::default()
    };
    let mut found = census(database, &census_options, progress).await?;
    if options.tables.is_some() {
        // Large objects were not part of the order.
        found.large_objects = selected.large_objects;
    }
    Ok(found)
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

/// Runs the statements of all members of one kind, some at a time: one query is one transaction,
/// and the locks of a hundred thousand objects would not fit into the server's lock table.
async fn run_text(
    session: &Session,
    archive: &Archive,
    kind: MemberKind,
    without_tablespaces: bool,
    context: &str,
) -> Result<()> {
    const BATCH: usize = 100;
    let mut reader = archive.reader()?;
    for member in archive.manifest().members_of(kind) {
        let text = String::from_utf8(reader.read(member)?)
            .map_err(|_| Error::damaged(format!("{kind:?} is not UTF-8")))?;
        let mut batch: Vec<String> = Vec::new();
        for statement in sql::statements(&text) {
            if without_tablespaces && sql::is_default_tablespace(&statement) {
                continue;
            }
            // The server logs a failing query whole: what may hold a password runs alone.
            let holds_secrets = [" USER MAPPING ", "CREATE SUBSCRIPTION "]
                .iter()
                .any(|word| statement.contains(word));
            if holds_secrets || batch.len() == BATCH {
                run_batch(session, &mut batch, context).await?;
            }
            batch.push(statement);
            if holds_secrets {
                run_batch(session, &mut batch, context).await?;
            }
        }
        run_batch(session, &mut batch, context).await?;
    }
    Ok(())
}

async fn run_batch(session: &Session, batch: &mut Vec<String>, context: &str) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    session
        .execute(context, &std::mem::take(batch).join("\n"))
        .await
}

/// Seconds between laps.
struct Stopwatch {
    last: Instant,
    laps: Vec<(&'static str, f64)>,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self {
            last: Instant::now(),
            laps: Vec::new(),
        }
    }
}

impl Stopwatch {
    fn lap(&mut self, name: &'static str) {
        let now = Instant::now();
        self.laps
            .push((name, now.duration_since(self.last).as_secs_f64()));
        self.last = now;
    }
}
