//! Rows of foreign tables: dumped and written back only where both are asked for, and never added
//! to others.

use std::sync::Arc;

use pgsnap::{
    Archive, CensusOptions, Database, DumpOptions, Error, Extent, Note, RestoreOptions, Restored,
    VerifyOptions, compare,
};

use super::golden::assert_golden_with;
use crate::server::{Server, quiet};

const FAR: &str = "
    CREATE TABLE things (id int PRIMARY KEY, v text);
    INSERT INTO things VALUES (1, E'a\\tb\\\\'), (2, NULL), (3, 'ä');
    CREATE TABLE empty (id int);
    CREATE TABLE high (id int, v text);
    INSERT INTO high SELECT n, n FROM generate_series(100, 109) AS n";

/// The server `far` leads to the database `far`, and `gone` nowhere.
fn near(server: &Server) -> String {
    let options = format!(
        "host '{}', port '{}'",
        server.scratch.directory().display(),
        server.scratch.port()
    );
    format!(
        "CREATE EXTENSION postgres_fdw;
         CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({options}, dbname 'far');
         CREATE SERVER gone FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({options}, dbname 'gone');
         CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'postgres');
         CREATE USER MAPPING FOR CURRENT_USER SERVER gone OPTIONS (user 'postgres');
         CREATE TABLE own (id int PRIMARY KEY); INSERT INTO own SELECT generate_series(1, 5);
         CREATE FOREIGN TABLE things (v text, id int) SERVER far;
         CREATE FOREIGN TABLE empty (id int) SERVER far;
         CREATE FOREIGN TABLE \"lo'st\" (id int) SERVER gone;
         CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
         CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (100);
         CREATE FOREIGN TABLE high PARTITION OF parted FOR VALUES FROM (100) TO (200) SERVER far;
         CREATE FOREIGN TABLE higher PARTITION OF parted FOR VALUES FROM (200) TO (300) SERVER gone;
         INSERT INTO low VALUES (7, 'low');
         CREATE TABLE parent (id int); INSERT INTO parent VALUES (1);
         CREATE FOREIGN TABLE child () INHERITS (parent) SERVER gone"
    )
}

/// Two databases, of which one reads the other as a foreign server; nothing where the extension is
/// missing.
async fn two_databases() -> Option<(Server, Database, Database)> {
    let server = Server::start().await;
    let query = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'";
    let admin = server.scratch.database("postgres");
    let found = pgsnap::query_scalar(&admin, query).await.unwrap();
    if found.as_deref() != Some("1") {
        testkit::skip("this server comes without postgres_fdw");
        return None;
    }
    let far = server.with_sql("far", FAR).await;
    let near = server.with_sql("near", &near(&server)).await;
    Some((server, near, far))
}

fn dumping(servers: &[&str]) -> DumpOptions {
    let mut options = DumpOptions::default();
    options.foreign_data = servers.iter().map(ToString::to_string).collect();
    options
}

fn restoring(servers: &[&str]) -> RestoreOptions {
    let mut options = RestoreOptions::default();
    options.foreign_data = servers.iter().map(ToString::to_string).collect();
    options
}

async fn restore(
    server: &Server,
    archive: &Archive,
    name: &str,
    options: &RestoreOptions,
) -> pgsnap::Result<Restored> {
    let target = server.scratch.database(name);
    pgsnap::restore(archive, &target, options, &quiet()).await
}

async fn scalar(database: &Database, sql: &str) -> String {
    let found = pgsnap::query_scalar(database, sql).await.unwrap();
    found.unwrap_or_default()
}

const ALL: &str = "SELECT concat_ws(' ', (SELECT count(*) FROM things), (SELECT count(*) FROM empty), (SELECT count(*) FROM high))";
const EMPTY: &str = "TRUNCATE things, empty, high";

async fn is_there(server: &Server, name: &str) -> bool {
    let query = format!("SELECT count(*) FROM pg_database WHERE datname LIKE '{name}%'");
    scalar(&server.scratch.database("postgres"), &query).await != "0"
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_rows_are_dumped_as_pg_dump_does() {
    let Some((server, near, _)) = two_databases().await else {
        return;
    };
    let arguments = ["--include-foreign-data=far"];
    assert_golden_with(&server, &near, &dumping(&["far"]), &arguments).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_rows_go_back_only_on_request_and_only_into_empty_tables() {
    let Some((server, near, far)) = two_databases().await else {
        return;
    };
    let (archive, manifest) = server.dump_with(&near, &dumping(&["far"])).await;
    let of_far: Vec<(String, u64)> = manifest
        .census
        .tables
        .iter()
        .filter(|table| table.foreign_server.as_deref() == Some("far"))
        .map(|table| (table.name.name.clone(), table.rows))
        .collect();
    let expected = [("empty", 0), ("high", 10), ("things", 3)];
    assert_eq!(of_far, expected.map(|(name, rows)| (name.to_owned(), rows)));
    pgsnap::verify(&archive, &VerifyOptions::default(), &quiet()).unwrap();

    // Nobody is asked and nothing is written, and both are said.
    let restored = restore(&server, &archive, "copy", &restoring(&[])).await.unwrap();
    assert!(restored.comparison.unwrap().is_equal());
    assert_eq!(restored.rows, 7);
    let is_told = |note: &Note| matches!(note, Note::NotCompared { what } if what.contains("\"things\" (3 rows)"));
    assert!(restored.notes.iter().any(is_told), "{:?}", restored.notes);
    assert_eq!(scalar(&far, ALL).await, "3 0 10");

    // The definitions lead to the server that the rows came from, where they are still.
    let error = restore(&server, &archive, "other", &restoring(&["far"])).await.unwrap_err();
    assert!(matches!(error, Error::Preflight { .. }), "{error}");
    assert!(error.to_string().contains("\"public\".\"things\" of server far"), "{error}");
    assert!(!is_there(&server, "other").await);
    let plain = server.create("plain").await;
    let output = server.psql_file(&server.file("near.sql.gz"), "plain", &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("holds rows already"), "{said}");
    assert_eq!(scalar(&plain, "SELECT count(*) FROM pg_foreign_server").await, "0");
    assert_eq!(scalar(&far, ALL).await, "3 0 10");

    // Lost there, they come back.
    const CONTENT: &str = "SELECT string_agg(concat_ws('|', id, v), ',' ORDER BY id) FROM (SELECT * FROM things UNION ALL SELECT * FROM high) AS rows";
    let content = scalar(&far, CONTENT).await;
    pgsnap::execute(&far, EMPTY).await.unwrap();
    server.psql_restores(&server.file("near.sql.gz"), "plain");
    assert_eq!(scalar(&far, CONTENT).await, content);
    pgsnap::execute(&far, EMPTY).await.unwrap();
    let target = server.scratch.database("other");
    let plan = pgsnap::plan_restore(&archive, &target, &restoring(&["far"])).await.unwrap();
    assert!(plan.obstacles.is_empty(), "{:?}", plan.obstacles);
    assert!(
        plan.warnings.iter().any(|text| text.contains("foreign servers")),
        "{:?}",
        plan.warnings
    );
    let restored = restore(&server, &archive, "other", &restoring(&["far"])).await.unwrap();
    assert!(restored.comparison.unwrap().is_equal());
    assert_eq!(restored.rows, 20);
    assert_eq!(scalar(&far, CONTENT).await, content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_backup_takes_its_foreign_rows_along() {
    let Some((server, near, far)) = two_databases().await else {
        return;
    };
    let (archive, _) = server.dump_with(&near, &dumping(&["far"])).await;
    let mut options = restoring(&["far"]);
    options.extent = Extent::SchemaOnly;
    restore(&server, &archive, "part", &options).await.unwrap();
    options.extent = Extent::DataOnly;
    let error = restore(&server, &archive, "part", &options).await.unwrap_err();
    assert!(error.to_string().contains("\"things\""), "{error}");
    pgsnap::execute(&far, EMPTY).await.unwrap();
    let restored = restore(&server, &archive, "part", &options).await.unwrap();
    assert!(restored.comparison.unwrap().is_equal());
    assert_eq!(scalar(&far, ALL).await, "3 0 10");

    pgsnap::execute(&far, EMPTY).await.unwrap();
    let mut options = restoring(&["far"]);
    options.tables = Some(vec!["things".parse().unwrap()]);
    let restored = restore(&server, &archive, "things", &options).await.unwrap();
    assert_eq!(restored.rows, 3);
    assert_eq!(scalar(&far, ALL).await, "3 0 0");
}

/// The proof asks the foreign server what it has, and not what it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_foreign_server_changes_fail_the_restore() {
    let Some((server, near, far)) = two_databases().await else {
        return;
    };
    let (archive, _) = server.dump_with(&near, &dumping(&["far"])).await;
    let change = format!(
        "{EMPTY}; CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v = upper(NEW.v); RETURN NEW; END';
         CREATE TRIGGER change BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION change()"
    );
    pgsnap::execute(&far, &change).await.unwrap();
    let error = restore(&server, &archive, "copy", &restoring(&["far"])).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the restored database differs from the backup: table \"public\".\"things\": same row count, different contents (1 of 1 key ranges)"
    );
    assert!(!is_there(&server, "copy").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_servers_that_are_missing_or_silent_are_named() {
    let Some((server, near, _)) = two_databases().await else {
        return;
    };
    let dumped = async |servers: &[&str]| {
        let dumped = pgsnap::dump(&near, Vec::new(), &dumping(servers), &quiet()).await;
        dumped.map(|_| ()).unwrap_err()
    };
    let error = dumped(&["far", "Far"]).await;
    assert_eq!(error.to_string(), "no foreign server Far in this database");
    let error = dumped(&["far", "gone"]).await;
    assert_eq!(error.sqlstate(), Some("08001"), "{error}");
    assert!(error.to_string().contains("could not connect to server \"gone\""), "{error}");
    assert!(error.hint().unwrap().contains("foreign server"));

    let (archive, manifest) = server.dump_with(&near, &dumping(&["far"])).await;
    let error = restore(&server, &archive, "copy", &restoring(&["gone"])).await.unwrap_err();
    assert_eq!(error.to_string(), "no foreign server gone in this archive");

    // Nobody is asked by default, and the difference that makes is none.
    let mut options = CensusOptions::default();
    let census = pgsnap::census(&near, &options, &quiet()).await.unwrap();
    assert!(census.tables.iter().all(|table| table.foreign_server.is_none()));
    let comparison = compare(&manifest.census, &census);
    assert!(comparison.is_equal(), "{:?}", comparison.differences);
    assert_eq!(comparison.notes.len(), 3, "{:?}", comparison.notes);
    options.foreign_data = vec!["far".to_owned()];
    for content in [true, false] {
        options.content = content;
        let census = pgsnap::census(&near, &options, &quiet()).await.unwrap();
        let comparison = compare(&manifest.census, &census);
        assert!(comparison.is_equal(), "{:?}", comparison.differences);
        assert_eq!(comparison.tables, census.tables.len());
    }
}

/// Nothing locks a foreign table: whoever changes where it leads while it is read is found out
/// afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_table_changed_while_it_is_read_fails_the_dump() {
    let Some((server, near, _)) = two_databases().await else {
        return;
    };
    let statement = "ALTER FOREIGN TABLE things OPTIONS (ADD table_name 'high')";
    let change = crate::races::During::of(&server, "near", pgsnap::Phase::Dump, statement);
    let progress: Arc<dyn pgsnap::Progress> = Arc::new(change.await);
    let dumped = pgsnap::dump(&near, Vec::new(), &dumping(&["far"]), &progress).await;
    let error = dumped.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the foreign table things was changed while it was dumped");
}
