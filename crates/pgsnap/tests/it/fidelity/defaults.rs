//! Defaults of roles and databases that change how values and definitions print, or how they are
//! read.

use pgsnap::{CensusOptions, compare};

use crate::server::{Server, assert_same_text, quiet, with_sorted_rows};

/// The dump must come out the same whatever the role's or database's defaults are: rows and
/// definitions.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_defaults_do_not_leak_into_the_text() {
    let server = Server::start().await;
    let zoo = server.zoo("zoo").await;
    let plain = pgsnap::census(&zoo, &CensusOptions::default(), &quiet()).await.unwrap();
    server.client("zoo").await.batch_execute(testkit::HOSTILE_DEFAULTS).await.unwrap();
    let hostile = pgsnap::census(&zoo, &CensusOptions::default(), &quiet()).await.unwrap();
    let comparison = compare(&plain, &hostile);
    assert!(comparison.is_equal(), "{:#?}", comparison.differences);
}

/// Settings that change what a script means where it is restored.
const HOSTILE_TO_INPUT: &[&str] = &[
    "array_nulls = off",
    "transform_null_equals = on",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "DateStyle = 'SQL, DMY'",
    "IntervalStyle = sql_standard",
    "TimeZone = 'Asia/Kolkata'",
    "xmloption = document",
    "quote_all_identifiers = on",
    "check_function_bodies = on",
    "row_security = on",
    "default_transaction_isolation = serializable",
    "statement_timeout = '1min'",
    "search_path = zoo, pg_catalog",
];

#[tokio::test(flavor = "multi_thread")]
async fn hostile_defaults_do_not_change_what_is_restored() {
    let server = Server::start().await;
    let zoo = server.zoo("zoo").await;
    let expected = with_sorted_rows(&server.pg_dump("zoo", &[]));
    let (archive, _) = server.dump(&zoo).await;
    server.create("plain").await;
    for setting in HOSTILE_TO_INPUT {
        pgsnap::execute(&zoo, &format!("ALTER ROLE postgres SET {setting}")).await.unwrap();
    }
    let restored = server.restore(&archive, "copy").await;
    assert!(restored.comparison.unwrap().is_equal());
    server.psql_restores(&server.file("zoo.sql.gz"), "plain");
    pgsnap::execute(&zoo, "ALTER ROLE postgres RESET ALL").await.unwrap();
    for name in ["copy", "plain"] {
        assert_same_text(&expected, &with_sorted_rows(&server.pg_dump(name, &[])));
    }
}
