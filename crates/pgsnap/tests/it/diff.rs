//! Differences are found, named and localised.

use pgsnap::{
    Census, CensusOptions, Database, Difference, RowChange, RowSource, TableName, compare,
    differing_rows,
};

use crate::server::{Server, quiet};

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, title text, state text); INSERT INTO t SELECT n, 'title ' || n, 'open' FROM generate_series(1, 30000) n;
    CREATE TABLE keyless (v text); INSERT INTO keyless VALUES ('x'), ('x'), ('y'); CREATE SEQUENCE s";

async fn census(database: &Database) -> Census {
    pgsnap::census(database, &CensusOptions::default(), &quiet()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_row_among_many_is_named() {
    let server = Server::start().await;
    let a = server.with_sql("a", ROWS).await;
    let (archive, manifest) = server.dump(&a).await;
    pgsnap::execute(&a, "UPDATE t SET state = 'done' WHERE id = 12345; DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (99999, 'new', 'open')").await.unwrap();
    let now = census(&a).await;
    let comparison = compare(&manifest.census, &now);
    let [Difference::Content { table, differing_buckets, buckets }] =
        comparison.differences.as_slice()
    else {
        panic!("{:?}", comparison.differences)
    };
    assert_eq!(table.name, "t");
    assert!(*differing_buckets <= 3 && *buckets == 8, "{differing_buckets} of {buckets}");

    let (before, after) = (manifest.census.table(table).unwrap(), now.table(table).unwrap());
    let (in_archive, in_database) = (RowSource::Archive(archive), RowSource::Database(a));
    let mut rows = differing_rows((&in_archive, before), (&in_database, after), 10).await.unwrap();
    rows.sort_by(|x, y| x.key.cmp(&y.key));
    let told: Vec<_> =
        rows.iter().map(|row| (row.key[0].as_str(), row.change, row.columns.clone())).collect();
    assert_eq!(
        told,
        [
            ("id=12345", RowChange::Changed, vec!["state".to_owned()]),
            ("id=7", RowChange::OnlyA, vec![]),
            ("id=99999", RowChange::OnlyB, vec![])
        ]
    );
    assert_eq!(
        differing_rows((&in_archive, before), (&in_database, after), 1).await.unwrap().len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_sequences_and_schema_are_compared() {
    let server = Server::start().await;
    let a = census(&server.with_sql("a", ROWS).await).await;
    let database = server.with_sql("b", ROWS).await;
    assert!(compare(&a, &census(&database).await).is_equal());
    pgsnap::execute(&database, "INSERT INTO keyless VALUES ('x'); DELETE FROM keyless WHERE v = 'y'; SELECT nextval('s'); CREATE INDEX extra ON t (title)").await.unwrap();
    let told: Vec<String> =
        compare(&a, &census(&database).await).differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "table \"public\".\"keyless\": same row count, different contents (1 of 1 key ranges)",
            "sequence \"public\".\"s\" is 1 (not called yet) in A and 1 in B",
            "the schema differs (only in A: nothing; only in B: CREATE INDEX extra ON public.t)"
        ]
    );
}

/// After `ALTER TABLE parent ADD COLUMN` a child has its columns in another order than after a
/// restore.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_columns_is_no_difference() {
    let server = Server::start().await;
    let a = server
        .with_sql(
            "a",
            "CREATE TABLE t (x int, y text); INSERT INTO t VALUES (1, 'one'), (2, 'two')",
        )
        .await;
    let b = server
        .with_sql(
            "b",
            "CREATE TABLE t (y text, x int); INSERT INTO t VALUES ('two', 2), ('one', 1)",
        )
        .await;
    let mut options = CensusOptions::default();
    options.schema = false;
    let first = pgsnap::census(&a, &options, &quiet()).await.unwrap();
    options.columns_like = Some(first.clone());
    let second = pgsnap::census(&b, &options, &quiet()).await.unwrap();
    let comparison = compare(&first, &second);
    assert!(comparison.is_equal(), "{:?}", comparison.differences);
    assert_eq!(second.table(&TableName::new("public", "t")).unwrap().rows, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_alone_find_missing_rows_only() {
    let server = Server::start().await;
    let database = server.with_sql("a", ROWS).await;
    let mut options = CensusOptions::default();
    (options.content, options.schema) = (false, false);
    let before = pgsnap::census(&database, &options, &quiet()).await.unwrap();
    assert_eq!(before.rows(), 30_003);
    pgsnap::execute(&database, "UPDATE t SET title = 'x' WHERE id = 1").await.unwrap();
    assert!(
        compare(&before, &pgsnap::census(&database, &options, &quiet()).await.unwrap()).is_equal()
    );
    pgsnap::execute(&database, "DELETE FROM t WHERE id = 1").await.unwrap();
    assert_eq!(
        compare(&before, &pgsnap::census(&database, &options, &quiet()).await.unwrap())
            .differences
            .len(),
        1
    );
}

/// A superuser's way to have a server run code whenever a table is read for a backup or a census.
fn with_condition(function: &str) -> String {
    format!(
        "CREATE TABLE small (a text PRIMARY KEY);
         CREATE TABLE log (line text);
         {function};
         SET allow_system_table_mods = on;
         UPDATE pg_extension SET extconfig = array['small'::regclass::oid], extcondition = array['WHERE public.condition()']
          WHERE extname = 'plpgsql';
         INSERT INTO pg_depend SELECT 'pg_class'::regclass, 'small'::regclass, 0, 'pg_extension'::regclass, oid, 0, 'e'
           FROM pg_extension WHERE extname = 'plpgsql'"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_of_one_server_never_runs_on_the_other() {
    let server = Server::start().await;
    let condition =
        with_condition("CREATE FUNCTION condition() RETURNS bool LANGUAGE sql AS 'SELECT true'");
    let a = server.with_sql("a", &condition).await;
    pgsnap::execute(&a, "INSERT INTO small VALUES ('a'), ('x')").await.unwrap();
    let trap = "CREATE TABLE small (a text PRIMARY KEY); INSERT INTO small VALUES ('a'), ('y');
        CREATE FUNCTION condition() RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE 'the condition ran'; END$$";
    let b = server.with_sql("b", trap).await;
    let sprung = pgsnap::query_scalar(&b, "SELECT condition()").await;
    assert!(sprung.unwrap_err().to_string().contains("ran"));

    let (archive, manifest) = server.dump(&a).await;
    let (of_a, of_b) = (census(&a).await, census(&b).await);
    let table = TableName::new("public", "small");
    let condition = of_a.table(&table).unwrap().filter.as_deref();
    assert_eq!(condition, Some("WHERE public.condition()"));
    let (on_a, on_b) = (RowSource::Database(a.clone()), RowSource::Database(b.clone()));
    let in_archive = RowSource::Archive(archive);
    for (source, census) in [(&on_a, &of_a), (&in_archive, &manifest.census)] {
        for swapped in [false, true] {
            let mut sides =
                [(source, census.table(&table).unwrap()), (&on_b, of_b.table(&table).unwrap())];
            if swapped {
                sides.reverse();
            }
            let rows = differing_rows(sides[0], sides[1], 10).await.unwrap();
            assert_eq!(rows.len(), 2, "{rows:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_only_reads_cannot_write_whatever_it_is_made_to_run() {
    const WRITES: &str = "CREATE FUNCTION condition() RETURNS bool LANGUAGE plpgsql AS $$BEGIN
            PERFORM set_config('default_transaction_read_only', 'off', false);
            INSERT INTO public.log VALUES ('written'); RETURN true; END$$";
    const READ_ONLY: Option<&str> = Some("25006");
    let server = Server::start().await;
    let database = server.with_sql("a", &with_condition(WRITES)).await;
    pgsnap::execute(&database, "INSERT INTO small VALUES ('a')").await.unwrap();
    // It writes where it may.
    pgsnap::execute(&database, "SELECT condition()").await.unwrap();
    pgsnap::execute(&database, "TRUNCATE log").await.unwrap();

    let options = CensusOptions::default();
    let counted = pgsnap::census(&database, &options, &quiet()).await;
    assert_eq!(counted.unwrap_err().sqlstate(), READ_ONLY);
    let file = fs_err::File::create(server.file("never")).unwrap();
    let dumped = pgsnap::dump(&database, file, &pgsnap::DumpOptions::default(), &quiet()).await;
    assert_eq!(dumped.unwrap_err().sqlstate(), READ_ONLY);
    let asked = pgsnap::query_scalar(&database, "SELECT condition()").await;
    assert_eq!(asked.unwrap_err().sqlstate(), READ_ONLY);
    let twice = pgsnap::query_scalar(
        &database,
        "SELECT set_config('default_transaction_read_only', 'off', false); INSERT INTO log VALUES ('x')",
    );
    assert_eq!(twice.await.unwrap_err().sqlstate(), READ_ONLY);

    let table = TableName::new("public", "small");
    let harmless = "CREATE TABLE small (a text PRIMARY KEY); INSERT INTO small VALUES ('b')";
    let other = server.with_sql("b", harmless).await;
    let of_other = census(&other).await;
    let (here, there) = (RowSource::Database(database.clone()), RowSource::Database(other));
    let model = of_other.table(&table).unwrap();
    let compared = differing_rows((&here, model), (&there, model), 10).await;
    assert_eq!(compared.unwrap_err().sqlstate(), READ_ONLY);

    let lines = pgsnap::query_scalar(&database, "SELECT count(*) FROM log").await;
    assert_eq!(lines.unwrap().as_deref(), Some("0"));
}
