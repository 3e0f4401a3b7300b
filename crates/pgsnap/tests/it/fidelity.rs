//! Nothing that `pg_dump` keeps is lost: natively and through `gunzip | psql`.

use std::io::Read;

use pgsnap::{CensusOptions, VerifyOptions, compare};

use crate::server::{Server, assert_same_text, quiet, with_sorted_rows};

#[tokio::test(flavor = "multi_thread")]
async fn the_zoo_survives_a_native_restore() {
    let server = Server::start().await;
    let zoo = server.zoo("zoo").await;
    let (archive, manifest) = server.dump(&zoo).await;
    assert!(
        manifest.census.tables.len() > 50,
        "{}",
        manifest.census.tables.len()
    );
    assert!(manifest.census.large_objects.count >= 3);
    pgsnap::verify(&archive, &VerifyOptions::default(), &quiet()).unwrap();

    let target = server.scratch.database("copy");
    let restored = server.restore(&archive, target.name()).await;
    assert!(restored.comparison.unwrap().is_equal());
    assert_eq!(restored.rows, manifest.census.rows());
    assert_same_text(
        &with_sorted_rows(&server.pg_dump("zoo", &[])),
        &with_sorted_rows(&server.pg_dump("copy", &[])),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zoo_survives_gunzip_and_psql() {
    let server = Server::start().await;
    let zoo = server.zoo("zoo").await;
    let (_, manifest) = server.dump(&zoo).await;
    let copy = server.create("copy").await;
    let output = server.psql_file(&server.file("zoo.sql.gz"), "copy", &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_same_text(
        &with_sorted_rows(&server.pg_dump("zoo", &[])),
        &with_sorted_rows(&server.pg_dump("copy", &[])),
    );

    let census = pgsnap::census(&copy, &CensusOptions::default(), &quiet())
        .await
        .unwrap();
    let comparison = compare(&manifest.census, &census);
    assert!(comparison.is_equal(), "{:#?}", comparison.differences);
}

/// A psql from before CVE-2025-8714 was fixed has no `\restrict`. The file asks for the version.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_psql_passes_over_restrict() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "source",
            "CREATE TABLE t AS SELECT generate_series(1, 10) AS id",
        )
        .await;
    server.dump(&source).await;
    server.create("copy").await;
    let output = server.psql_file(
        &server.file("source.sql.gz"),
        "copy",
        &["VERSION_NUM=150001"],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let copied = pgsnap::query_scalar(&server.scratch.database("copy"), "SELECT count(*) FROM t")
        .await
        .unwrap();
    assert_eq!(copied.as_deref(), Some("10"));
}

/// Names and values of a hostile source must not run programs where the file goes through psql.
#[tokio::test(flavor = "multi_thread")]
async fn a_psql_that_knows_restrict_obeys_no_meta_command() {
    let server = Server::start().await;
    let source = server
        .with_sql("source", "CREATE TABLE t AS SELECT 1 AS id")
        .await;
    server.dump(&source).await;
    let mut text = String::new();
    let file = fs_err::File::open(server.file("source.sql.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    let witness = server.file("witness");
    let hostile = text.replacen(
        "BEGIN;",
        &format!("BEGIN;\n\\! touch {}", witness.display()),
        1,
    );
    let path = server.file("hostile.sql");
    fs_err::write(&path, hostile).unwrap();
    assert!(
        std::process::Command::new("gzip")
            .arg("-k")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    server.create("copy").await;
    let output = server.psql_file(&server.file("hostile.sql.gz"), "copy", &[]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("restricted"),
        "{output:?}"
    );
    assert!(!witness.exists());
}

/// The dump must come out the same whatever the role's or database's defaults are.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_defaults_do_not_leak_into_the_text() {
    let server = Server::start().await;
    let zoo = server.zoo("zoo").await;
    let plain = pgsnap::census(&zoo, &CensusOptions::default(), &quiet())
        .await
        .unwrap();
    server
        .client("zoo")
        .await
        .batch_execute(testkit::HOSTILE_DEFAULTS)
        .await
        .unwrap();
    let mut options = CensusOptions::default();
    options.schema = false;
    let hostile = pgsnap::census(&zoo, &options, &quiet()).await.unwrap();
    let comparison = compare(&plain, &hostile);
    assert!(comparison.is_equal(), "{:#?}", comparison.differences);
}

/// A row's hash partition depends on the OIDs of the enum's labels, which a restore changes.
#[tokio::test(flavor = "multi_thread")]
async fn hash_partitions_of_an_enum_are_loaded_through_their_root() {
    let server = Server::start().await;
    let source = server.create("source").await;
    server
        .client("source")
        .await
        .batch_execute(testkit::ENUM_HASH)
        .await
        .unwrap();
    let (archive, manifest) = server.dump(&source).await;
    assert!(
        manifest
            .census
            .tables
            .iter()
            .any(|table| table.with_partitions && table.rows > 0)
    );
    // The labels' OIDs differ in the copy, because the enum's creation takes the next ones.
    let restored = server.restore(&archive, "copy").await;
    assert!(restored.comparison.unwrap().is_equal());
    server.create("plain").await;
    let output = server.psql_file(&server.file("source.sql.gz"), "plain", &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn database_settings_comment_and_owner_follow() {
    let server = Server::start().await;
    let source = server.with_sql("source", "CREATE ROLE hub NOLOGIN; ALTER DATABASE source OWNER TO hub; COMMENT ON DATABASE source IS 'it''s \\ home'; ALTER DATABASE source SET work_mem = '8MB'; ALTER DATABASE source SET search_path = app, \"$user\", public; ALTER DATABASE source SET app.motto = 'a b'").await;
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "copy").await;
    let query = "SELECT string_agg(x, ' | ' ORDER BY x) FROM (SELECT unnest(setconfig) AS x FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = 'DB' UNION ALL SELECT 'owner ' || pg_get_userbyid(datdba) || ' ' || shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'DB') s";
    let of = async |name: &str| {
        pgsnap::query_scalar(&source, &query.replace("DB", name))
            .await
            .unwrap()
            .unwrap()
    };
    assert_eq!(of("copy").await, of("source").await);
    assert!(of("copy").await.contains("owner hub it's \\ home"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_an_sql_ascii_database_pass_unconverted() {
    let server = Server::start().await;
    let admin = server.scratch.database("postgres");
    pgsnap::execute(
        &admin,
        "CREATE DATABASE raw TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    .await
    .unwrap();
    let raw = server.scratch.database("raw");
    pgsnap::execute(&raw, "SET client_encoding = 'SQL_ASCII'; CREATE TABLE t (v text); INSERT INTO t VALUES (E'caf\\351'), (E'\\200\\377')").await.unwrap();
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

/// Ranges of pages, several sessions, and many members must add up to the same table.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_read_in_ranges_is_whole() {
    let server = Server::start().await;
    let source = server
        .with_sql("source", "CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT n, repeat(md5(n::text), 40) FROM generate_series(1, 120000) n; DELETE FROM big WHERE id % 7 = 0; UPDATE big SET v = 'x' WHERE id % 11 = 0")
        .await;
    let (archive, manifest) = server.dump(&source).await;
    let table = &manifest.census.tables[0];
    assert_eq!(table.rows, 120_000 - 120_000 / 7);
    assert!(table.buckets.len() > 1);
    let counted =
        pgsnap::query_scalar(&source, "SELECT pg_relation_size('big') > 96 * 1024 * 1024")
            .await
            .unwrap();
    assert_eq!(
        counted.as_deref(),
        Some("t"),
        "the table must be large enough to be split"
    );
    pgsnap::verify(&archive, &VerifyOptions::default(), &quiet()).unwrap();
}
