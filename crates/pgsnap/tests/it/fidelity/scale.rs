//! Many objects, wide rows, large values: everything arrives, and memory stays bounded.

use pgsnap::VerifyOptions;

use crate::server::{Server, quiet};

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
