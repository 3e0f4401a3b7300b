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

/// From 18 on `NOT NULL` is a constraint, and one that a table inherits must not become its own. Before, there is nothing to see.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_child_inherits_stays_inherited() {
    const NOT_NULL: &str = "
        SELECT string_agg(format('%s %s %s', conrelid::regclass, conislocal, coninhcount), ', ' ORDER BY conrelid::regclass::text)
          FROM pg_constraint WHERE contype = 'n' AND conrelid::regclass::text ~ '^(parent|child|root|leaf)$'";
    let server = Server::start().await;
    let source = server
        .with_sql(
            "source",
            "CREATE TABLE parent (id int NOT NULL);
             CREATE TABLE child () INHERITS (parent);
             ALTER TABLE child ADD PRIMARY KEY (id);
             CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id);
             CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10);
             INSERT INTO child VALUES (1); INSERT INTO root VALUES (2)",
        )
        .await;
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "copy").await;
    let of = async |name: &str| {
        let database = server.scratch.database(name);
        pgsnap::query_scalar(&database, NOT_NULL).await.unwrap()
    };
    assert_eq!(of("source").await, of("copy").await);
}
