//! Markers: of the old primary, of a plain owner, of copies, and never of a backup.

use pgsnap::{
    CopyOptions, Database, Error, ErrorClass, FenceOptions, HandoverState, Marker, MarkerRole,
    clone_database, drop_prepared, fence, find_handover, hand_over, identify, prepared_name,
    retire,
};

use crate::fence::{ask, catalogue, file, put_up, run, take_down};
use crate::handover::{LATER, RUN, handed_over, order, prepare, with_prepared};
use crate::server::{Server, quiet};

fn retired(epoch: u64) -> Marker {
    Marker::new(epoch, MarkerRole::Retired, "old home", RUN)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_primary_is_retired_behind_its_fence_which_comes_down_exactly() {
    let server = Server::start().await;
    let hub = with_prepared(&server, RUN).await;
    run(&server, "ALTER DATABASE hub SET work_mem = '9MB'; COMMENT ON DATABASE hub IS 'ours'")
        .await;
    let before = catalogue(&server, "hub").await;
    let error = retire(&hub, None, retired(2)).await.unwrap_err();
    assert!(matches!(error, Error::CannotRetire { .. }) && error.hint().is_some(), "{error}");
    assert_eq!(error.class(), ErrorClass::No);
    assert_eq!(catalogue(&server, "hub").await, before);

    let fenced = put_up(&server, &hub).await;
    // The new primary has the name already, on the same server.
    let done = handed_over(&hub, RUN, 2).await;
    assert_eq!(done.kept, None);
    let error = take_down(&hub, Some(file(&server))).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42P04"), "the old primary cannot come back: {error}");
    retire(&hub, None, retired(2)).await.unwrap();
    let frozen = catalogue(&server, fenced.record.fenced_name()).await;
    retire(&hub, Some(&file(&server)), retired(2)).await.unwrap();
    assert_eq!(catalogue(&server, fenced.record.fenced_name()).await, frozen, "no second writing");
    let error =
        retire(&hub, None, Marker::new(2, MarkerRole::Retired, "x", LATER)).await.unwrap_err();
    assert!(error.to_string().contains("retired with epoch 2 already"), "{error}");

    let identity = identify(&hub).await.unwrap();
    assert_eq!(identity.database.unwrap().own_marker(), Some(&done.marker));
    let old = identity.others[0].own_marker().unwrap();
    assert_eq!((old.epoch, old.role, old.site.as_str()), (2, MarkerRole::Retired, "old home"));
    let state = find_handover(&hub, RUN).await.unwrap();
    assert_eq!(state, HandoverState::Done(done), "the retired one is not taken for it");

    run(&server, "DROP DATABASE hub").await;
    prepare(&server, LATER).await;
    let error = hand_over(&hub, &order(LATER, 2)).await.unwrap_err();
    assert!(error.to_string().contains("is retired with epoch 2, and this order"), "{error}");
    take_down(&hub, None).await.unwrap();
    let marker = identify(&hub).await.unwrap().database.unwrap().marker.unwrap();
    assert_eq!((marker.epoch, marker.role), (2, MarkerRole::Retired), "the marker stays");
    retire(&hub, None, retired(2)).await.unwrap();
    run(&server, "ALTER DATABASE hub RESET hubctl.epoch").await;
    assert_eq!(catalogue(&server, "hub").await, before);
}

/// A role that is no superuser keeps the marker in the comment.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_owner_hands_over_and_retires_with_a_line_of_the_comment() {
    let server = Server::with_tcp().await;
    let setup = "CREATE ROLE owner LOGIN CREATEDB PASSWORD 'o' IN ROLE pg_signal_backend; ALTER DATABASE hub OWNER TO owner;
        COMMENT ON DATABASE hub IS 'old
line hubctl.epoch=x'";
    server.with_sql("hub", setup).await;
    let url = format!("postgresql://owner:o@127.0.0.1:{}/hub", server.scratch.port());
    let hub = Database::from_url(&url).unwrap();
    let next = prepared_name("hub", RUN);
    prepare(&server, RUN).await;
    let error = hand_over(&hub, &order(RUN, 1)).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42501"), "not its owner: {error}");
    assert!(identify(&hub).await.unwrap().database.unwrap().marker.is_none());
    run(
        &server,
        &format!("ALTER DATABASE {next} OWNER TO owner; COMMENT ON DATABASE {next} IS 'new'"),
    )
    .await;
    run(&server, "ALTER ROLE owner NOCREATEDB").await;
    let error = hand_over(&hub, &order(RUN, 1)).await.unwrap_err();
    assert!(error.to_string().contains("CREATEDB"), "{error}");
    run(&server, "ALTER ROLE owner CREATEDB").await;

    let done = handed_over(&hub, RUN, 1).await;
    let comment =
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'hub'";
    let line = format!("hubctl.epoch={}", done.marker);
    assert_eq!(ask(&server, comment).await.unwrap(), format!("new\n{line}"));
    assert_eq!(find_handover(&hub, RUN).await.unwrap(), HandoverState::Done(done.clone()));

    let before = catalogue(&server, "hub").await;
    let fenced = fence(&hub, &file(&server), &FenceOptions::default()).await.unwrap();
    let behind = fenced.database(&hub);
    let (_, manifest) = server.dump(&server.scratch.database(behind.name())).await;
    assert_eq!(manifest.source.comment.as_deref(), Some("new"), "neither line travels");
    let clone = clone_database(&hub, behind.name(), LATER).await.unwrap();
    let query = format!(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{}'",
        clone.name()
    );
    assert_eq!(ask(&server, &query).await.as_deref(), Some("new"));
    assert!(drop_prepared(&hub, LATER).await.unwrap());
    retire(&hub, None, Marker::new(2, MarkerRole::Retired, "home", LATER)).await.unwrap();
    let unfenced = take_down(&hub, None).await.unwrap();
    assert!(unfenced.record.is_some() && unfenced.lost.is_empty(), "{unfenced:?}");
    let marker = identify(&hub).await.unwrap().database.unwrap().own_marker().cloned().unwrap();
    assert_eq!((marker.epoch, marker.role), (2, MarkerRole::Retired));
    let after = catalogue(&server, "hub").await;
    assert_eq!(after.replace(&marker.to_string(), &done.marker.to_string()), before);

    // The superuser's setting takes the place of the line.
    prepare(&server, LATER).await;
    let later = prepared_name("hub", LATER);
    run(&server, &format!("COMMENT ON DATABASE {later} IS 'newest\n{line}'")).await;
    handed_over(&server.scratch.database("hub"), LATER, 3).await;
    assert_eq!(ask(&server, comment).await.as_deref(), Some("newest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_came_with_a_copy_claims_nothing() {
    let (here, there) = (Server::start().await, Server::start().await);
    let hub = with_prepared(&here, RUN).await;
    let done = handed_over(&hub, RUN, 7).await;
    let copied = with_prepared(&there, LATER).await;
    // Even one with the same number, as a first database has on every server.
    let oid = identify(&copied).await.unwrap().database.unwrap().oid;
    let mut same = done.marker.clone();
    same.database_oid = oid;
    for marker in [&done.marker, &same] {
        run(&there, &format!("ALTER DATABASE hub SET hubctl.epoch = '{marker}'")).await;
        let located = identify(&copied).await.unwrap().database.unwrap();
        assert_eq!(located.marker.as_ref(), Some(marker));
        assert!(!located.marker_is_own && located.own_marker().is_none());
        let state = find_handover(&copied, RUN).await.unwrap();
        assert_eq!(state, HandoverState::NotDone { prepared: false });
    }
    handed_over(&copied, LATER, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_cannot_be_read_is_an_error_and_no_answer() {
    let server = Server::start().await;
    let hub = with_prepared(&server, RUN).await;
    for text in ["v2 epoch=1", "v1 epoch=1", ""] {
        run(&server, &format!("ALTER DATABASE hub SET hubctl.epoch = '{text}'")).await;
        let error = identify(&hub).await.unwrap_err();
        assert!(matches!(error, Error::Marker { .. }) && error.hint().is_some(), "{error}");
        assert!(error.to_string().contains("of database hub"), "{error}");
        assert_eq!(error.class(), ErrorClass::CouldNotAsk);
        assert!(find_handover(&hub, RUN).await.is_err());
        assert!(hand_over(&hub, &order(RUN, 1)).await.is_err());
    }
    run(&server, "ALTER DATABASE hub RESET hubctl.epoch").await;
    prepare(&server, LATER).await;
    handed_over(&hub, LATER, 1).await;
    run(&server, &format!("DROP DATABASE hub__next_{RUN}")).await;
    let error = find_handover(&hub, RUN).await.unwrap_err();
    assert!(error.to_string().contains("a later claim"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_backup_and_no_copy_carries_a_marker_along() {
    let (here, there) = (Server::start().await, Server::start().await);
    let hub = with_prepared(&here, RUN).await;
    handed_over(&hub, RUN, 7).await;
    let settings = "CREATE ROLE app; ALTER ROLE app SET hubctl.epoch = 'x'; ALTER ROLE app SET work_mem = '8MB';
        ALTER ROLE app IN DATABASE hub SET hubctl.epoch = 'y'; ALTER ROLE app IN DATABASE hub SET work_mem = '9MB';
        GRANT CREATE ON DATABASE hub TO app; REVOKE CONNECT ON DATABASE hub FROM PUBLIC";
    run(&here, settings).await;
    run(&there, "CREATE ROLE app").await;
    let (archive, manifest) = here.dump(&hub).await;
    let said = format!("{:?}", manifest.source);
    assert!(!said.contains("hubctl") && said.contains("9MB") && said.contains("8MB"), "{said}");
    let restored = there.restore(&archive, "hub").await;
    assert!(restored.notes.is_empty(), "it was taken for a fence: {:?}", restored.notes);
    let target = there.scratch.database("copied");
    pgsnap::copy(&hub, &target, &CopyOptions::default(), &quiet()).await.unwrap();
    for name in ["hub", "copied"] {
        let found = catalogue(&there, name).await;
        assert!(!found.contains("hubctl") && found.contains("9MB"), "{found}");
        let public = format!(
            "SELECT count(*) FROM pg_database, aclexplode(datacl) a WHERE datname = '{name}' AND grantee = 0 AND a.privilege_type = 'CONNECT'"
        );
        assert_eq!(ask(&there, &public).await.as_deref(), Some("0"), "PUBLIC got CONNECT");
    }
}
