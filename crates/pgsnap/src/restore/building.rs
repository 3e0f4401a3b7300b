//! A database on its way: made under a name of its own, finished, proven, and only then swapped in.
//!
//! An archive and another server fill it in different ways. What comes before the rows and what
//! follows them is the same for both, and is here.

use std::sync::Arc;
use std::time::Instant;

use crate::census::Census;
use crate::compare::Note;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Source};
use crate::progress::{Phase, Progress, Work};
use crate::restore::in_place::{self, Mark};
use crate::restore::plan::{Method, RestorePlan};
use crate::restore::post_data::Step;
use crate::restore::rerouting::Tree;
use crate::restore::selection::Selection;
use crate::restore::target::Target;
use crate::restore::{RestoreOptions, Restored, load, post_data, proof, roles, settings};
use crate::session::Session;
use crate::sql;

/// A database that is being filled: a new one that nobody else can enter yet, or an empty one that
/// was there.
pub(crate) struct Building<'a> {
    server: &'a Target,
    /// Under the name it is built under.
    pub(crate) database: Database,
    pub(crate) selection: &'a Selection,
    pub(crate) options: &'a RestoreOptions,
    pub(crate) progress: &'a Arc<dyn Progress>,
    /// On a database that was there.
    mark: Option<Mark>,
    /// Refused statements that the database can do without.
    refused: Vec<Refused>,
    /// Left-overs of earlier runs that were dropped.
    cleaned: Vec<String>,
    clock: Stopwatch,
}

/// The contents of a new database, the steps that must follow, and the expected result.
pub(crate) struct Loaded {
    /// Its origin: the database itself gets the owner, privileges and settings of it.
    pub(crate) source: Source,
    /// The expected contents. They include the statements of the schema, to name a difference.
    pub(crate) expected: Census,
    /// The partitioned tables through which rows had to be loaded, so that only all their
    /// partitions together are as before.
    pub(crate) rerouted: Vec<Tree>,
    /// The steps after the rows that are not done yet.
    pub(crate) steps: Vec<Step>,
}

impl<'a> Building<'a> {
    /// Takes the restore lock, drops left-overs, creates missing roles and the empty database, or
    /// marks the one that is there.
    pub(crate) async fn begin(
        server: &'a Target,
        plan: &RestorePlan,
        manifest: &Manifest,
        selection: &'a Selection,
        options: &'a RestoreOptions,
        progress: &'a Arc<dyn Progress>,
    ) -> Result<Self> {
        server.lock().await?;
        let cleaned = server.drop_leftovers().await?;
        let refused =
            roles::create(&server.session, &plan.creates_roles, manifest, selection).await?;
        let database = server.database.with_name(&plan.restoring);
        let mark = if plan.method == Method::InPlace {
            let session = Session::open(&database, "restore").await?;
            Some(Mark::set(&session, database.name()).await?)
        } else {
            server.create_database(database.name(), manifest).await?;
            None
        };
        Ok(Self {
            server,
            database,
            selection,
            options,
            progress,
            mark,
            refused,
            cleaned,
            clock: Stopwatch::default(),
        })
    }

    /// A session in the new database.
    pub(crate) async fn session(&self) -> Result<Session> {
        let session = Session::open(&self.database, "restore").await?;
        session.execute("the session settings", load::SETTINGS).await?;
        Ok(session)
    }

    /// Notes the seconds since the last lap under this name.
    pub(crate) fn lap(&mut self, name: &'static str) {
        self.clock.lap(name);
    }

    /// Runs the statements that come before the rows. In a database that is there, a schema may be
    /// there for an extension.
    pub(crate) async fn run_schema(
        &mut self,
        session: &Session,
        statements: &[String],
    ) -> Result<()> {
        const CREATE: &str = "CREATE SCHEMA ";
        let statements: Vec<String> = statements
            .iter()
            .map(|statement| {
                statement.strip_prefix(CREATE).map_or_else(
                    || statement.clone(),
                    |name| format!("{CREATE}IF NOT EXISTS {name}"),
                )
            })
            .collect();
        self.refused.extend(run_statements(session, statements, "the schema").await?);
        Ok(())
    }

    /// Drops the new database, or what was made in one that was there; the old one is as it was.
    /// Gives back the error that made it useless: what cannot be dropped is found by the next run.
    pub(crate) async fn abandon(self, error: Error) -> Error {
        let Some(mark) = &self.mark else {
            let _ = self.server.drop_database(self.database.name()).await;
            return error;
        };
        let keep = self.server.backend().await.unwrap_or(0);
        in_place::failed(&self.database, mark, keep, error).await
    }

    /// Drops the new database, for another beginning.
    pub(crate) async fn drop_database(&self) -> Result<()> {
        self.server.drop_database(self.database.name()).await
    }

    /// Does all that follows the rows, up to the swap. What fails the proof is dropped; a proven
    /// database stays, if under another name than the one wanted.
    pub(crate) async fn complete(mut self, loaded: &mut Loaded) -> Result<Restored> {
        let mut restored = match self.finish(loaded).await {
            Ok(restored) => restored,
            Err(error) => return Err(self.abandon(error).await),
        };
        match self.take_its_place(&loaded.source, &mut restored).await {
            Ok(notes) => restored.notes.extend(notes),
            Err(error) => return Err(self.keep(error).await),
        }
        Ok(restored)
    }

    /// Keeps a proven database that could not take its place. Where that was there before, it is in
    /// its place already.
    async fn keep(self, error: Error) -> Error {
        if self.mark.is_some() {
            return self.abandon(error).await;
        }
        match self.server.keep_finished(self.database.name()).await {
            Ok(kept) => Error::NotSwapped { kept, source: Box::new(error) },
            // It has a name already, or cannot be reached any more.
            Err(_) => error,
        }
    }

    async fn finish(&mut self, loaded: &mut Loaded) -> Result<Restored> {
        let Loaded { source, expected, rerouted, steps } = loaded;
        self.run_post_data(std::mem::take(steps)).await?;
        self.lap("indexes");
        if self.options.statistics {
            analyze(&self.database, self.options.jobs, self.progress).await?;
            self.lap("analyze");
        }
        let mut restored = Restored {
            database: self.server.name.clone(),
            kept: None,
            cleaned: std::mem::take(&mut self.cleaned),
            tables: expected.tables.len(),
            rows: expected.rows(),
            notes: rerouted.iter().map(Tree::note).collect(),
            comparison: None,
            census: None,
            seconds: Vec::new(),
        };
        if self.options.census {
            let proven = proof::prove(self, source, expected.clone(), rerouted, &self.refused);
            let (comparison, found) = proven.await?;
            self.lap("census");
            restored.notes.extend(comparison.notes.iter().cloned());
            restored.comparison = Some(comparison);
            restored.census = Some(found);
        }
        let refused = std::mem::take(&mut self.refused);
        restored.notes.extend(refused.into_iter().map(Refused::into_note));
        restored.seconds = std::mem::take(&mut self.clock.laps);
        Ok(restored)
    }

    /// The last step: the database gets what belongs to itself, and its name.
    async fn take_its_place(&self, source: &Source, restored: &mut Restored) -> Result<Vec<Note>> {
        let (server, name) = (self.server, self.database.name());
        if let Some(mark) = &self.mark {
            let session = self.session().await?;
            mark.remove(&session, name).await?;
            return settings::apply_in_place(&session, name, source, self.selection).await;
        }
        let notes = settings::apply(server, name, source, self.selection).await?;
        self.progress.begin(Phase::Swap, Work::default());
        restored.kept = server.swap(name, self.options.swap_timeout).await?;
        Ok(notes)
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
}

/// A statement that the server refused to this role, and that nothing depends on.
pub(crate) struct Refused {
    pub(crate) statement: String,
    reason: String,
}

impl Refused {
    pub(crate) fn into_note(self) -> Note {
        Note::Refused { statement: sql::label(&self.statement), reason: self.reason }
    }
}

/// Runs statements some at a time: one query is one transaction, and the locks of a hundred
/// thousand objects would not fit into the server's lock table. Returns what was refused and can be
/// done without.
pub(crate) async fn run_statements(
    session: &Session,
    statements: Vec<String>,
    context: &str,
) -> Result<Vec<Refused>> {
    const BATCH: usize = 100;
    let mut batch: Vec<String> = Vec::new();
    let mut refused = Vec::new();
    for statement in statements {
        // The server logs a failing query whole: what may hold a password runs alone.
        let holds_secrets =
            [" USER MAPPING ", "CREATE SUBSCRIPTION "].iter().any(|word| statement.contains(word));
        // An extension that a superuser made for us keeps its own comment.
        let is_dispensable = statement.starts_with("COMMENT ON EXTENSION ");
        let is_alone = holds_secrets || is_dispensable;
        if is_alone || batch.len() == BATCH {
            run_batch(session, &mut batch, context).await?;
        }
        if is_dispensable {
            refused.extend(try_statement(session, statement, context).await?);
            continue;
        }
        batch.push(statement);
        if is_alone {
            run_batch(session, &mut batch, context).await?;
        }
    }
    run_batch(session, &mut batch, context).await?;
    Ok(refused)
}

/// Runs a statement that the server may refuse for want of a privilege.
pub(crate) async fn try_statement(
    session: &Session,
    statement: String,
    context: &str,
) -> Result<Option<Refused>> {
    match session.execute(context, &statement).await {
        Ok(()) => Ok(None),
        Err(Error::Server { code, message, .. }) if code == "42501" => {
            Ok(Some(Refused { statement, reason: message }))
        }
        Err(error) => Err(error),
    }
}

async fn run_batch(session: &Session, batch: &mut Vec<String>, context: &str) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    session.execute(context, &std::mem::take(batch).join("\n")).await
}

/// Collects planner statistics of every table and materialised view; partitions come with their
/// roots. A plain `ANALYZE` would also ask foreign tables, and fail where one cannot be reached; so
/// would that of a table with foreign partitions or children, whose other partitions are taken one
/// by one.
pub(crate) async fn analyze(
    database: &Database,
    jobs: usize,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    const QUERY: &str = "
        WITH RECURSIVE asking(oid) AS (
            SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'f'
            UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN asking a ON a.oid = i.inhrelid)
        SELECT pg_catalog.format('ANALYZE %I.%I', n.nspname, c.relname), pg_catalog.pg_table_size(c.oid)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
           AND NOT EXISTS (SELECT FROM asking WHERE asking.oid = c.oid)
           AND (NOT c.relispartition
                OR EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN asking ON asking.oid = i.inhparent WHERE i.inhrelid = c.oid))
           AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    let session = Session::open(database, "analyze").await?;
    let rows = session.rows("reading the list of tables", QUERY, &[]).await?;
    let weight =
        |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    let steps = rows
        .iter()
        .map(|row| Step::Beside { statement: row.get(0), weight: weight(row.get(1)), table: None })
        .collect();
    post_data::run(&session, database, steps, Phase::Analyze, jobs, progress).await
}

/// Seconds between laps.
pub(crate) struct Stopwatch {
    last: Instant,
    pub(crate) laps: Vec<(&'static str, f64)>,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self { last: Instant::now(), laps: Vec::new() }
    }
}

impl Stopwatch {
    pub(crate) fn lap(&mut self, name: &'static str) {
        let now = Instant::now();
        self.laps.push((name, now.duration_since(self.last).as_secs_f64()));
        self.last = now;
    }
}
