//! The commit point: a prepared database takes the name, or nothing changes.

use std::time::Duration;

use pgsnap::{
    Database, Error, ErrorClass, HandedOver, Handover, HandoverState, MarkerRole, drop_prepared,
    find_handover, hand_over, identify, prepared_name,
};

use crate::fence::{ask, catalogue, run, take_down};
use crate::server::Server;

pub(crate) const RUN: &str = "20261121161200ab12";
pub(crate) const LATER: &str = "20261121161300ab12";

pub(crate) fn order(run: &str, epoch: u64) -> Handover {
    Handover::new(run, "new home", epoch, Duration::from_secs(10))
}

pub(crate) async fn handed_over(hub: &Database, run: &str, epoch: u64) -> HandedOver {
    hand_over(hub, &order(run, epoch)).await.unwrap()
}

/// A database `hub` with one row, and one with another row that this run prepared.
pub(crate) async fn with_prepared(server: &Server, run: &str) -> Database {
    server.with_sql("hub", "CREATE TABLE t AS SELECT 'old' AS v").await;
    prepare(server, run).await;
    server.scratch.database("hub")
}

pub(crate) async fn prepare(server: &Server, run: &str) {
    server.with_sql(&prepared_name("hub", run), "CREATE TABLE t AS SELECT 'new' AS v").await;
}

pub(crate) async fn row(database: &Database) -> Option<String> {
    pgsnap::query_scalar(database, "SELECT v FROM t").await.unwrap()
}

const PROPERTIES: &str = "
    CREATE ROLE app LOGIN; REVOKE CONNECT ON DATABASE \"hub__next_20261121161200ab12\" FROM PUBLIC;
    GRANT CONNECT ON DATABASE \"hub__next_20261121161200ab12\" TO app;
    ALTER DATABASE \"hub__next_20261121161200ab12\" CONNECTION LIMIT 7;
    ALTER DATABASE \"hub__next_20261121161200ab12\" SET work_mem = '9MB';
    ALTER ROLE app IN DATABASE \"hub__next_20261121161200ab12\" SET work_mem = '8MB';
    COMMENT ON DATABASE \"hub__next_20261121161200ab12\" IS 'the new one';
    ALTER DATABASE \"hub__next_20261121161200ab12\" ALLOW_CONNECTIONS false";

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_database_takes_the_name_and_keeps_everything_of_its_own() {
    let server = Server::start().await;
    let hub = with_prepared(&server, RUN).await;
    let next = prepared_name("hub", RUN);
    run(&server, PROPERTIES).await;
    run(&server, "COMMENT ON DATABASE hub IS 'the old one'").await;
    let (old, new) = (catalogue(&server, "hub").await, catalogue(&server, &next).await);
    let before = find_handover(&hub, RUN).await.unwrap();
    assert_eq!(before, HandoverState::NotDone { prepared: true });

    let done = handed_over(&hub, RUN, 7).await;
    let kept = format!("hub__before_{RUN}");
    assert_eq!(done.kept.as_deref(), Some(kept.as_str()));
    assert_eq!(catalogue(&server, &kept).await, old.replacen("hub", &kept, 1));
    let marker = ask(&server, "SELECT setconfig[2] FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = 'hub' AND setrole = 0").await.unwrap();
    assert_eq!(marker, format!("hubctl.epoch={}", done.marker));
    run(&server, "ALTER DATABASE hub RESET hubctl.epoch").await;
    assert_eq!(catalogue(&server, "hub").await, new.replacen(&next, "hub", 1));
    run(&server, &format!("ALTER DATABASE hub SET hubctl.epoch = '{}'", done.marker)).await;

    run(&server, "ALTER DATABASE hub ALLOW_CONNECTIONS true").await;
    assert_eq!(row(&hub).await.as_deref(), Some("new"));
    let identity = identify(&hub).await.unwrap();
    let located = identity.database.as_ref().unwrap();
    assert_eq!(located.own_marker(), Some(&done.marker));
    assert_eq!((done.marker.epoch, done.marker.role), (7, MarkerRole::Primary));
    assert_eq!((done.marker.site.as_str(), done.marker.run.as_str()), ("new home", RUN));
    assert_eq!(done.marker.database_oid, located.oid);
    assert_eq!(done.marker.system_identifier, identity.system_identifier);
    assert!(identity.system_identifier.is_some() && !identity.is_standby);
    assert_eq!(identity.others.len(), 1, "{identity:?}");
    assert_eq!((identity.others[0].name.as_str(), &identity.others[0].marker), (&*kept, &None));

    assert_eq!(find_handover(&hub, RUN).await.unwrap(), HandoverState::Done(done.clone()));
    assert_eq!(handed_over(&hub, RUN, 7).await, done, "a repeated order changes nothing");
    let error = hand_over(&hub, &order(RUN, 8)).await.unwrap_err();
    assert!(error.to_string().contains("handed it over already"), "{error}");
    assert!(!drop_prepared(&hub, RUN).await.unwrap(), "it is the primary now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_free_is_taken() {
    let server = Server::start().await;
    let hub = server.scratch.database(&"höb".repeat(12));
    let next = prepared_name(hub.name(), RUN);
    assert!(next.len() <= 63 && next.ends_with(RUN), "{next}");
    server.create(&next).await;
    let done = handed_over(&hub, RUN, 1).await;
    assert_eq!(done.kept, None);
    let again = prepared_name(hub.name(), LATER);
    server.create(&again).await;
    let done = handed_over(&hub, LATER, 2).await;
    let kept = done.kept.clone().unwrap();
    assert!(kept.len() <= 63 && kept.ends_with(&format!("__before_{LATER}")), "{kept}");
    let identity = identify(&hub).await.unwrap();
    assert_eq!(identity.database.unwrap().own_marker(), Some(&done.marker));
    assert_eq!(identity.others[0].name, kept);
    assert_eq!(identity.others[0].own_marker().unwrap().epoch, 1);
    let first = find_handover(&hub, RUN).await.unwrap();
    assert!(matches!(first, HandoverState::Done(_)), "the kept database tells: {first:?}");
}

/// Runs an order that must be refused, and requires that it changes nothing.
async fn refused(server: &Server, hub: &Database, order: &Handover, reason: &str) {
    let all = "SELECT string_agg(concat_ws(' ', d.oid, datname, setconfig, shobj_description(d.oid, 'pg_database')), E'\\n' ORDER BY d.oid, setrole)
                 FROM pg_database d LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid";
    let before = ask(server, all).await;
    let error = hand_over(hub, order).await.unwrap_err();
    assert!(matches!(error, Error::CannotHandOver { .. }), "{error}");
    assert!(error.to_string().contains(reason) && error.hint().is_some(), "{error}");
    assert_eq!(error.class(), ErrorClass::No);
    assert!(!error.is_retryable());
    assert_eq!(ask(server, all).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_make_two_primaries_is_refused_and_changes_nothing() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", "CREATE TABLE t AS SELECT 'old' AS v").await;
    refused(&server, &hub, &order(RUN, 1), "there is no database hub__next_").await;
    prepare(&server, RUN).await;
    handed_over(&hub, RUN, 7).await;
    prepare(&server, LATER).await;
    for epoch in [1, 7] {
        refused(&server, &hub, &order(LATER, epoch), "hub is primary with epoch 7").await;
    }
    let next = prepared_name("hub", LATER);
    let identity = identify(&hub).await.unwrap();
    let prepared = identity.others.iter().find(|other| other.name == next).unwrap();
    let own = format!(
        "v1 epoch=9 role=retired site=x run={RUN} sysid={} dboid={} at=x",
        identity.system_identifier.unwrap(),
        prepared.oid
    );
    run(&server, &format!("ALTER DATABASE \"{next}\" SET hubctl.epoch = '{own}'")).await;
    refused(&server, &hub, &order(LATER, 9), "is retired with epoch 9").await;
    run(&server, &format!("ALTER DATABASE \"{next}\" RESET hubctl.epoch")).await;

    let mut soft = pgsnap::FenceOptions::default();
    soft.allow_reads = true;
    pgsnap::fence(&hub, &server.file("soft.json"), &soft).await.unwrap();
    refused(&server, &hub, &order(LATER, 8), "a fence stands around hub").await;
    take_down(&hub, None).await.unwrap();
    assert_eq!(
        find_handover(&hub, LATER).await.unwrap(),
        HandoverState::NotDone { prepared: true }
    );
    handed_over(&hub, LATER, 8).await;
    for run in ["", "x", "20261121161200ab12\"; DROP DATABASE hub"] {
        let error = hand_over(&hub, &order(run, 9)).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRun { .. }), "{error}");
        assert!(find_handover(&hub, run).await.is_err() && drop_prepared(&hub, run).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_the_way_are_named_and_waited_for() {
    let mut options = pgsnap::ScratchOptions::default();
    options.settings = vec!["max_prepared_transactions=5".into()];
    let server = Server::start_with(options).await;
    let hub = with_prepared(&server, RUN).await;
    let next = prepared_name("hub", RUN);
    let mut hasty = order(RUN, 1);
    hasty.timeout = Duration::from_millis(100);
    for name in ["hub", &next] {
        let client = server.client(name).await;
        let error = hand_over(&hub, &hasty).await.unwrap_err();
        let Error::StillInUse { database, by } = &error else { panic!("{error}") };
        assert_eq!((database.as_str(), by.len()), (name, 1), "{error}");
        assert!(by[0].starts_with("postgres (pid "), "{error}");
        client
            .batch_execute("BEGIN; INSERT INTO t VALUES ('2'); PREPARE TRANSACTION 'two'")
            .await
            .unwrap();
        drop(client);
        let error = hand_over(&hub, &hasty).await.unwrap_err();
        assert!(error.to_string().contains("prepared transaction two"), "{error}");
        assert!(error.is_retryable() && error.class() == ErrorClass::No);
        server.client(name).await.batch_execute("ROLLBACK PREPARED 'two'").await.unwrap();
    }
    assert_eq!(find_handover(&hub, RUN).await.unwrap(), HandoverState::NotDone { prepared: true });
    let client = server.client("hub").await;
    let (target, patient) = (hub.clone(), order(RUN, 1));
    let waiting = tokio::spawn(async move { hand_over(&target, &patient).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    client.simple_query("SELECT 1").await.unwrap();
    drop(client);
    waiting.await.unwrap().unwrap();
    assert_eq!(row(&hub).await.as_deref(), Some("new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_prepared_database_is_dropped() {
    let server = Server::start().await;
    let hub = with_prepared(&server, RUN).await;
    prepare(&server, LATER).await;
    let _client = server.client(&prepared_name("hub", RUN)).await;
    assert!(drop_prepared(&hub, RUN).await.unwrap());
    assert!(!drop_prepared(&hub, RUN).await.unwrap());
    let identity = identify(&hub).await.unwrap();
    let names: Vec<&str> = identity.others.iter().map(|other| other.name.as_str()).collect();
    assert_eq!(names, [prepared_name("hub", LATER)]);
    assert_eq!(find_handover(&hub, RUN).await.unwrap(), HandoverState::NotDone { prepared: false });

    handed_over(&hub, LATER, 1).await;
    run(&server, &format!("ALTER DATABASE hub RENAME TO \"{}\"", prepared_name("hub", RUN))).await;
    let error = drop_prepared(&hub, RUN).await.unwrap_err();
    assert!(error.to_string().contains("marked as primary"), "{error}");
    assert_eq!(error.class(), ErrorClass::No);
}

/// The way of a service to another server: a restore makes the prepared database.
#[tokio::test(flavor = "multi_thread")]
async fn the_clean_up_of_restores_leaves_a_prepared_database_alone() {
    let server = Server::start().await;
    let hub = with_prepared(&server, RUN).await;
    server.create(&format!("hub__restoring_{RUN}")).await;
    assert_eq!(pgsnap::unfinished_databases(&hub).await.unwrap().len(), 1, "it would be seen");
    assert_eq!(pgsnap::drop_leftovers(&hub).await.unwrap(), [format!("hub__restoring_{RUN}")]);
    assert!(pgsnap::kept_databases(&hub).await.unwrap().is_empty());
    let (archive, _) = server.dump(&hub).await;
    server.restore(&archive, "hub").await;
    let identity = identify(&hub).await.unwrap();
    let names: Vec<&str> = identity.others.iter().map(|other| other.name.as_str()).collect();
    assert!(names.contains(&prepared_name("hub", RUN).as_str()), "{names:?}");
    assert_eq!(names.len(), 2, "with the one that was replaced: {names:?}");
    let next = prepared_name("hub", LATER);
    server.restore(&archive, &next).await;
    pgsnap::execute(&server.scratch.database(&next), "UPDATE t SET v = 'restored'").await.unwrap();
    handed_over(&hub, LATER, 1).await;
    assert_eq!(row(&hub).await.as_deref(), Some("restored"));
}
