//! A soft fence, and what a read-only default lets through.

use std::time::{Duration, Instant};

use pgsnap::{Database, Error, FenceKind, FenceOptions, Fenced, ScratchOptions, fence, plan_fence};

use crate::fence::{ask, catalogue, client, code, file, hub, run, take_down};
use crate::server::Server;

async fn softly(server: &Server, hub: &Database) -> pgsnap::Result<Fenced> {
    let mut options = FenceOptions::default();
    options.allow_reads = true;
    fence(hub, &file(server), &options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_go_on_behind_a_soft_fence() {
    let (server, hub) = hub().await;
    let before = catalogue(&server, "hub").await;
    let old = client(&server, "app", "hub").await.unwrap();
    old.batch_execute("BEGIN; INSERT INTO t VALUES (-1)").await.unwrap();
    let fenced = softly(&server, &hub).await.unwrap();
    assert_eq!((fenced.record.kind, fenced.ended.len()), (FenceKind::Soft, 1), "{fenced:?}");
    assert!(old.simple_query("COMMIT").await.is_err());
    // Both have a value of their own, which would win over that of the database.
    for role in ["app", "ops"] {
        let reader = client(&server, role, "hub").await.unwrap();
        reader.simple_query("SELECT count(*) FROM t").await.unwrap();
        let error = reader.batch_execute("INSERT INTO t VALUES (-2)").await.unwrap_err();
        assert_eq!(code(&error), "25006", "{role}");
    }
    let wilful = client(&server, "app", "hub").await.unwrap();
    wilful.batch_execute("BEGIN READ WRITE; INSERT INTO t VALUES (-3); COMMIT").await.unwrap();
    assert!(softly(&server, &hub).await.unwrap().resumed);
    let error = fence(&hub, &file(&server), &FenceOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::CannotFence { .. }), "{error}");

    let reader = client(&server, "app", "hub").await.unwrap();
    let unfenced = take_down(&hub, None).await.unwrap();
    assert!(!unfenced.read_only.is_empty(), "a session that stays read-only is named");
    assert_eq!(catalogue(&server, "hub").await, before);
    drop(reader);
}

/// A read-only default lets through more in older versions, and the plan says so.
#[tokio::test(flavor = "multi_thread")]
async fn large_objects_are_written_behind_a_soft_fence_before_16() {
    let (server, hub) = hub().await;
    server.client("hub").await.batch_execute("SELECT lo_from_bytea(4242, 'x')").await.unwrap();
    let mut options = FenceOptions::default();
    options.allow_reads = true;
    let plan = plan_fence(&hub, &options).await.unwrap();
    let is_old = server.major().await < 16;
    let is_told = plan.warnings.iter().any(|warning| warning.contains("large objects"));
    assert_eq!(is_told, is_old, "{plan:?}");
    softly(&server, &hub).await.unwrap();
    let written = server.client("hub").await.batch_execute("SELECT lo_put(4242, 0, 'y')").await;
    assert_eq!(
        written.map_err(|error| code(&error)),
        if is_old { Ok(()) } else { Err("25006".into()) }
    );
}

/// A subscription is an obstacle because its worker inserts below every check of the fence.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_writes_past_every_door_of_a_fence() {
    let mut options = ScratchOptions::default();
    options.settings = ["wal_level=logical", "max_wal_senders=5"].map(str::to_owned).into();
    let server = Server::start_with(options).await;
    let source = server
        .with_sql("source", "CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t")
        .await;
    // A statement of its own: the server makes no slot in a transaction that has written.
    pgsnap::execute(&source, "SELECT pg_create_logical_replication_slot('feed', 'pgoutput')")
        .await
        .unwrap();
    let target = server.with_sql("target", "CREATE TABLE t (id int PRIMARY KEY)").await;
    // A session of before, which keeps its defaults.
    let inside = server.client("target").await;
    let doors = "ALTER DATABASE target SET default_transaction_read_only = on; ALTER DATABASE target CONNECTION LIMIT 0;
        REVOKE CONNECT ON DATABASE target FROM PUBLIC";
    run(&server, doors).await;
    let subscribe = format!(
        "CREATE SUBSCRIPTION feed CONNECTION 'host={} port={} user=postgres dbname=source'
            PUBLICATION p WITH (create_slot = false, slot_name = 'feed', copy_data = false)",
        server.scratch.directory().display(),
        server.scratch.port()
    );
    inside.batch_execute(&subscribe).await.unwrap();
    pgsnap::execute(&source, "INSERT INTO t VALUES (1)").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let count = "SELECT count(*) FROM t";
    while pgsnap::query_scalar(&target, count).await.unwrap().as_deref() != Some("1") {
        assert!(Instant::now() < deadline, "the row did not arrive");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let plan = plan_fence(&target, &FenceOptions::default()).await.unwrap();
    assert!(plan.obstacles.iter().any(|found| found.problem.contains("feed")), "{plan:?}");
    let plan = plan_fence(&source, &FenceOptions::default()).await.unwrap();
    assert!(plan.warnings.iter().any(|warning| warning.contains("feed")), "{plan:?}");
    let slots = ask(&server, "SELECT count(*) FROM pg_replication_slots").await;
    assert_eq!(slots.as_deref(), Some("1"));
}
