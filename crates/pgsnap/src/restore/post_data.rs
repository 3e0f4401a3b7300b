//! Everything that comes after the rows, in an order that keeps all sessions busy and changes
//! nothing about the result.
//!
//! `pg_dump` prints statements in dependency order. Consecutive index builds (and keys, which are
//! built as unique indexes first and become keys afterwards) run side by side; foreign keys are
//! added `NOT VALID`, which is instant, and validated side by side; everything else runs alone, in
//! order. Event triggers come last: they would fire when materialised views are refreshed.

mod execution;
mod refreshes;
mod statement;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::catalog::Table;
use crate::census::TableCensus;
use crate::name::TableName;
use crate::restore::RestoreOptions;
use crate::restore::schedule::Build;
use crate::sql;
use crate::user_code::UserCode;

pub(crate) use execution::{INDEX_SETTINGS, describe, run};
pub(crate) use refreshes::{Refreshes, is_refresh};
use statement::{Constraint, canonical, heir, index_table};

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

/// Takes the indexes that need nothing but the rows of their own tables, up to the first statement
/// that creates anything else, for example a function, which an index after it may call. What is
/// between them stays: keys of unusual form, indexes of materialised views, and those that call
/// functions of the database, which may read any other table.
pub(crate) fn take_builds(
    steps: &mut Vec<Step>,
    tables: &PlainTables,
    code: &UserCode,
) -> Vec<Build> {
    let is_free = |statement: &str, table: &str| {
        let called = |table: TableName| code.is_called_by(&table);
        !table.parse().is_ok_and(called) && !code.is_called_by_index(statement)
    };
    let beginning = steps
        .iter()
        .position(|step| matches!(step, Step::Alone(statement) if statement.contains("CREATE ")))
        .unwrap_or(steps.len());
    let mut builds = Vec::new();
    let mut left = Vec::new();
    for step in steps.drain(..beginning) {
        match step {
            Step::Beside { statement, weight, table: Some(table) }
                if is_free(&statement, &table) =>
            {
                builds.push(Build { weight, table: tables.tables[&table].position, statement });
            }
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
        event_triggers: Vec::new(),
    };
    let wanted: Option<Vec<String>> =
        options.tables.as_ref().map(|tables| tables.iter().map(TableName::quoted).collect());
    for statement in statements {
        if wanted.as_ref().is_none_or(|wanted| belongs_to(&statement, wanted)) {
            planner.take(statement);
        }
    }
    planner.finish()
}

/// Returns true if a statement builds an index or key of one of these tables. A restore of single
/// tables leaves everything else out: foreign keys and views may need what is not there.
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
    event_triggers: Vec<String>,
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
            let name = statement.split_whitespace().nth(1).unwrap_or_default().to_owned();
            self.settings.insert(name, statement);
            return;
        }
        if is_of_event_trigger(&statement) {
            self.event_triggers.push(statement);
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
                self.foreign_keys.push(ForeignKey { table, addition, validation, weight });
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

    /// Keys take an exclusive lock, but only for an instant once their index exists: many go into
    /// one query.
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
            self.steps.push(Step::Beside { statement, weight, table: None });
        }
    }

    fn finish(mut self) -> Vec<Step> {
        self.end_deferred();
        self.end_foreign_keys();
        let event_triggers = self.event_triggers.into_iter().map(Step::Alone);
        self.steps.extend(event_triggers);
        self.steps
    }
}

/// Returns true if a statement makes or describes an event trigger.
fn is_of_event_trigger(statement: &str) -> bool {
    let starts = |start: &str| statement.starts_with(start);
    let labels = starts("SECURITY LABEL ") && sql::label(statement).contains(" ON EVENT TRIGGER ");
    labels
        || ["CREATE ", "ALTER ", "COMMENT ON "].iter().any(|verb| {
            statement.strip_prefix(verb).is_some_and(|rest| rest.starts_with("EVENT TRIGGER "))
        })
}

/// Returns roughly how many times longer than a B-tree an index takes to build. Inverted and
/// tree-of-boxes indexes are built by one process and take the longest, so they must begin first.
fn effort(statement: &str) -> u64 {
    let is_slow = [" USING gin ", " USING gist ", " USING spgist "]
        .iter()
        .any(|method| statement.contains(method));
    if is_slow { 10 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            foreign_server: None,
            generated: None,
            encoding: None,
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
        let builds = take_builds(&mut steps, &tables, &UserCode::default());
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
        let at = |label: &str| order.iter().position(|found| found.contains(label)).unwrap();
        assert!(at("ADD CONSTRAINT") < at("COMMENT ON CONSTRAINT a_pkey"), "{order:?}");
        assert!(
            order.iter().filter(|label| label.starts_with("ALTER TABLE")).count() == 3,
            "key, reference, validation: {order:?}"
        );
        assert!(at("COMMENT ON CONSTRAINT b_a") > at("COMMENT ON CONSTRAINT a_pkey"), "{order:?}");
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
        let builds = take_builds(&mut steps, &tables, &UserCode::default());
        let statements: Vec<&str> = builds.iter().map(|build| build.statement.as_str()).collect();
        assert_eq!(statements, ["CREATE INDEX a_detail ON public.a USING gin (detail);"]);
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
        let builds = take_builds(&mut steps, &tables, &UserCode::default());
        let is_whole: Vec<bool> =
            builds.iter().map(|build| build.statement.starts_with("ALTER TABLE ")).collect();
        assert_eq!(is_whole, [true, true, false], "{builds:?}");
        assert_eq!(steps.len(), 1, "the key of c on its index: {steps:?}");
    }
}
