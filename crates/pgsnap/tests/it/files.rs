//! Dumps into files and restores from them, without options.

use std::os::unix::fs::PermissionsExt as _;

use crate::server::Server;

const HUB: &str =
    "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 50)";

fn names(directory: &std::path::Path) -> Vec<String> {
    let items = fs_err::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        items.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_goes_into_a_file_and_back() {
    let server = Server::start().await;
    let source = server.with_sql("hub", HUB).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.sql.gz");
    fs_err::write(&path, "what was here before").unwrap();
    let manifest = pgsnap::dump_to_file(&source, &path).await.unwrap();
    assert_eq!(manifest.census.rows(), 50);
    assert_eq!(names(directory.path()), ["hub.sql.gz"]);
    let mode = fs_err::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others could read the rows");
    let restored = pgsnap::restore_from_file(&path, &source.with_name("copy")).await.unwrap();
    assert_eq!((restored.rows, restored.kept), (50, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_fails_leaves_the_file_as_it_was() {
    let server = Server::start().await;
    let source = server.with_sql("hub", HUB).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.sql.gz");
    fs_err::write(&path, "what was here before").unwrap();
    let missing = source.with_name("missing");
    assert!(pgsnap::dump_to_file(&missing, &path).await.is_err());
    assert_eq!(names(directory.path()), ["hub.sql.gz"]);
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "what was here before");
    let nowhere = directory.path().join("no/such/hub.sql.gz");
    let error = pgsnap::dump_to_file(&source, &nowhere).await.unwrap_err();
    assert!(matches!(error, pgsnap::Error::Write { .. }), "{error}");
}
