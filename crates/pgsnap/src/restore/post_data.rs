//! Everything that comes after the rows, in an order that keeps all sessions busy and changes nothing
//! about the result.
//!
//! `pg_dump` prints statements in dependency order. Consecutive index builds (and keys, which
//! are built as unique indexes first and become keys afterwards) run side by side; foreign
//! keys are added `NOT VALID`, which is instant, and validated side by side; everything else runs alone, in order.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use crate::catalog::Table;
use crate::census::TableCensus;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::name::TableName;
use crate::progress::{Phase, Progress, Work};
use crate::restore::RestoreOptions;
use crate::restore::schedule::Build;
use crate::session::Session;
use crate::sql;

/// One step of the post-data section.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Runs alone.
    Alone(String),
    /// Runs beside its neighbours; the longest, by weight, begins first.
    Beside {
        statement: String,
        weight: u64,
        /// The plain table, quoted, whose rows are all it needs.
        table: Option<String>,
    },
}

/// The tables whose rows are loaded into themselves, by their quoted names.
pub(crate) struct PlainTables {
    tables: HashMap<String, PlainTable>,
    heirs: HashSet<String>,
}

struct PlainTable {
    /// In the manifest, or in the list of what is copied.
    position: usize,
    bytes: u64,
}

impl PlainTables {
    /// Those of an archive, and the DDL before their rows.
    pub(crate) fn of_census(tables: &[TableCensus], pre_data: &[String]) -> Self {
        let plain = |table: &TableCensus| {
            (!table.with_partitions).then(|| (table.name.quoted(), table.bytes))
        };
        Self::new(tables.iter().map(plain), pre_data)
    }

    /// Those of a live database, with about their sizes.
    pub(crate) fn of_catalog(tables: &[Table], pre_data: &[String]) -> Self {
        let plain = |table: &Table| {
            let bytes: i64 = table.parts.iter().map(|part| part.total_size).sum();
            (!table.with_partitions)
                .then(|| (table.name.quoted(), u64::try_from(bytes).unwrap_or(0)))
        };
        Self::new(tables.iter().map(plain), pre_data)
    }

    fn new(tables: impl Iterator<Item = Option<(String, u64)>>, pre_data: &[String]) -> Self {
        let tables = tables.enumerate().filter_map(|(position, table)| {
            table.map(|(name, bytes)| (name, PlainTable { position, bytes }))
        });
        Self {
            tables: tables.collect(),
            heirs: pre_data.iter().filter_map(|text| heir(text)).collect(),
        }
    }
}

/// Takes the indexes that need nothing but the rows of their own tables, up to the first statement that creates anything else,
/// for example a function, which an index after it may call. What is between them stays: keys of unusual form, indexes
/// of materialised views.
pub(crate) fn take_builds(steps: &mut Vec<Step>, tables: &PlainTables) -> Vec<Build> {
    let beginning = steps
        .iter()
        .position(|step| matches!(step, Step::Alone(statement) if statement.contains("CREATE ")))
        .unwrap_or(steps.len());
    let mut builds = Vec::new();
    let mut left = Vec::new();
    for step in steps.drain(..beginning) {
        match step {
            Step::Beside {
                statement,
                weight,
                table: Some(table),
            } => builds.push(Build {
                weight,
                table: tables.tables[&table].position,
                statement,
            }),
            other => left.push(other),
        }
    }
    steps.splice(0..0, left);
    builds
}

/// Cuts the section into steps.
pub(crate) fn plan(
    statements: Vec<String>,
    tables: &PlainTables,
    options: &RestoreOptions,
) -> Vec<Step> {
    let mut planner = Planner {
        tables,
        settings: BTreeMap::new(),
        steps: Vec::new(),
        deferred: Vec::new(),
        foreign_keys: Vec::new(),
    };
    let wanted: Option<Vec<String>> = options
        .tables
        .as_ref()
        .map(|tables| tables.iter().map(TableName::quoted).collect());
    for statement in statements {
        if wanted
            .as_ref()
            .is_none_or(|wanted| belongs_to(&statement, wanted))
        {
            planner.take(statement);
        }
    }
    planner.finish()
}

/// Whether a statement builds an index or key of one of these tables. A restore of single tables
/// leaves everything else out: foreign keys and views may need what is not there.
fn belongs_to(statement: &str, tables: &[String]) -> bool {
    sql::is_default_setting(statement)
        || Constraint::parse(statement).is_some_and(|constraint| {
            constraint.is_key() && tables.contains(&canonical(constraint.table))
        })
        || index_table(statement).is_some_and(|table| tables.contains(&canonical(table)))
}

struct Planner<'a> {
    tables: &'a PlainTables,
    /// Session settings that `pg_dump` toggles between statements; every session must have them.
    settings: BTreeMap<String, String>,
    steps: Vec<Step>,
    /// `ADD CONSTRAINT … USING INDEX` statements waiting for their indexes, and comments on both.
    deferred: Vec<String>,
    foreign_keys: Vec<ForeignKey>,
}

/// A foreign key on its way: added at once, validated with the others of its table.
struct ForeignKey {
    table: String,
    addition: String,
    validation: String,
    weight: u64,
}

impl Planner<'_> {
    fn take(&mut self, statement: String) {
        if sql::is_default_setting(&statement) {
            let name = statement
                .split_whitespace()
                .nth(1)
                .unwrap_or_default()
                .to_owned();
            self.settings.insert(name, statement);
            return;
        }
        if let Some(table) = index_table(&statement).map(canonical) {
            self.end_foreign_keys();
            return self.index(&statement, table);
        }
        let is_comment = ["COMMENT ON INDEX ", "COMMENT ON CONSTRAINT "]
            .iter()
            .any(|start| statement.starts_with(start));
        if is_comment && self.foreign_keys.is_empty() {
            // Nothing depends on it, and it would part the indexes before it from those after it.
            self.deferred.push(self.with_settings(&statement));
            return;
        }
        if let Some(constraint) = Constraint::parse(&statement)
            && let table = canonical(constraint.table)
            && let Some(weight) = self.bytes(&table)
        {
            if constraint.is_key() && self.tables.heirs.contains(&table) {
                self.end_foreign_keys();
                return self.index(&statement, table);
            }
            if let Some((index, key)) = constraint.using_index() {
                self.end_foreign_keys();
                self.deferred.push(self.with_settings(&key));
                return self.index(&index, table);
            }
            if let Some((addition, validation)) = constraint.not_valid() {
                let table = constraint.table.to_owned();
                self.end_deferred();
                self.foreign_keys.push(ForeignKey {
                    table,
                    addition,
                    validation,
                    weight,
                });
                return;
            }
        }
        self.end_deferred();
        self.end_foreign_keys();
        self.steps.push(Step::Alone(self.with_settings(&statement)));
    }

    fn index(&mut self, statement: &str, table: String) {
        let size = self.bytes(&table);
        self.steps.push(Step::Beside {
            statement: self.with_settings(statement),
            weight: size.unwrap_or(0) * effort(statement),
            table: size.is_some().then_some(table),
        });
    }

    fn bytes(&self, table: &str) -> Option<u64> {
        self.tables.tables.get(table).map(|table| table.bytes)
    }

    fn with_settings(&self, statement: &str) -> String {
        let settings: String = self.settings.values().map(String::as_str).collect();
        settings + statement
    }

    /// Keys take an exclusive lock, but only for an instant once their index exists: many go into one query.
    fn end_deferred(&mut self) {
        const BATCH: usize = 50;
        let deferred = std::mem::take(&mut self.deferred);
        let batches = deferred.chunks(BATCH).map(|batch| batch.join("\n"));
        self.steps.extend(batches.map(Step::Alone));
    }

    /// Validations of one table exclude each other, so each table is one statement.
    fn end_foreign_keys(&mut self) {
        let mut validations: BTreeMap<String, (Vec<String>, u64)> = BTreeMap::new();
        for key in std::mem::take(&mut self.foreign_keys) {
            self.steps.push(Step::Alone(key.addition));
            let entry = validations.entry(key.table).or_default();
            entry.0.push(key.validation);
            entry.1 += key.weight;
        }
        for (table, (validations, weight)) in validations {
            let statement = format!("ALTER TABLE ONLY {table} {};", validations.join(", "));
            self.steps.push(Step::Beside {
                statement,
                weight,
                table: None,
            });
        }
    }

    fn finish(mut self) -> Vec<Step> {
        self.end_deferred();
        self.end_foreign_keys();
        self.steps
    }
}

/// How much longer than a B-tree an index takes to build, roughly: inverted and tree-of-boxes indexes are
/// built by one process and take the longest, so they must begin first.
fn effort(statement: &str) -> u64 {
    let is_slow = [" USING gin ", " USING gist ", " USING spgist "]
        .iter()
        .any(|method| statement.contains(method));
    if is_slow { 10 } else { 1 }
}

/// The table that this statement makes the heir or partition of another. From 18 on a key added to one `USING INDEX` would make
/// the `NOT NULL` that it inherits its own, so its keys stay whole.
fn heir(statement: &str) -> Option<String> {
    if let Some((_, rest)) = statement.split_once(" ATTACH PARTITION ")
        && statement.starts_with("ALTER TABLE ")
    {
        return Some(canonical(&rest[..qualified_length(rest)?]));
    }
    let (create, rest) = statement.split_once("TABLE ")?;
    let inherits = ["CREATE ", "CREATE UNLOGGED "].contains(&create)
        && statement.lines().any(|line| line.starts_with("INHERITS ("));
    inherits.then(|| Some(canonical(&rest[..qualified_length(rest)?])))?
}

/// The table an index statement is about: `CREATE [UNIQUE] INDEX name ON table USING …`. An index
/// `ON ONLY` a partitioned table is only a frame; it keeps its place in the order.
fn index_table(statement: &str) -> Option<&str> {
    let rest = statement
        .strip_prefix("CREATE INDEX ")
        .or_else(|| statement.strip_prefix("CREATE UNIQUE INDEX "))?;
    let rest = rest[identifier_length(rest)?..].strip_prefix(" ON ")?;
    let length = qualified_length(rest)?;
    rest[length..]
        .starts_with(" USING ")
        .then(|| &rest[..length])
}

/// `ALTER TABLE ONLY table ADD CONSTRAINT name definition;`
struct Constraint<'a> {
    table: &'a str,
    name: &'a str,
    definition: &'a str,
}

impl<'a> Constraint<'a> {
    fn parse(statement: &'a str) -> Option<Self> {
        let rest = statement.strip_prefix("ALTER TABLE ONLY ")?;
        let length = qualified_length(rest)?;
        let (table, rest) = rest.split_at(length);
        let rest = rest.trim_start().strip_prefix("ADD CONSTRAINT ")?;
        let length = identifier_length(rest)?;
        let (name, definition) = rest.split_at(length);
        Some(Self {
            table,
            name,
            definition: definition.trim_start().strip_suffix(';')?,
        })
    }

    fn is_key(&self) -> bool {
        ["PRIMARY KEY ", "UNIQUE ", "EXCLUDE "]
            .iter()
            .any(|kind| self.definition.starts_with(kind))
    }

    /// Splits a plain key into a unique index, which needs no exclusive lock, and the key on it. The
    /// result prints the same. Deferrable keys and others of unusual form stay whole.
    fn using_index(&self) -> Option<(String, String)> {
        let (kind, columns) = ["PRIMARY KEY", "UNIQUE"].iter().find_map(|kind| {
            Some((
                *kind,
                self.definition.strip_prefix(kind)?.strip_prefix(' ')?,
            ))
        })?;
        let plain = columns.starts_with('(')
            && columns.ends_with(')')
            && columns.matches('(').count() == 1
            && !columns.contains("WITHOUT OVERLAPS");
        if !plain {
            return None;
        }
        let Self { table, name, .. } = self;
        Some((
            format!("CREATE UNIQUE INDEX {name} ON {table} USING btree {columns};"),
            format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {name} {kind} USING INDEX {name};"),
        ))
    }

    /// Splits a foreign key into its addition and its validation.
    fn not_valid(&self) -> Option<(String, String)> {
        if !self.definition.starts_with("FOREIGN KEY ")
            || self.definition.ends_with(" NOT VALID")
            || self.definition.ends_with("NOT ENFORCED")
        {
            return None;
        }
        let Self {
            table,
            name,
            definition,
        } = self;
        Some((
            format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {name} {definition} NOT VALID;"),
            format!("VALIDATE CONSTRAINT {name}"),
        ))
    }
}

/// The length of an identifier, quoted or not, at the start of a text.
fn identifier_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        let length = bytes
            .iter()
            .position(|&byte| {
                !(byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80)
            })
            .unwrap_or(bytes.len());
        return (length > 0).then_some(length);
    }
    let mut at = 1;
    loop {
        at += memchr::memchr(b'"', &bytes[at..])? + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

/// The length of `schema.name` at the start of a text.
fn qualified_length(text: &str) -> Option<usize> {
    let schema = identifier_length(text)?;
    let name = identifier_length(text[schema..].strip_prefix('.')?)?;
    Some(schema + 1 + name)
}

/// A name as `pg_dump` prints it, in the form this crate quotes it.
fn canonical(name: &str) -> String {
    name.parse::<TableName>()
        .map_or_else(|_| name.to_owned(), |name| name.quoted())
}

/// Runs the steps.
pub(crate) async fn run(
    session: &Session,
    database: &Database,
    steps: Vec<Step>,
    phase: Phase,
    jobs: usize,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    progress.begin(
        phase,
        Work {
            bytes: 0,
            rows: steps.len() as u64,
        },
    );
    let done = Work { bytes: 0, rows: 1 };
    let mut beside: Vec<(u64, String)> = Vec::new();
    for step in steps {
        match step {
            Step::Beside {
                statement, weight, ..
            } => beside.push((weight, statement)),
            Step::Alone(statement) => {
                run_beside(
                    session,
                    database,
                    std::mem::take(&mut beside),
                    jobs,
                    progress,
                )
                .await?;
                session.execute(&describe(&statement), &statement).await?;
                progress.advance(done);
            }
        }
    }
    run_beside(session, database, beside, jobs, progress).await
}

/// Memory for one index build, so that the usual sizes sort without touching the disk. The server's
/// own setting stays where it is higher.
pub(crate) const INDEX_SETTINGS: &str = "
    SET synchronous_commit = off;
    SELECT pg_catalog.set_config('maintenance_work_mem', '256MB', false)
     WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) < pg_catalog.pg_size_bytes('256MB')";

async fn run_beside(
    session: &Session,
    database: &Database,
    mut statements: Vec<(u64, String)>,
    jobs: usize,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    statements.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let jobs = jobs.min(statements.len());
    let queue: Queue = Arc::new(Mutex::new(statements.into()));
    if jobs <= 1 {
        return run_queue(session, &queue, progress).await;
    }
    let mut workers: JoinSet<Result<()>> = JoinSet::new();
    for _ in 0..jobs {
        let worker = Session::open(database, "restore").await?;
        worker
            .execute("the session settings", INDEX_SETTINGS)
            .await?;
        let (queue, progress) = (Arc::clone(&queue), Arc::clone(progress));
        workers.spawn(async move { run_queue(&worker, &queue, &progress).await });
    }
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| Error::WorkerDied {
            what: format!("building indexes ({error})"),
        })??;
    }
    Ok(())
}

type Queue = Arc<Mutex<VecDeque<(u64, String)>>>;

async fn run_queue(session: &Session, queue: &Queue, progress: &Arc<dyn Progress>) -> Result<()> {
    loop {
        let next = queue
            .lock()
            .expect("no worker panics while it holds the queue")
            .pop_front();
        let Some((_, statement)) = next else {
            return Ok(());
        };
        match session.execute(&describe(&statement), &statement).await {
            // Statistics are not data: a foreign partition that cannot be reached must not undo a restore.
            Err(error @ Error::Server { .. }) if statement.starts_with("ANALYZE ") => {
                progress.note(&error.to_string());
            }
            other => other?,
        }
        progress.advance(Work { bytes: 0, rows: 1 });
    }
}

/// Kind and name only: a statement may hold values that must not reach an error.
pub(crate) fn describe(statement: &str) -> String {
    let last = sql::statements(statement).pop().unwrap_or_default();
    format!("`{}`", sql::label(&last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_indexes_are_found() {
        assert_eq!(
            index_table("CREATE INDEX a ON public.t USING gin (x);"),
            Some("public.t")
        );
        assert_eq!(
            index_table("CREATE UNIQUE INDEX \"A b\" ON \"S\".\"t \"\"x\" USING btree (x);"),
            Some("\"S\".\"t \"\"x\"")
        );
        assert_eq!(
            index_table("CREATE INDEX a ON ONLY public.t USING btree (x);"),
            None
        );
    }

    #[test]
    fn a_plain_key_becomes_an_index_and_a_key_on_it() {
        let statement =
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id, \"other\");";
        let (index, key) = Constraint::parse(statement).unwrap().using_index().unwrap();
        assert_eq!(
            index,
            "CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id, \"other\");"
        );
        assert_eq!(
            key,
            "ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_pkey;"
        );
    }

    #[test]
    fn unusual_keys_stay_whole() {
        for definition in [
            "UNIQUE (a) DEFERRABLE",
            "UNIQUE NULLS NOT DISTINCT (a)",
            "PRIMARY KEY (a) INCLUDE (b)",
            "EXCLUDE USING gist (a WITH &&)",
            "UNIQUE (a) WITH (fillfactor='70')",
        ] {
            let statement =
                format!("ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c {definition};");
            assert!(
                Constraint::parse(&statement)
                    .unwrap()
                    .using_index()
                    .is_none(),
                "{definition}"
            );
        }
    }

    #[test]
    fn a_foreign_key_is_validated_apart() {
        let statement = "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.u(id) DEFERRABLE;";
        let (add, validate) = Constraint::parse(statement).unwrap().not_valid().unwrap();
        assert!(add.ends_with("DEFERRABLE NOT VALID;"), "{add}");
        assert_eq!(validate, "VALIDATE CONSTRAINT f");
        let unvalidated = statement.replace(';', " NOT VALID;");
        assert!(
            Constraint::parse(&unvalidated)
                .unwrap()
                .not_valid()
                .is_none()
        );
    }

    fn table(name: &str, bytes: u64) -> TableCensus {
        TableCensus {
            name: TableName::new("public", name),
            columns: Vec::new(),
            key: Vec::new(),
            rows: 0,
            bytes,
            digest: crate::digest::Digest::default(),
            buckets: crate::digest::Buckets::default(),
            with_partitions: false,
            filter: None,
        }
    }

    #[test]
    fn a_comment_waits_for_what_it_is_about_and_parts_no_indexes() {
        let text = "
            ALTER TABLE ONLY public.a ADD CONSTRAINT a_pkey PRIMARY KEY (id);
            COMMENT ON CONSTRAINT a_pkey ON public.a IS 'the key';
            CREATE INDEX b_at ON public.b USING btree (at);
            ALTER TABLE ONLY public.b ADD CONSTRAINT b_a FOREIGN KEY (a) REFERENCES public.a(id);
            COMMENT ON CONSTRAINT b_a ON public.b IS 'the reference';";
        let tables = PlainTables::of_census(&[table("a", 1), table("b", 2)], &[]);
        let mut steps = plan(sql::statements(text), &tables, &RestoreOptions::default());
        let builds = take_builds(&mut steps, &tables);
        assert_eq!(builds.len(), 2, "{builds:?}");
        assert_eq!((builds[0].table, builds[1].table), (0, 1));
        let order: Vec<String> = steps
            .iter()
            .flat_map(|step| match step {
                Step::Alone(statement) | Step::Beside { statement, .. } => {
                    sql::statements(statement)
                }
            })
            .map(|statement| sql::label(&statement))
            .collect();
        let at = |label: &str| {
            order
                .iter()
                .position(|found| found.contains(label))
                .unwrap()
        };
        assert!(
            at("ADD CONSTRAINT") < at("COMMENT ON CONSTRAINT a_pkey"),
            "{order:?}"
        );
        assert!(
            order
                .iter()
                .filter(|label| label.starts_with("ALTER TABLE"))
                .count()
                == 3,
            "key, reference, validation: {order:?}"
        );
        assert!(
            at("COMMENT ON CONSTRAINT b_a") > at("COMMENT ON CONSTRAINT a_pkey"),
            "{order:?}"
        );
    }

    #[test]
    fn only_what_an_index_may_need_keeps_it_back() {
        let text = "
            CREATE UNIQUE INDEX summary_id ON public.summary USING btree (id);
            ALTER TABLE ONLY public.a ADD CONSTRAINT a_range EXCLUDE USING gist (range WITH &&);
            CREATE INDEX a_detail ON public.a USING gin (detail);
            CREATE FUNCTION public.late(bigint) RETURNS text LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT 'x'; END;
            CREATE INDEX b_late ON public.b USING btree (public.late(id));";
        let tables = PlainTables::of_census(&[table("a", 1), table("b", 2)], &[]);
        let mut steps = plan(sql::statements(text), &tables, &RestoreOptions::default());
        let builds = take_builds(&mut steps, &tables);
        let statements: Vec<&str> = builds
            .iter()
            .map(|build| build.statement.as_str())
            .collect();
        assert_eq!(
            statements,
            ["CREATE INDEX a_detail ON public.a USING gin (detail);"]
        );
        assert_eq!(steps.len(), 4, "{steps:?}");
    }

    #[test]
    fn keys_of_heirs_and_partitions_stay_whole() {
        let pre_data = sql::statements(
            "CREATE TABLE public.a (
                own integer
            )
INHERITS (public.parent);
            CREATE TABLE public.c (note text DEFAULT 'INHERITS (x)');
            ALTER TABLE ONLY public.root ATTACH PARTITION public.\"B b\" FOR VALUES IN (1);",
        );
        let tables = [table("a", 1), table("B b", 2), table("c", 3)];
        let tables = PlainTables::of_census(&tables, &pre_data);
        let text = "
            ALTER TABLE ONLY public.a ADD CONSTRAINT a_pkey PRIMARY KEY (id);
            ALTER TABLE ONLY public.\"B b\" ADD CONSTRAINT b_pkey PRIMARY KEY (id);
            ALTER TABLE ONLY public.c ADD CONSTRAINT c_pkey PRIMARY KEY (id);";
        let mut steps = plan(sql::statements(text), &tables, &RestoreOptions::default());
        let builds = take_builds(&mut steps, &tables);
        let is_whole: Vec<bool> = builds
            .iter()
            .map(|build| build.statement.starts_with("ALTER TABLE "))
            .collect();
        assert_eq!(is_whole, [true, true, false], "{builds:?}");
        assert_eq!(steps.len(), 1, "the key of c on its index: {steps:?}");
    }
}
