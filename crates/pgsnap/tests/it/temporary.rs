//! Databases that do not stay: found by their names, and dropped.

use pgsnap::{Database, TemporaryDatabase};

use crate::server::Server;

async fn exists(database: &Database) -> bool {
    let query = format!("SELECT 1 FROM pg_database WHERE datname = '{}'", database.name());
    let found = pgsnap::query_scalar(&database.with_name("postgres"), &query).await.unwrap();
    found.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_database_goes_with_its_value_and_what_a_restore_left_of_it() {
    let server = Server::start().await;
    let database = server.create("hub, the drill").await;
    let left = server.create("hub, the drill__restoring_20261201123000ab12").await;
    let other = server.create("hub, the drill__restoring_of_mine").await;
    assert_eq!(pgsnap::unfinished_databases(&database).await.unwrap(), [left.name()]);
    drop(TemporaryDatabase::new(database.clone()));
    assert!(!exists(&database).await && !exists(&left).await && exists(&other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_database_is_dropped_once_or_kept() {
    let server = Server::start().await;
    let database = server.create("hub__drill_1").await;
    let client = server.client("hub__drill_1").await;
    let removed = TemporaryDatabase::new(database.clone());
    removed.remove().await.unwrap();
    assert!(!exists(&database).await, "a session kept it");
    assert!(client.batch_execute("SELECT 1").await.is_err());
    TemporaryDatabase::new(database.clone()).remove().await.unwrap();

    let database = server.create("hub__drill_2").await;
    let mut kept = TemporaryDatabase::new(database.clone());
    kept.keep();
    drop(kept);
    assert!(exists(&database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_earlier_runs_are_those_without_sessions() {
    let server = Server::start().await;
    for name in ["hub__drill_1", "hub__drill_2, x", "hub_drill"] {
        server.create(name).await;
    }
    let busy = server.client("hub__drill_1").await;
    let database = server.create("hub").await;
    let found = TemporaryDatabase::left_over(&database, "hub__drill_").await.unwrap();
    assert_eq!(found, ["hub__drill_2, x"]);
    drop(busy);
}
