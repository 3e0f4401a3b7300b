//! An object that prints differently after a round trip is the same object; a different object is
//! not.

use pgsnap::{
    Census, CensusOptions, CopyOptions, Database, Difference, Note, StatementDifference, compare,
};

use crate::server::{Server, quiet};

const EXPRESSIONS: &str = include_str!("reprinted.sql");

async fn census(database: &Database) -> Census {
    pgsnap::census(database, &CensusOptions::default(), &quiet()).await.unwrap()
}

/// The objects that a comparison of two censuses notes as printed differently; nothing may differ.
fn reprinted(a: &Census, b: &Census) -> Vec<String> {
    let comparison = compare(a, b);
    assert!(comparison.is_equal(), "{:#?}", comparison.differences);
    let mut objects = Vec::new();
    for note in comparison.notes {
        match note {
            Note::Reprinted { objects: some } => objects.extend(some),
            Note::ExtensionVersion { name, .. } => assert_eq!(name, "plpgsql"),
            other => panic!("{other}"),
        }
    }
    objects
}

/// The one statement in which two schemas differ.
fn changed(a: &Census, b: &Census) -> StatementDifference {
    let comparison = compare(a, b);
    let [Difference::Schema { statements, .. }] = comparison.differences.as_slice() else {
        panic!("{:?}", comparison.differences)
    };
    let [statement] = statements.as_slice() else { panic!("{statements:?}") };
    statement.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_round_trip_prints_differently_is_the_same_object() {
    let server = Server::start().await;
    let source = server.with_sql("source", EXPRESSIONS).await;
    let of_source = census(&source).await;
    let (archive, _) = server.dump(&source).await;
    let restored = server.restore(&archive, "restored").await;
    let objects = restored.comparison.unwrap().notes;
    assert!(matches!(objects.as_slice(), [Note::Reprinted { .. }]));

    let copied = server.scratch.database("copied");
    pgsnap::copy(&source, &copied, &CopyOptions::default(), &quiet()).await.unwrap();
    let plain = server.create("plain").await;
    server.psql_restores(&server.file("source.sql.gz"), "plain");
    let (second, _) = server.dump(&copied).await;
    server.restore(&second, "twice").await;
    for name in ["restored", "copied", plain.name(), "twice"] {
        let of_copy = census(&server.scratch.database(name)).await;
        let objects = reprinted(&of_source, &of_copy);
        assert_eq!(objects.len(), reprinted(&of_copy, &of_source).len());
        // Each kind of object is among those that the rules are there for.
        for kind in [
            "CREATE TABLE public.t",
            "CREATE TABLE public.td1",
            "CREATE DOMAIN public.d_status",
            "CREATE INDEX i1 ON public.t",
            "CREATE VIEW public.v1",
            "CREATE MATERIALIZED VIEW public.mv",
            "CREATE POLICY po ON public.t",
            "CREATE TRIGGER tr BEFORE UPDATE ON public.t FOR EACH ROW",
            "CREATE RULE ru",
            "CREATE STATISTICS public.st ON",
            "CREATE FUNCTION public.sf",
        ] {
            assert!(objects.iter().any(|one| one == kind), "{kind}: {objects:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_changed_is_not_taken_for_reprinted() {
    const CHECK: &str = "ALTER TABLE words DROP CONSTRAINT c, ADD CONSTRAINT c CHECK";
    let server = Server::start().await;
    let sql = "CREATE TABLE words (id int PRIMARY KEY, status varchar(20), a int, b int,
           CONSTRAINT c CHECK (status IN ('active', 'archived')), CONSTRAINT d CHECK (a BETWEEN 1 AND 5 AND b > 0));
         CREATE VIEW v AS SELECT id FROM words WHERE status IN ('active', 'archived');
         CREATE INDEX i ON words (id) WHERE status IN ('active', 'archived')";
    let source = server.with_sql("source", sql).await;
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "copy").await;
    let (of_source, copy) = (census(&source).await, server.scratch.database("copy"));
    assert_eq!(reprinted(&of_source, &census(&copy).await).len(), 3);
    for (change, object) in [
        (
            format!("{CHECK} (status IN ('active', 'archived', 'gone'))"),
            "CREATE TABLE public.words",
        ),
        (
            format!("{CHECK} (status IN ('active', 'Archived'))"),
            "CREATE TABLE public.words",
        ),
        (
            format!("{CHECK} (status NOT IN ('active', 'archived'))"),
            "CREATE TABLE public.words",
        ),
        (
            format!("{CHECK} (status::varchar(3) IN ('active', 'archived'))"),
            "CREATE TABLE public.words",
        ),
        (
            "ALTER TABLE words DROP CONSTRAINT d, ADD CONSTRAINT d CHECK (a BETWEEN 1 AND 5 OR b > 0)".into(),
            "CREATE TABLE public.words",
        ),
        (
            "CREATE OR REPLACE VIEW v AS SELECT id FROM words WHERE status IN ('active', 'archive')".into(),
            "CREATE VIEW public.v",
        ),
        (
            "DROP INDEX i; CREATE INDEX i ON words (id) WHERE status IN ('active')".into(),
            "CREATE INDEX i ON public.words",
        ),
    ] {
        server.restore(&archive, "copy").await;
        pgsnap::execute(&copy, &change).await.unwrap();
        let found = changed(&of_source, &census(&copy).await);
        assert_eq!(found.object, object, "{change}");
        let (a, b) = (found.a.unwrap(), found.b.unwrap());
        assert!(a != b && a.contains("archived"), "{a}\n{b}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plpgsql_on_one_side_only_is_no_difference() {
    const MADE_ANEW: &str = "DROP EXTENSION plpgsql; CREATE EXTENSION plpgsql";
    let server = Server::start().await;
    let with = census(&server.create("with").await).await;
    let without = census(&server.with_sql("without", "DROP EXTENSION plpgsql").await).await;
    let anew = server.with_sql("anew", MADE_ANEW).await;
    let (archive, _) = server.dump(&anew).await;
    server.restore(&archive, "restored").await;
    let restored = census(&server.scratch.database("restored")).await;
    let anew = census(&anew).await;
    for (a, b) in [(&with, &without), (&anew, &restored), (&anew, &without)] {
        reprinted(a, b);
        reprinted(b, a);
    }
    assert!(anew.schema.unwrap().digest != restored.schema.unwrap().digest);
}

/// Tables with one random check each: its statement, and the same with one constant changed.
struct Checks {
    state: u64,
}

impl Checks {
    fn below(&mut self, limit: u64) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % limit
    }

    fn one_of(&mut self, words: &[&str]) -> String {
        words[usize::try_from(self.below(words.len() as u64)).unwrap()].to_owned()
    }

    fn number(&mut self) -> String {
        match self.below(4) {
            0 => self.one_of(&["a", "b", "n"]),
            1 => format!("-{}", self.below(9) + 1),
            _ => self.below(9).to_string(),
        }
    }

    fn string(&mut self) -> String {
        let constant = self.one_of(&["'x'", "'y z'", "'It''s'", "'(ARRAY[1])'", "NULL", "''"]);
        match self.below(8) {
            0 | 1 => self.one_of(&["v", "w", "t", "c"]),
            2 => format!("{constant}::varchar"),
            3 => format!("{constant}::varchar(3)"),
            4 => format!("lower({})", self.string()),
            5 => format!("coalesce({}, {})", self.string(), self.string()),
            _ => constant,
        }
    }

    fn list(&mut self, element: fn(&mut Self) -> String) -> String {
        let count = self.below(3) + 1;
        let elements: Vec<String> = (0..count).map(|_| element(self)).collect();
        elements.join(", ")
    }

    fn condition(&mut self, depth: u64) -> String {
        let kinds = if depth == 0 { 8 } else { 12 };
        match self.below(kinds) {
            0 => {
                let not = self.one_of(&["", "NOT "]);
                format!(
                    "{} {not}IN ({})",
                    self.one_of(&["v", "w", "t", "c"]),
                    self.list(Self::string)
                )
            }
            1 => {
                let how = self.one_of(&["= ANY", "<> ALL", "~ ANY", "LIKE ANY"]);
                let cast = self.one_of(&[
                    "::varchar[]",
                    "::text[]",
                    "::varchar(4)[]",
                    "::varchar[]::text[]",
                ]);
                format!(
                    "{} {how} (ARRAY[{}]{cast})",
                    self.one_of(&["v", "t"]),
                    self.list(Self::string)
                )
            }
            2 => format!("{} IN ({})", self.one_of(&["a", "b", "n"]), self.list(Self::number)),
            3 => format!("n = ANY (ARRAY[{}, 1])", self.list(Self::number)),
            4 | 5 => {
                let how = self.one_of(&["BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC"]);
                format!(
                    "{} {how} {} AND {}",
                    self.one_of(&["a", "b", "n"]),
                    self.number(),
                    self.number()
                )
            }
            6 => format!(
                "(a, b) {} ({}, {})",
                self.one_of(&["=", "<>", "<"]),
                self.number(),
                self.number()
            ),
            7 => {
                let (left, right) = (self.one_of(&["v", "w", "t"]), self.string());
                format!("{left} {} {right}", self.one_of(&["=", "<", "LIKE", "IS DISTINCT FROM"]))
            }
            8 => format!("NOT ({})", self.condition(depth - 1)),
            9 => {
                let (when, then, or_else) = (
                    self.condition(depth - 1),
                    self.condition(depth - 1),
                    self.condition(depth - 1),
                );
                format!("CASE WHEN {when} THEN {then} ELSE {or_else} END")
            }
            _ => {
                let word = self.one_of(&["AND", "OR"]);
                let (left, right) = (self.condition(depth - 1), self.condition(depth - 1));
                match self.below(3) {
                    0 => format!("{left} {word} {right}"),
                    1 => format!("({left}) {word} {right}"),
                    _ => format!("{left} {word} ({right})"),
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_checks_are_equal_after_a_round_trip_and_differ_in_one_constant() {
    const TABLES: usize = 300;
    let mut checks = Checks { state: 15 };
    let (mut sql, mut other) = (String::new(), String::new());
    for index in 0..TABLES {
        let check = checks.condition(3);
        let create = |check: &str| {
            format!(
                "CREATE TABLE t{index} (v varchar(20), w varchar, t text, c char(3), a int, b int, n numeric, CHECK (({check}) OR v = 'last'));\n"
            )
        };
        sql += &create(&check);
        // A constant that no check has, in place of one of its own or beside all of them.
        let constants: Vec<usize> = check.match_indices("'x'").map(|(at, _)| at).collect();
        let changed = match constants.as_slice() {
            [] => format!("({check}) OR v = 'other'"),
            all => {
                let at = all[usize::try_from(checks.below(all.len() as u64)).unwrap()];
                format!("{}'other'{}", &check[..at], &check[at + 3..])
            }
        };
        other += &create(&changed);
    }
    let server = Server::start().await;
    let source = server.with_sql("source", &sql).await;
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "copy").await;
    let of_source = census(&source).await;
    let objects = reprinted(&of_source, &census(&server.scratch.database("copy")).await);
    assert!(objects.len() > TABLES / 4, "{}", objects.len());

    let changed = server.with_sql("changed", &other).await;
    let (archive, _) = server.dump(&changed).await;
    server.restore(&archive, "copy").await;
    for name in ["changed", "copy"] {
        let other = census(&server.scratch.database(name)).await;
        let comparison = compare(&of_source, &other);
        let [Difference::Schema { statements, .. }] = comparison.differences.as_slice() else {
            panic!("{:?}", comparison.differences)
        };
        assert_eq!(statements.len(), TABLES);
    }
}
