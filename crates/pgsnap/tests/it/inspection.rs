//! The state of a database, and the rights of a role in it.

use pgsnap::{Database, Error, database_size, inspect};

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_role_learns_what_it_may_not_read() {
    let server = Server::start().await;
    let database = server
        .with_sql(
            "hub",
            "CREATE ROLE reader LOGIN; CREATE TABLE \"Secret\" (id int); CREATE TABLE mine (id int);
             CREATE SEQUENCE closed; GRANT SELECT ON mine TO reader;
             ALTER TABLE mine ENABLE ROW LEVEL SECURITY",
        )
        .await;
    let found = inspect(&database).await.unwrap();
    assert!(found.may_create_databases && found.unreadable.is_empty());
    assert!(found.hidden_rows.is_empty(), "a superuser sees every row");
    assert_eq!(found.major, server.major().await);
    assert!(found.version.starts_with(&found.major.to_string()));
    assert_eq!(found.bytes, database_size(&database).await.unwrap());
    assert!(found.bytes > 1_000_000);

    let (directory, port) = (server.scratch.directory(), server.scratch.port());
    let url = format!("postgresql://reader@/hub?host={}&port={port}", directory.display());
    let found = inspect(&Database::from_url(&url).unwrap()).await.unwrap();
    assert!(!found.may_create_databases);
    assert_eq!(found.unreadable, ["public.\"Secret\"", "public.closed"]);
    assert_eq!(found.hidden_rows, ["public.mine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_missing_is_told_from_a_server_that_is() {
    let server = Server::start().await;
    let missing = server.scratch.database("missing");
    for error in [inspect(&missing).await.unwrap_err(), database_size(&missing).await.unwrap_err()]
    {
        assert_eq!(error.sqlstate(), Some("3D000"), "{error}");
    }
    let away = Database::from_url("postgresql://hub@127.0.0.1:1/hub").unwrap();
    let error = inspect(&away).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
}
