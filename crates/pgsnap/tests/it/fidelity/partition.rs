//! Rows that change their partition when they are restored.

use crate::server::Server;

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
