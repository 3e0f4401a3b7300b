//! A fence goes up, holds, and comes down without a trace.

use std::path::PathBuf;
use std::time::Duration;

use pgsnap::{
    Database, Error, ErrorClass, FenceOptions, FenceRecord, Fenced, UnfenceOptions, Unfenced,
    fence, find_fence, plan_fence, unfence,
};

use crate::server::Server;

/// A database with everything that a fence changes, each part unlike its default.
const SETUP: &str = "
    CREATE ROLE app LOGIN; CREATE ROLE ops LOGIN; CREATE ROLE \"Odd \"\"one\" LOGIN; CREATE ROLE owner;
    ALTER DATABASE hub OWNER TO owner; ALTER DATABASE hub CONNECTION LIMIT 50;
    COMMENT ON DATABASE hub IS 'line one
line two ä';
    REVOKE CONNECT ON DATABASE hub FROM PUBLIC; GRANT CONNECT ON DATABASE hub TO app WITH GRANT OPTION;
    SET ROLE app; GRANT CONNECT ON DATABASE hub TO ops; RESET ROLE;
    GRANT CREATE, CONNECT ON DATABASE hub TO \"Odd \"\"one\";
    ALTER DATABASE hub SET work_mem = '9MB'; ALTER DATABASE hub SET search_path = app, \"$user\", public;
    ALTER ROLE app SET default_transaction_read_only = off;
    ALTER ROLE ops IN DATABASE hub SET default_transaction_read_only = off;
    ALTER ROLE ops IN DATABASE hub SET work_mem = '8MB';
    CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);
    GRANT ALL ON t TO PUBLIC";

pub(crate) async fn hub() -> (Server, Database) {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    (server, hub)
}

/// The database in the shared catalogues, by its number; privileges as a set.
pub(crate) async fn catalogue(server: &Server, name: &str) -> String {
    let query = format!(
        "SELECT pg_catalog.concat_ws(E'\\n', d.oid, d.datname, d.datdba::regrole, d.datallowconn, d.datconnlimit,
            (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM aclexplode(COALESCE(d.datacl, acldefault('d', d.datdba))) a),
            (SELECT string_agg(concat_ws(' ', s.setrole, s.setconfig), ' ' ORDER BY s.setrole) FROM pg_db_role_setting s WHERE s.setdatabase = d.oid),
            shobj_description(d.oid, 'pg_database'))
           FROM pg_database d WHERE d.datname = '{name}'"
    );
    ask(server, &query).await.unwrap_or_default()
}

pub(crate) async fn ask(server: &Server, query: &str) -> Option<String> {
    pgsnap::query_scalar(&server.scratch.database("postgres"), query).await.unwrap()
}

pub(crate) async fn run(server: &Server, sql: &str) {
    pgsnap::execute(&server.scratch.database("postgres"), sql).await.unwrap();
}

pub(crate) fn file(server: &Server) -> PathBuf {
    server.file("hub.fence.json")
}

pub(crate) async fn put_up(server: &Server, hub: &Database) -> Fenced {
    fence(hub, &file(server), &FenceOptions::default()).await.unwrap()
}

pub(crate) async fn take_down(hub: &Database, record: Option<PathBuf>) -> pgsnap::Result<Unfenced> {
    let mut options = UnfenceOptions::default();
    options.record = record;
    unfence(hub, &options).await
}

/// A session as an application has it.
pub(crate) async fn client(
    server: &Server,
    role: &str,
    name: &str,
) -> Result<tokio_postgres::Client, String> {
    let parameters = format!(
        "host={} port={} user={role} dbname={name} application_name=worker",
        server.scratch.directory().display(),
        server.scratch.port()
    );
    match tokio_postgres::connect(&parameters, tokio_postgres::NoTls).await {
        Ok((client, connection)) => {
            tokio::spawn(connection);
            Ok(client)
        }
        Err(error) => Err(code(&error)),
    }
}

pub(crate) fn code(error: &tokio_postgres::Error) -> String {
    error.code().map(|code| code.code().to_owned()).unwrap_or_default()
}

async fn refused(server: &Server, role: &str, name: &str) -> String {
    client(server, role, name).await.err().unwrap_or_else(|| "let in".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_fence_shuts_every_client_out_and_comes_down_without_a_trace() {
    let (server, hub) = hub().await;
    let before = catalogue(&server, "hub").await;
    let app = client(&server, "app", "hub").await.unwrap();
    let plan = plan_fence(&hub, &FenceOptions::default()).await.unwrap();
    assert!(plan.obstacles.is_empty(), "{plan:?}");
    assert_eq!(plan.sessions.len(), 1, "{plan:?}");
    assert_eq!(catalogue(&server, "hub").await, before, "a plan changes nothing");

    let fenced = put_up(&server, &hub).await;
    assert_eq!(fenced.ended.len(), 1, "{fenced:?}");
    assert_eq!(fenced.ended[0].role.as_deref(), Some("app"));
    assert!(!fenced.resumed && fenced.record.database == "hub", "{fenced:?}");
    assert!(app.simple_query("SELECT 1").await.is_err(), "the session was ended");
    assert_eq!(FenceRecord::load(&file(&server)).unwrap(), Some(fenced.record.clone()));
    let frozen = fenced.record.fenced_name();
    assert!(frozen.starts_with("hub__frozen_"), "{frozen}");
    assert_eq!(refused(&server, "app", "hub").await, "3D000");
    assert_eq!(refused(&server, "postgres", "hub").await, "3D000", "superusers as well");
    for role in ["app", "ops", "Odd\\ \"one"] {
        assert_eq!(refused(&server, role, frozen).await, "42501", "{role}");
    }
    let behind = fenced.database(&hub);
    let count = pgsnap::query_scalar(&behind, "SELECT count(*) FROM t").await.unwrap();
    assert_eq!(count.as_deref(), Some("100"));
    let error = pgsnap::execute(&behind, "INSERT INTO t VALUES (0)").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("25006"));

    let again = put_up(&server, &hub).await;
    assert!(again.resumed && again.ended.is_empty() && again.record == fenced.record);
    let unfenced = take_down(&hub, None).await.unwrap();
    assert_eq!(unfenced.record, Some(fenced.record));
    assert!(unfenced.lost.is_empty(), "{unfenced:?}");
    assert_eq!(catalogue(&server, "hub").await, before);
    let unfenced = take_down(&hub, Some(file(&server))).await.unwrap();
    assert_eq!(unfenced.record, None, "there is nothing left to do");
    client(&server, "app", "hub")
        .await
        .unwrap()
        .batch_execute("INSERT INTO t VALUES (0)")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_never_granted_gets_its_defaults_back() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", "CREATE ROLE app LOGIN").await;
    let before = catalogue(&server, "hub").await;
    let fenced = put_up(&server, &hub).await;
    assert!(fenced.record.before.privileges_are_default);
    assert_eq!(refused(&server, "app", fenced.record.fenced_name()).await, "42501");
    take_down(&hub, None).await.unwrap();
    assert_eq!(catalogue(&server, "hub").await, before);
}

/// The file is lost, or the mark on the server: either is enough, and without both nothing is
/// guessed.
#[tokio::test(flavor = "multi_thread")]
async fn either_record_is_enough() {
    let (server, hub) = hub().await;
    let before = catalogue(&server, "hub").await;
    assert_eq!(find_fence(&hub, Some(&file(&server))).await.unwrap(), None);
    let fenced = put_up(&server, &hub).await;
    assert_eq!(find_fence(&hub, None).await.unwrap().as_ref(), Some(&fenced.record));
    fs_err::remove_file(file(&server)).unwrap();
    let again = put_up(&server, &hub).await;
    assert!(again.resumed && file(&server).exists(), "the file was written again");

    let reset = format!("ALTER DATABASE \"{}\" RESET hubctl.fence", fenced.record.fenced_name());
    run(&server, &reset).await;
    let error = take_down(&hub, None).await.unwrap_err();
    assert!(matches!(error, Error::CannotFence { .. }), "{error}");
    assert!(matches!(find_fence(&hub, None).await, Err(Error::CannotFence { .. })));
    let found = find_fence(&hub, Some(&file(&server))).await.unwrap();
    let unfenced = take_down(&hub, Some(file(&server))).await.unwrap();
    assert_eq!(found.as_ref(), unfenced.record.as_ref());
    assert!(found.is_some());
    assert_eq!(catalogue(&server, "hub").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_something_else_is_never_replaced_or_used() {
    let (server, hub) = hub().await;
    let other = server.create("other").await;
    let fenced = put_up(&server, &hub).await;
    for call in [
        fence(&other, &file(&server), &FenceOptions::default()).await.map(|_| ()),
        take_down(&other, Some(file(&server))).await.map(|_| ()),
    ] {
        let error = call.unwrap_err();
        assert!(matches!(error, Error::FenceRecord { .. }), "{error}");
        assert!(error.hint().is_some());
    }
    assert_eq!(FenceRecord::load(&file(&server)).unwrap(), Some(fenced.record));
    // Another file cannot take a standing fence over either.
    let second = server.file("second.json");
    let stranger = fence(&other, &second, &FenceOptions::default()).await.unwrap();
    let error = fence(&hub, &second, &FenceOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::FenceRecord { .. }), "{error}");
    assert_eq!(FenceRecord::load(&second).unwrap(), Some(stranger.record));
}

/// Also by an owner who wrote the record of a fence into the comment of a database without one.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_was_opened_is_not_taken_for_whole() {
    let (server, hub) = hub().await;
    let before = catalogue(&server, "hub").await;
    let fenced = put_up(&server, &hub).await;
    let frozen = fenced.record.fenced_name();
    run(&server, &format!("GRANT CONNECT ON DATABASE \"{frozen}\" TO app")).await;
    let error = fence(&hub, &file(&server), &FenceOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::FenceRecord { .. }), "{error}");
    take_down(&hub, None).await.unwrap();
    assert_eq!(catalogue(&server, "hub").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_took_the_name_is_not_touched() {
    let (server, hub) = hub().await;
    put_up(&server, &hub).await;
    run(&server, "CREATE DATABASE hub").await;
    let unfenced = take_down(&hub, None).await.unwrap();
    assert_eq!(unfenced.record, None, "the new one has no fence");
    let error = take_down(&hub, Some(file(&server))).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42P04"), "{error}");
    run(&server, "DROP DATABASE hub").await;
    assert!(take_down(&hub, None).await.unwrap().record.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_was_dropped_behind_the_fence_is_named() {
    let (server, hub) = hub().await;
    put_up(&server, &hub).await;
    // The fence took the only privilege of this role in this database.
    run(&server, "DROP ROLE ops").await;
    let unfenced = take_down(&hub, None).await.unwrap();
    assert_eq!(unfenced.lost.len(), 2, "its default and its privilege: {unfenced:?}");
    assert!(unfenced.lost[1].contains("CONNECT"), "{unfenced:?}");
    client(&server, "app", "hub").await.unwrap();
}

/// Writers without a session are refused before anything changes.
#[tokio::test(flavor = "multi_thread")]
async fn prepared_transactions_and_subscriptions_are_obstacles() {
    let mut options = pgsnap::ScratchOptions::default();
    options.settings = vec!["max_prepared_transactions=5".into()];
    let server = Server::start_with(options).await;
    let hub = server.with_sql("hub", SETUP).await;
    let writer = server.client("hub").await;
    writer
        .batch_execute("BEGIN; INSERT INTO t VALUES (0); PREPARE TRANSACTION 'two'")
        .await
        .unwrap();
    let subscribe = "CREATE SUBSCRIPTION feed CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false, slot_name = 'feed')";
    writer.batch_execute(subscribe).await.unwrap();
    writer.batch_execute("ALTER SUBSCRIPTION feed ENABLE").await.unwrap();
    let before = catalogue(&server, "hub").await;
    let error = fence(&hub, &file(&server), &FenceOptions::default()).await.unwrap_err();
    let Error::CannotFence { obstacles, .. } = &error else { panic!("{error}") };
    assert_eq!(obstacles.len(), 2, "{error}");
    assert!(error.to_string().contains("two") && error.to_string().contains("feed"), "{error}");
    assert_eq!(error.class(), ErrorClass::No);
    assert_eq!(catalogue(&server, "hub").await, before);
    assert!(!file(&server).exists());
    writer.batch_execute("ROLLBACK PREPARED 'two'").await.unwrap();
    writer.batch_execute("ALTER SUBSCRIPTION feed DISABLE").await.unwrap();
    put_up(&server, &hub).await;
    take_down(&hub, None).await.unwrap();
    assert_eq!(catalogue(&server, "hub").await, before);
}

/// A server whose database belongs to an ordinary role.
async fn owned() -> (Server, Database) {
    let server = Server::with_tcp().await;
    let setup = format!("{SETUP}; ALTER ROLE owner LOGIN PASSWORD 'o'");
    server.with_sql("hub", &setup).await;
    run(&server, "SET ROLE owner; GRANT CONNECT ON DATABASE hub TO ops; RESET ROLE").await;
    run(
        &server,
        "REVOKE CONNECT ON DATABASE hub FROM app CASCADE; GRANT CONNECT ON DATABASE hub TO app",
    )
    .await;
    let url = format!("postgresql://owner:o@127.0.0.1:{}/hub", server.scratch.port());
    (server, Database::from_url(&url).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_told_the_limits_and_fences_within_them() {
    let (server, hub) = owned().await;
    let before = catalogue(&server, "hub").await;
    let _app = client(&server, "app", "hub").await.unwrap();
    let plan = plan_fence(&hub, &FenceOptions::default()).await.unwrap();
    let problems: Vec<&str> = plan.obstacles.iter().map(|found| found.problem.as_str()).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("CREATEDB") && problems[1].contains("end the sessions"));
    assert!(plan.warnings.iter().any(|warning| warning.contains("superusers")), "{plan:?}");

    run(&server, "ALTER ROLE owner CREATEDB; GRANT pg_signal_backend TO owner").await;
    let fenced = put_up(&server, &hub).await;
    assert_eq!(fenced.ended.len(), 1, "{fenced:?}");
    let behind = fenced.database(&hub);
    let count = pgsnap::query_scalar(&behind, "SELECT count(*) FROM pg_class").await.unwrap();
    assert!(count.is_some(), "the owner may still read");
    assert_eq!(refused(&server, "app", behind.name()).await, "42501");
    fs_err::remove_file(file(&server)).unwrap();
    assert!(put_up(&server, &hub).await.resumed, "the record is in the comment");
    take_down(&hub, None).await.unwrap();
    assert_eq!(catalogue(&server, "hub").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_stays_is_named_and_the_fence_comes_down_again() {
    let (server, hub) = owned().await;
    run(&server, "ALTER ROLE owner CREATEDB; GRANT pg_signal_backend TO owner").await;
    let before = catalogue(&server, "hub").await;
    let _superuser = server.client("hub").await;
    let mut options = FenceOptions::default();
    options.timeout = Duration::from_millis(300);
    let error = fence(&hub, &file(&server), &options).await.unwrap_err();
    let Error::NotFenced { undone: true, source, .. } = &error else { panic!("{error}") };
    let Error::StillInUse { by, .. } = source.as_ref() else { panic!("{source}") };
    assert!(by[0].starts_with("postgres (pid "), "{by:?}");
    assert!(error.is_retryable() && error.hint().is_some() && error.class() == ErrorClass::No);
    assert_eq!(catalogue(&server, "hub").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_behind_the_fence_is_waited_for_and_named() {
    let (server, hub) = hub().await;
    let fenced = put_up(&server, &hub).await;
    let reader = server.client(fenced.record.fenced_name()).await;
    let mut options = UnfenceOptions::default();
    options.timeout = Duration::from_millis(100);
    let error = unfence(&hub, &options).await.unwrap_err();
    assert!(matches!(error, Error::StillInUse { .. }), "{error}");
    assert!(error.to_string().contains("postgres (pid "), "{error}");
    reader.simple_query("SELECT 1").await.unwrap();
    drop(reader);
    assert!(take_down(&hub, None).await.unwrap().record.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_an_answer() {
    let server = Server::start().await;
    let none = server.scratch.database("none");
    let error = fence(&none, &file(&server), &FenceOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::CannotFence { .. }), "{error}");
    let error = take_down(&none, None).await.unwrap_err();
    assert!(matches!(error, Error::CannotFence { .. }), "{error}");
}

/// A server that answers a commit before it is on its disk may lose it in a crash.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_is_on_the_disk_when_it_stands() {
    const FLUSHED: &str = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()";
    let mut options = pgsnap::ScratchOptions::default();
    options.settings = vec!["synchronous_commit=off".into(), "wal_writer_delay=10s".into()];
    let server = Server::start_with(options).await;
    let hub = server.with_sql("hub", SETUP).await;
    let mut flushed = Vec::new();
    for _ in 0..3 {
        run(&server, "ALTER DATABASE hub CONNECTION LIMIT 51").await;
        assert_eq!(ask(&server, FLUSHED).await.as_deref(), Some("f"), "it would be seen");
        put_up(&server, &hub).await;
        flushed.push(ask(&server, FLUSHED).await.unwrap());
        take_down(&hub, None).await.unwrap();
    }
    assert!(flushed.iter().any(|flushed| flushed == "t"), "{flushed:?}");
}
