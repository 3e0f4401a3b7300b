//! The file's demands on psql: the versions it suits, and the commands psql must not obey.

use std::io::Read;

use crate::server::Server;

/// A psql from before CVE-2025-8714 was fixed has no `\restrict`. The file asks for the version.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_psql_passes_over_restrict() {
    let server = Server::start().await;
    let source =
        server.with_sql("source", "CREATE TABLE t AS SELECT generate_series(1, 10) AS id").await;
    server.dump(&source).await;
    server.create("copy").await;
    let output = server.psql_file(&server.file("source.sql.gz"), "copy", &["VERSION_NUM=150001"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let copied = pgsnap::query_scalar(&server.scratch.database("copy"), "SELECT count(*) FROM t")
        .await
        .unwrap();
    assert_eq!(copied.as_deref(), Some("10"));
}

/// Names and values of a hostile source must not run programs where the file goes through psql.
#[tokio::test(flavor = "multi_thread")]
async fn a_psql_that_knows_restrict_obeys_no_meta_command() {
    let server = Server::start().await;
    let source = server.with_sql("source", "CREATE TABLE t AS SELECT 1 AS id").await;
    server.dump(&source).await;
    let mut text = String::new();
    let file = fs_err::File::open(server.file("source.sql.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    let witness = server.file("witness");
    let hostile = text.replacen("BEGIN;", &format!("BEGIN;\n\\! touch {}", witness.display()), 1);
    let path = server.file("hostile.sql");
    fs_err::write(&path, hostile).unwrap();
    assert!(std::process::Command::new("gzip").arg("-k").arg(&path).status().unwrap().success());
    server.create("copy").await;
    let output = server.psql_file(&server.file("hostile.sql.gz"), "copy", &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("restricted"), "{output:?}");
    assert!(!witness.exists());
}
