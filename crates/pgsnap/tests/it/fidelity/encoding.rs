//! Databases that are not UTF-8.

use pgsnap::{DumpOptions, Error};

use super::golden::assert_golden;
use crate::server::{Server, quiet};

async fn create(server: &Server, name: &str, encoding: &str) -> pgsnap::Database {
    let admin = server.scratch.database("postgres");
    let statement = format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    );
    pgsnap::execute(&admin, &statement).await.unwrap();
    server.scratch.database(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_an_sql_ascii_database_pass_unconverted() {
    let server = Server::start().await;
    let raw = create(&server, "raw", "SQL_ASCII").await;
    pgsnap::execute(&raw, "SET client_encoding = 'SQL_ASCII'; CREATE TABLE t (v text); INSERT INTO t VALUES (E'caf\\351'), (E'\\200\\377'); SELECT lo_from_bytea(7, '\\xff00')").await.unwrap();
    assert_golden(&server, &raw).await;
    let (archive, _) = server.dump(&raw).await;
    server.restore(&archive, "copy").await;
    let bytes = pgsnap::query_scalar(
        &server.scratch.database("copy"),
        "SELECT string_agg(encode(v::bytea, 'hex'), ',' ORDER BY v) FROM t",
    )
    .await
    .unwrap();
    assert_eq!(bytes.as_deref(), Some("636166e9,80ff"));
}

/// A definition in an unknown encoding cannot be handled. It must be refused, and not be lost or end in a panic.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_of_an_sql_ascii_database_that_are_not_utf8_are_refused() {
    let server = Server::start().await;
    for (name, sql) in [
        (
            "in_a_table",
            "DO $$ BEGIN EXECUTE E'CREATE TABLE \"t\\351\" ()'; END $$",
        ),
        (
            "in_a_column",
            "DO $$ BEGIN EXECUTE E'CREATE TABLE t (\"c\\351\" int)'; END $$",
        ),
        (
            "in_a_type",
            "DO $$ BEGIN EXECUTE E'CREATE DOMAIN \"d\\351\" AS int'; CREATE TABLE t (); EXECUTE E'ALTER TABLE t ADD c \"d\\351\"'; END $$",
        ),
        (
            "in_a_sequence",
            "DO $$ BEGIN EXECUTE E'CREATE SEQUENCE \"s\\351\"'; END $$",
        ),
        (
            "in_a_comment",
            "CREATE TABLE t (); COMMENT ON TABLE t IS E'caf\\351'",
        ),
        (
            "in_a_default",
            "CREATE TABLE t (v text DEFAULT E'caf\\351')",
        ),
        (
            "on_the_database",
            "COMMENT ON DATABASE on_the_database IS E'caf\\351'",
        ),
    ] {
        let database = create(&server, name, "SQL_ASCII").await;
        pgsnap::execute(
            &database,
            &format!("SET client_encoding = 'SQL_ASCII'; {sql}"),
        )
        .await
        .unwrap();
        let error = pgsnap::dump(&database, Vec::new(), &DumpOptions::default(), &quiet())
            .await
            .map(|_| ())
            .expect_err(name);
        assert!(matches!(error, Error::NotUtf8 { .. }), "{name}: {error}");
        assert!(error.hint().is_some(), "{name}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_latin1_database_comes_back_as_one() {
    let server = Server::start().await;
    let latin = create(&server, "latin", "LATIN1").await;
    pgsnap::execute(&latin, "CREATE TABLE \"é\" (\"ü\" text DEFAULT 'ß' PRIMARY KEY); INSERT INTO \"é\" VALUES (U&'\\00A0\\00FF'), ('caf\u{e9}'); COMMENT ON TABLE \"é\" IS 'naïve'; COMMENT ON DATABASE latin IS 'ÿ'").await.unwrap();
    let (archive, manifest) = server.dump(&latin).await;
    assert_eq!(manifest.source.encoding, "LATIN1");
    let restored = server.restore(&archive, "copy").await;
    assert!(restored.comparison.unwrap().is_equal());
    let copied = pgsnap::query_scalar(
        &server.scratch.database("copy"),
        "SELECT current_setting('server_encoding') || ' ' || string_agg(encode(convert_to(\"ü\", 'LATIN1'), 'hex'), ',' ORDER BY \"ü\") || ' ' || obj_description('\"é\"'::regclass) FROM \"é\"",
    )
    .await
    .unwrap();
    assert_eq!(copied.as_deref(), Some("LATIN1 636166e9,a0ff naïve"));

    // psql may also make it UTF-8.
    let unicode = server.create("unicode").await;
    server.psql_restores(&server.file("latin.sql.gz"), "unicode");
    const WORDS: &str = r#"SELECT string_agg("ü", ',' ORDER BY "ü") FROM "é""#;
    let words = async |database| pgsnap::query_scalar(database, WORDS).await.unwrap();
    assert_eq!(words(&unicode).await.as_deref(), Some("café,\u{a0}ÿ"));
}
