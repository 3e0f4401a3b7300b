//! A database on its way: made under a name of its own, finished, proven, and only then swapped in.
//!
//! An archive and another server fill it in different ways. What comes before the rows and what
//! follows them is the same for both, and is here.

use std::sync::Arc;
use std::time::Instant;

use crate::census::Census;
use crate::compare::{Comparison, compare};
use crate::count::{CensusOptions, census};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Source};
use crate::progress::{Phase, Progress, Work};
use crate::restore::post_data::Step;
use crate::restore::target::Target;
use crate::restore::{RestoreOptions, Restored, load, post_data, restoring_name, settings};
use crate::session::Session;
use crate::sql;
use crate::standby;

/// A new database that nobody else can enter yet.
pub(crate) struct Building<'a> {
    server: &'a Target,
    /// Under the name it is built under.
    pub(crate) database: Database,
    pub(crate) options: &'a RestoreOptions,
    pub(crate) progress: &'a Arc<dyn Progress>,
    /// Left-overs of earlier runs that were dropped.
    cleaned: Vec<String>,
    clock: Stopwatch,
}

/// What was put into a new database, what must follow it, and what must be there in the end.
pub(crate) struct Loaded {
    /// Where it came from: the database itself shall have its owner, privileges and settings.
    pub(crate) source: Source,
    /// What the database must hold. The statements of the schema are there, to name a difference.
    pub(crate) expected: Census,
    /// What comes after the rows and is not done yet.
    pub(crate) steps: Vec<Step>,
}

impl<'a> Building<'a> {
    /// Takes the restore lock, drops left-overs and creates the empty database.
    pub(crate) async fn begin(
        server: &'a Target,
        target: &Database,
        manifest: &Manifest,
        options: &'a RestoreOptions,
        progress: &'a Arc<dyn Progress>,
    ) -> Result<Self> {
        server.lock().await?;
        let cleaned = server.drop_leftovers().await?;
        if options.create_roles {
            server.create_roles(&manifest.source.roles).await?;
        }
        let database = target.with_name(&restoring_name(target.name(), server.id()));
        server.create_database(database.name(), manifest).await?;
        Ok(Self {
            server,
            database,
            options,
            progress,
            cleaned,
            clock: Stopwatch::default(),
        })
    }

    /// A session in the new database.
    pub(crate) async fn session(&self) -> Result<Session> {
        let session = Session::open(&self.database, "restore").await?;
        session
            .execute("the session settings", load::SETTINGS)
            .await?;
        Ok(session)
    }

    /// Notes the seconds since the last lap under this name.
    pub(crate) fn lap(&mut self, name: &'static str) {
        self.clock.lap(name);
    }

    /// Drops the new database; the old one is in place. Gives back the error that made it useless: what
    /// cannot be dropped is found by the next run.
    pub(crate) async fn abandon(self, error: Error) -> Error {
        let _ = self.server.drop_database(self.database.name()).await;
        error
    }

    /// Does all that follows the rows, up to the swap, or leaves nothing of the new database.
    pub(crate) async fn complete(mut self, loaded: &mut Loaded) -> Result<Restored> {
        match self.finish(loaded).await {
            Ok(restored) => Ok(restored),
            Err(error) => Err(self.abandon(error).await),
        }
    }

    async fn finish(&mut self, loaded: &mut Loaded) -> Result<Restored> {
        let Loaded {
            source,
            expected,
            steps,
        } = loaded;
        self.run_post_data(std::mem::take(steps)).await?;
        self.lap("indexes");
        analyze(&self.database, self.options.jobs, self.progress).await?;
        self.lap("analyze");
        let mut restored = Restored {
            database: self.server.name.clone(),
            kept: None,
            cleaned: std::mem::take(&mut self.cleaned),
            tables: expected.tables.len(),
            rows: expected.rows(),
            notes: Vec::new(),
            comparison: None,
            census: None,
            seconds: Vec::new(),
        };
        if self.options.census {
            let (found, comparison) = self.prove(source, expected).await?;
            self.lap("census");
            restored.notes.clone_from(&comparison.notes);
            restored.comparison = Some(comparison);
            restored.census = Some(found);
        }
        restored.seconds = std::mem::take(&mut self.clock.laps);
        let whole = self.options.tables.is_none();
        settings::apply(self.server, self.database.name(), source, whole).await?;
        self.progress.begin(Phase::Swap, Work::default());
        restored.kept = self
            .server
            .swap(self.database.name(), self.options.swap_timeout)
            .await?;
        Ok(restored)
    }

    async fn run_post_data(&self, steps: Vec<Step>) -> Result<()> {
        let session = self.session().await?;
        post_data::run(
            &session,
            &self.database,
            steps,
            Phase::Index,
            self.options.jobs,
            self.progress,
        )
        .await
    }

    /// Counts and digests what is in the database now, and compares it: the proof comes from the
    /// database, not from what was sent to it.
    async fn prove(&self, source: &Source, expected: &Census) -> Result<(Census, Comparison)> {
        let options = CensusOptions {
            jobs: self.options.jobs,
            schema: self.options.tables.is_none(),
            tables: self.options.tables.clone(),
            columns_like: Some(expected.clone()),
            bin_directories: self.options.bin_directories.clone(),
            ..CensusOptions::default()
        };
        let mut found = census(&self.database, &options, self.progress).await?;
        if self.options.tables.is_some() {
            // Large objects were not part of the order.
            found.large_objects = expected.large_objects;
        }
        if source.in_recovery {
            standby::leave_out_what_is_missing(&self.session().await?, &mut found).await?;
        }
        let comparison = compare(expected, &found).of_restore();
        if comparison.is_equal() {
            Ok((found, comparison))
        } else {
            Err(Error::RestoreDiffers {
                differences: comparison.differences,
            })
        }
    }
}

/// Runs statements in order, some at a time: one query is one transaction, and the locks of a
/// hundred thousand objects would not fit into the server's lock table.
pub(crate) async fn run_statements(
    session: &Session,
    text: &str,
    without_tablespaces: bool,
    context: &str,
) -> Result<()> {
    const BATCH: usize = 100;
    let mut batch: Vec<String> = Vec::new();
    for statement in sql::statements(text) {
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
    run_batch(session, &mut batch, context).await
}

async fn run_batch(session: &Session, batch: &mut Vec<String>, context: &str) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    session
        .execute(context, &std::mem::take(batch).join("\n"))
        .await
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
        .map(|row| Step::Beside {
            statement: row.get(0),
            weight: weight(row.get(1)),
            table: None,
        })
        .collect();
    post_data::run(&session, database, steps, Phase::Analyze, jobs, progress).await
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
