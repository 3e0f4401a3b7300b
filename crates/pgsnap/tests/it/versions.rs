//! Differences between the versions of PostgreSQL. `cargo xtask test` runs all tests on each; these
//! need two, or a certain one.

use std::process::Command;

use pgsnap::{RestoreOptions, plan_restore};

use crate::server::{Server, server_programs};

/// Otherwise a run for another version would be a second run for the installed one, and nobody
/// would know.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_the_one_that_was_asked_for() {
    let Some(programs) = server_programs() else {
        return;
    };
    let output = Command::new(programs.join("postgres")).arg("--version").output().unwrap();
    let asked = String::from_utf8(output.stdout).unwrap();
    let server = Server::start().await;
    let admin = server.scratch.database("postgres");
    let version = pgsnap::query_scalar(&admin, "SELECT current_setting('server_version')").await;
    let version = version.unwrap().unwrap();
    assert!(asked.trim().ends_with(&format!("(PostgreSQL) {version}")), "{asked} {version}");
}

/// The move to a newer server is what dumps are most often made for.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_an_older_server_is_restored_on_a_newer_and_not_the_other_way() {
    if server_programs().is_none() {
        testkit::not_applicable("it takes two servers to restore on a newer one: cargo xtask test");
        return;
    }
    let (tested, installed) = tokio::join!(Server::start(), Server::start_installed());
    let (older, newer) = if tested.major().await < installed.major().await {
        (tested, installed)
    } else {
        (installed, tested)
    };
    let zoo = older.zoo("zoo").await;
    // Not every build has lz4.
    pgsnap::execute(&zoo, "DROP TABLE IF EXISTS zoo.compressed").await.unwrap();
    let (archive, manifest) = older.dump(&zoo).await;
    let client = newer.client("postgres").await;
    client.batch_execute(testkit::ZOO_ROLES).await.unwrap();
    let restored = newer.restore(&archive, "copy").await;
    assert_eq!(restored.rows, manifest.census.rows());
    assert!(restored.comparison.unwrap().is_equal());

    if older.major().await < newer.major().await {
        let (archive, _) = newer.dump(&newer.scratch.database("copy")).await;
        let target = older.scratch.database("back");
        let plan = plan_restore(&archive, &target, &RestoreOptions::default()).await.unwrap();
        assert!(plan.obstacles[0].problem.contains("older than the backup"), "{plan:?}");
    }
}
