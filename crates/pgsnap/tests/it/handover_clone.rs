//! A prepared database made from another one of the same server.

use pgsnap::{Error, ErrorClass, clone_database, identify, prepared_name};

use crate::fence::{ask, catalogue, put_up};
use crate::fence_crash::killed_after;
use crate::handover::{RUN, handed_over, row};
use crate::server::Server;

const SETUP: &str = "
    CREATE ROLE app LOGIN; CREATE ROLE owner; ALTER DATABASE hub OWNER TO owner; ALTER DATABASE hub CONNECTION LIMIT 50;
    REVOKE CONNECT ON DATABASE hub FROM PUBLIC; GRANT CONNECT ON DATABASE hub TO app;
    ALTER DATABASE hub SET work_mem = '9MB'; ALTER ROLE app IN DATABASE hub SET work_mem = '8MB';
    COMMENT ON DATABASE hub IS 'the hub'; CREATE TABLE t AS SELECT 'old' AS v";

/// All of a database but its name and number.
async fn properties(server: &Server, name: &str) -> String {
    let all = catalogue(server, name).await;
    all.lines().skip(2).map(|line| format!("{line}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_of_the_frozen_primary_is_what_it_was_before_its_fence() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let before = properties(&server, "hub").await;
    let fenced = put_up(&server, &hub).await;
    let frozen = fenced.record.fenced_name();
    let template = catalogue(&server, frozen).await;
    let clone = clone_database(&hub, frozen, RUN).await.unwrap();
    assert_eq!(clone.name(), prepared_name("hub", RUN));
    assert_eq!(properties(&server, clone.name()).await, before);
    assert_eq!(catalogue(&server, frozen).await, template, "the template keeps everything");
    pgsnap::execute(&clone, "UPDATE t SET v = 'clone'").await.unwrap();
    handed_over(&hub, RUN, 1).await;
    assert_eq!(row(&hub).await.as_deref(), Some("clone"));
    assert_eq!(row(&fenced.database(&hub)).await.as_deref(), Some("old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_cannot_be_made_leaves_nothing() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let error = clone_database(&hub, "none", RUN).await.unwrap_err();
    assert!(error.to_string().contains("no database none"), "{error}");
    assert_eq!(error.class(), ErrorClass::No);
    assert!(matches!(clone_database(&hub, "hub", "x").await, Err(Error::InvalidRun { .. })));
    server.create(&prepared_name("hub", RUN)).await;
    let error = clone_database(&hub, "hub", RUN).await.unwrap_err();
    assert!(error.to_string().contains("exists"), "{error}");
    assert_eq!(identify(&hub).await.unwrap().others.len(), 1);
}

/// A clone is known by its name only when it is whole, and one that is not does not stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_was_killed_is_made_again() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let before = properties(&server, "hub").await;
    let (unfinished, clone) = (format!("hub__restoring_{RUN}"), prepared_name("hub", RUN));
    let mut left = 0;
    for steps in (10..).step_by(9) {
        let finished = killed_after(steps, clone_database(&hub, "hub", RUN)).await.is_some();
        left += usize::from(!catalogue(&server, &unfinished).await.is_empty());
        if properties(&server, &clone).await == before || finished {
            break;
        }
        assert_eq!(catalogue(&server, &clone).await, "", "half a clone after {steps} steps");
    }
    assert!(left > 0, "no run left an unfinished clone");
    let count = "SELECT count(*) FROM pg_database WHERE datname LIKE 'hub%'";
    assert_eq!(ask(&server, count).await.as_deref(), Some("2"));
    assert_eq!(properties(&server, &clone).await, before);
}
