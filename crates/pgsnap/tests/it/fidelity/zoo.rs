//! One of every kind of object and type, natively and through `gunzip | psql`.

use pgsnap::{CensusOptions, VerifyOptions, compare};

use crate::server::{Server, assert_same_text, quiet, with_sorted_rows};

#[tokio::test(flavor = "multi_thread")]
async fn the_zoo_survives_a_native_restore() {
    let server = Server::start().await;
    let zoo = server.zoo("zoo").await;
    let (archive, manifest) = server.dump(&zoo).await;
    assert!(manifest.census.tables.len() > 50, "{}", manifest.census.tables.len());
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
    server.psql_restores(&server.file("zoo.sql.gz"), "copy");
    assert_same_text(
        &with_sorted_rows(&server.pg_dump("zoo", &[])),
        &with_sorted_rows(&server.pg_dump("copy", &[])),
    );

    let census = pgsnap::census(&copy, &CensusOptions::default(), &quiet()).await.unwrap();
    let comparison = compare(&manifest.census, &census);
    assert!(comparison.is_equal(), "{:#?}", comparison.differences);
}
