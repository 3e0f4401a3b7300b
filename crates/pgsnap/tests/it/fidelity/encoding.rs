//! Databases that are not UTF-8.

use crate::server::Server;

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
