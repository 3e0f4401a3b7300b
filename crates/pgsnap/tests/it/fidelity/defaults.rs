//! Defaults of roles and databases that change how values and definitions print.

use pgsnap::{CensusOptions, compare};

use crate::server::{Server, quiet};

/// The dump must come out the same whatever the role's or database's defaults are.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_defaults_do_not_leak_into_the_text() {
    let server = Server::start().await;
    let zoo = server.zoo("zoo").await;
    let plain = pgsnap::census(&zoo, &CensusOptions::default(), &quiet())
        .await
        .unwrap();
    server
        .client("zoo")
        .await
        .batch_execute(testkit::HOSTILE_DEFAULTS)
        .await
        .unwrap();
    let mut options = CensusOptions::default();
    options.schema = false;
    let hostile = pgsnap::census(&zoo, &options, &quiet()).await.unwrap();
    let comparison = compare(&plain, &hostile);
    assert!(comparison.is_equal(), "{:#?}", comparison.differences);
}
