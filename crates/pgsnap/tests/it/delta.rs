//! An earlier copy becomes its source again, and only rows that differ are sent.

mod random;
mod refusals;

use pgsnap::{
    Base, CensusOptions, CopyOptions, Database, DeltaOptions, Updated, compare, copy, delta,
    plan_delta, survey,
};

use crate::server::{Server, assert_same_text, quiet, server_programs, with_sorted_rows};

/// Every kind of table and object that moves, and whatever might get in the way.
const SETUP: &str = "
    CREATE TYPE mood AS ENUM ('calm', 'odd');
    CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
    CREATE TABLE keyed (id int PRIMARY KEY, code text UNIQUE, v text);
    INSERT INTO keyed SELECT n, 'c' || n, md5(n::text) FROM generate_series(1, 3000) n;
    CREATE TABLE log (id bigserial, what text);
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN INSERT INTO public.log (what) VALUES (TG_OP); RETURN COALESCE(NEW, OLD); END$$;
    CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON keyed FOR EACH ROW EXECUTE FUNCTION tell();
    CREATE TABLE bag (a int, b text);
    INSERT INTO bag SELECT n % 7, NULLIF('x' || n % 3, 'x0') FROM generate_series(1, 500) n;
    CREATE RULE keep AS ON DELETE TO bag WHERE OLD.a = 3 DO INSTEAD NOTHING;
    CREATE TABLE odd (id serial PRIMARY KEY, t text, b bytea, j jsonb, a text[], e mood, m email, f float8, r int4range);
    INSERT INTO odd (t, b, j, a, e, m, f, r) VALUES
        (E'tab\\there\\nline\\\\back', '\\x00ff', '{\"a\": [1, null]}', ARRAY[NULL, '', '{,}'], 'calm', 'a@b', 'NaN', '[1,5)'),
        ('\\N', '', NULL, '{}', NULL, NULL, '-Infinity', 'empty'), ('', NULL, 'null', NULL, 'odd', '@', 0.1, NULL);
    CREATE TABLE toasted (id int PRIMARY KEY, v text);
    INSERT INTO toasted SELECT n, (SELECT string_agg(md5((n * i)::text), '') FROM generate_series(1, 400) i) FROM generate_series(1, 20) n;
    CREATE TABLE measured (day int NOT NULL, id int GENERATED ALWAYS AS IDENTITY, v int, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
    CREATE TABLE early PARTITION OF measured FOR VALUES FROM (0) TO (10);
    CREATE TABLE late PARTITION OF measured FOR VALUES FROM (10) TO (20);
    CREATE TABLE rest PARTITION OF measured DEFAULT;
    INSERT INTO measured (day, v) SELECT n % 25, n FROM generate_series(1, 300) n;
    CREATE TABLE moods (m mood, n int) PARTITION BY HASH (m);
    CREATE TABLE moods0 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE moods1 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO moods SELECT (ARRAY['calm', 'odd', NULL])[1 + n % 3]::mood, n FROM generate_series(1, 60) n;
    CREATE TABLE computed (a int, b int, sum int GENERATED ALWAYS AS (a + b) STORED, CHECK (a < 1000));
    INSERT INTO computed SELECT n, n * 2 FROM generate_series(1, 100) n;
    CREATE TABLE chicken (id int PRIMARY KEY, egg int);
    CREATE TABLE egg (id int PRIMARY KEY, chicken int REFERENCES chicken ON DELETE CASCADE);
    INSERT INTO chicken SELECT n, n FROM generate_series(1, 50) n; INSERT INTO egg SELECT n, n FROM generate_series(1, 50) n;
    ALTER TABLE chicken ADD FOREIGN KEY (egg) REFERENCES egg ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
    CREATE TABLE slots (during int4range, EXCLUDE USING gist (during WITH &&), n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO slots SELECT int4range(n * 10, n * 10 + 10), n FROM generate_series(1, 20) n;
    CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent); INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3);
    CREATE TABLE nothing (); INSERT INTO nothing SELECT FROM generate_series(1, 5); CREATE TABLE empty (id int); CREATE TABLE filled (id int);
    INSERT INTO filled SELECT generate_series(1, 40);
    CREATE MATERIALIZED VIEW totals AS SELECT a, count(*) FROM bag GROUP BY a; CREATE UNIQUE INDEX ON totals (a);
    CREATE MATERIALIZED VIEW sums AS SELECT sum(count) FROM totals; CREATE MATERIALIZED VIEW unfilled AS SELECT 1 WITH NO DATA;
    CREATE SEQUENCE tickets START 100 INCREMENT 5; SELECT nextval('tickets');
    SELECT lo_from_bytea(4001, 'first'), lo_from_bytea(4002, repeat('long', 300000)::bytea), lo_from_bytea(4003, 'gone');
    COMMENT ON LARGE OBJECT 4001 IS 'a comment';
    DO $$BEGIN EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg('c' || n || ' int DEFAULT ' || n, ', ') FROM generate_series(1, 300) n) || ')'; END$$;
    INSERT INTO wide DEFAULT VALUES; INSERT INTO wide DEFAULT VALUES;";

/// What happens at the source between copy and freeze.
const CHANGES: &str = "
    UPDATE keyed SET v = 'changed' WHERE id % 100 = 0; DELETE FROM keyed WHERE id BETWEEN 500 AND 520;
    INSERT INTO keyed SELECT n, 'c' || n, 'new' FROM generate_series(3001, 3050) n;
    UPDATE keyed SET code = 'swap' WHERE id = 1; UPDATE keyed SET code = 'c1' WHERE id = 2; UPDATE keyed SET code = 'c2' WHERE id = 1;
    DELETE FROM keyed WHERE id IN (3, 4); INSERT INTO keyed VALUES (3, 'c4', 'four'), (4, 'c3', 'three');
    UPDATE bag SET b = 'moved' WHERE ctid IN (SELECT ctid FROM bag WHERE a = 2 LIMIT 10); INSERT INTO bag SELECT a, b FROM bag WHERE a = 5;
    DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE a = 6 LIMIT 30); DROP RULE keep ON bag;
    DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE a = 3 LIMIT 5);
    CREATE RULE keep AS ON DELETE TO bag WHERE OLD.a = 3 DO INSTEAD NOTHING;
    UPDATE odd SET t = t || E'\\r\\t', f = -0.0 WHERE id = 1; INSERT INTO odd (t, m) VALUES (E'\\\\.', 'x@y'), (NULL, NULL);
    UPDATE toasted SET v = v || 'x' WHERE id % 7 = 0; DELETE FROM toasted WHERE id = 1;
    UPDATE measured SET day = day + 10 WHERE v % 10 = 0; DELETE FROM measured WHERE day = 24; INSERT INTO measured (day, v) VALUES (3, -1), (90, -2);
    UPDATE moods SET m = 'calm' WHERE n % 4 = 0; INSERT INTO moods VALUES ('odd', 99);
    UPDATE computed SET a = a + 1 WHERE b % 20 = 0; INSERT INTO computed VALUES (7, 7);
    DELETE FROM chicken WHERE id = 7; INSERT INTO chicken VALUES (77, NULL); INSERT INTO egg VALUES (77, 77); UPDATE chicken SET egg = 77 WHERE id = 77;
    UPDATE slots SET during = int4range(1, 3) WHERE n = 1; UPDATE slots SET during = int4range(10, 20), n = 33 WHERE n = 2;
    UPDATE parent SET a = 9; INSERT INTO nothing SELECT FROM generate_series(1, 3); INSERT INTO empty VALUES (1); TRUNCATE filled;
    INSERT INTO filled SELECT generate_series(20, 60); REFRESH MATERIALIZED VIEW totals;
    SELECT nextval('tickets'), setval('odd_id_seq', 900, false);
    SELECT lo_put(4001, 5, ' second'), lo_put(4002, 1100000, 'end'), lo_unlink(4003), lo_from_bytea(4004, 'new');
    UPDATE wide SET c200 = 1 WHERE ctid = '(0,1)'";

/// A source and its copy.
struct Pair {
    here: Server,
    /// The server of the copy, if it is another one.
    elsewhere: Option<Server>,
    source: Database,
    base: Database,
}

impl Pair {
    /// On one server, where the writers to the source are neighbours of the base.
    async fn with_sql(setup: &str) -> Self {
        Self::on(Server::start().await, None, setup).await
    }

    async fn on_two_servers(setup: &str) -> Self {
        let (here, there) = tokio::join!(Server::start(), Server::start());
        Self::on(here, Some(there), setup).await
    }

    async fn on(here: Server, elsewhere: Option<Server>, setup: &str) -> Self {
        let source = here.with_sql("hub", setup).await;
        let base = elsewhere.as_ref().unwrap_or(&here).scratch.database("base");
        copy(&source, &base, &CopyOptions::default(), &quiet()).await.unwrap();
        Self { here, elsewhere, source, base }
    }

    fn there(&self) -> &Server {
        self.elsewhere.as_ref().unwrap_or(&self.here)
    }

    async fn survey(&self) -> Base {
        survey(&self.base, &options(), &quiet()).await.unwrap()
    }

    async fn change(&self, sql: &str) {
        pgsnap::execute(&self.source, sql).await.unwrap();
    }

    async fn delta(&self, base: Base) -> Updated {
        delta(&self.source, base, &options(), &quiet()).await.unwrap()
    }

    /// Requires that nothing tells the base from its source: neither a census nor `pg_dump`.
    async fn require_equal(&self) {
        let census = |database| async move {
            pgsnap::census(database, &CensusOptions::default(), &quiet()).await.unwrap()
        };
        let comparison = compare(&census(&self.source).await, &census(&self.base).await);
        assert!(comparison.is_equal(), "{:#?}", comparison.differences);
        // The hash of an enum, and with it the partition, is another one at each server.
        let arguments = ["--exclude-table-data=moods*"];
        assert_same_text(
            &with_sorted_rows(&self.here.pg_dump("hub", &arguments)),
            &with_sorted_rows(&self.there().pg_dump("base", &arguments)),
        );
    }
}

fn options() -> DeltaOptions {
    let mut options = DeltaOptions::default();
    options.jobs = 3;
    options
}

async fn scalar(database: &Database, sql: &str) -> String {
    pgsnap::query_scalar(database, sql).await.unwrap().unwrap_or_default()
}

/// Inserted and deleted rows of a table.
fn counts(updated: &Updated, table: &str) -> (u64, u64) {
    let found = updated.tables.iter().find(|delta| delta.table.name == table);
    found.map_or((0, 0), |delta| (delta.inserted, delta.deleted))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_changed_arrives_and_nothing_else_is_sent() {
    let pair = Pair::on_two_servers(SETUP).await;
    let plan = plan_delta(&pair.source, &pair.base, &options()).await.unwrap();
    assert!(plan.obstacles.is_empty(), "{plan:#?}");
    let base = pair.survey().await;
    assert_eq!(base.rows(), base.census().rows());
    assert!(base.bytes_in_memory() >= 16 * base.rows());
    pair.change(CHANGES).await;

    let updated = pair.delta(base).await;
    assert!(updated.comparison.is_equal());
    let census = pgsnap::census(&pair.source, &CensusOptions::default(), &quiet()).await.unwrap();
    assert_eq!(updated.census, census, "the source is counted as a census counts it");
    // 29 updated, 21 deleted, 50 new, 2 swapped and 2 made anew with each other's code.
    assert_eq!(counts(&updated, "keyed"), (83, 54));
    assert_eq!(counts(&updated, "filled"), (20, 19), "rows that came back stay where they are");
    assert_eq!(counts(&updated, "nothing"), (3, 0));
    assert_eq!(counts(&updated, "wide"), (1, 1));
    assert_eq!(counts(&updated, "child"), (1, 1));
    assert!(counts(&updated, "moods").0 > 1, "{:?}", updated.tables);
    assert_eq!(updated.large_objects, 4);
    pair.require_equal().await;
    let views = "SELECT (SELECT sum(count) FROM totals) || '/' || (SELECT sum FROM sums) || '/' || (SELECT count(*) FROM bag)";
    let views = scalar(&pair.base, views).await;
    let rows: Vec<&str> = views.split('/').collect();
    assert!(rows.iter().all(|one| *one == rows[0]), "{views}");
    require_sound_indexes(&pair.base).await;

    // The base can be brought up again, by what changed since.
    let again = pair.survey().await;
    pair.change("UPDATE keyed SET v = 'again' WHERE id = 9; SELECT nextval('tickets')").await;
    let updated = pair.delta(again).await;
    assert_eq!(counts(&updated, "keyed"), (1, 1));
    assert_eq!(updated.tables.len(), 2, "and the log of its trigger: {:?}", updated.tables);
    pair.require_equal().await;
}

async fn require_sound_indexes(database: &Database) {
    let check = "CREATE SCHEMA amcheck; CREATE EXTENSION amcheck SCHEMA amcheck;
        SELECT amcheck.bt_index_check(i.indexrelid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
          JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence <> 't';
        DROP SCHEMA amcheck CASCADE";
    pgsnap::execute(database, check).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_source_that_changed_changes_its_base() {
    let setup =
        "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id; SELECT lo_from_bytea(0, 'x');
        CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t";
    let pair = Pair::on_two_servers(setup).await;
    let place = "SELECT md5(string_agg(ctid::text || xmin::text, ',' ORDER BY id)) || (SELECT relfilenode FROM pg_class WHERE relname = 'm') FROM t";
    let before = scalar(&pair.base, place).await;
    let base = pair.survey().await;
    let updated = pair.delta(base).await;
    assert!(updated.tables.is_empty() && updated.large_objects == 0, "{:?}", updated.tables);
    assert_eq!((updated.census.rows(), updated.comparison.rows), (1000, 1000));
    assert_eq!(scalar(&pair.base, place).await, before);

    let base = pair.survey().await;
    pair.change("INSERT INTO t SELECT generate_series(1001, 2000)").await;
    pair.delta(base).await;
    pair.require_equal().await;
    let seen = "SELECT reltuples || '/' || (SELECT count FROM m) FROM pg_class WHERE relname = 't'";
    assert_eq!(scalar(&pair.base, seen).await, "2000/2000", "statistics and view are anew");
}

/// To a newer server, and back to the older one, whose own copy is the base then.
#[tokio::test(flavor = "multi_thread")]
async fn versions_of_the_server_are_left_and_returned_to() {
    if server_programs().is_none() {
        testkit::not_applicable("it takes two servers of different versions: cargo xtask test");
        return;
    }
    let (tested, installed) = tokio::join!(Server::start(), Server::start_installed());
    let (older, newer) = if tested.major().await < installed.major().await {
        (tested, installed)
    } else {
        (installed, tested)
    };
    let is_newer = older.major().await < newer.major().await;
    let old = older.with_sql("hub", SETUP).await;
    let new = newer.scratch.database("base");
    let copied = copy(&old, &new, &CopyOptions::default(), &quiet()).await.unwrap();

    let obstacles = plan_delta(&old, &new, &options()).await.unwrap().obstacles;
    assert_eq!(obstacles.len(), usize::from(is_newer), "{obstacles:?}");
    let mut options = options();
    options.copied_schema = copied.census.schema.clone();
    let surveyed = survey(&new, &options, &quiet()).await.unwrap();
    pgsnap::execute(&old, CHANGES).await.unwrap();
    let updated = delta(&old, surveyed, &options, &quiet()).await.unwrap();
    assert!(updated.tables.len() > 10 && updated.comparison.is_equal());

    pgsnap::execute(&new, "UPDATE keyed SET v = 'back' WHERE id < 10; SELECT lo_put(4004, 0, 'N')")
        .await
        .unwrap();
    options.copied_schema = updated.base_census.schema.clone();
    let surveyed = survey(&old, &options, &quiet()).await.unwrap();
    let back = delta(&new, surveyed, &options, &quiet()).await.unwrap();
    assert_eq!((counts(&back, "keyed"), back.large_objects), ((9, 9), 1));
    options.copied_schema = back.base_census.schema.clone();
    pgsnap::execute(&old, "ALTER TABLE keyed ALTER v SET DEFAULT 'x'").await.unwrap();
    let obstacles = plan_delta(&old, &new, &options).await.unwrap().obstacles;
    assert!(obstacles[0].problem.contains("another schema"), "{obstacles:?}");
}
