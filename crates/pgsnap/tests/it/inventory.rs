//! Writers are seen, and unseen changes are reported.

use std::time::Duration;

use pgsnap::{ScratchOptions, WriterOptions, hold_writes, writers};

use crate::server::Server;

const SETUP: &str = "
    CREATE ROLE app LOGIN; CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE quick (id int); CREATE TABLE still (id int);
    INSERT INTO still VALUES (1); SELECT lo_from_bytea(4242, 'x'); GRANT ALL ON t, quick, still TO app";

fn options(window: Duration) -> WriterOptions {
    let mut options = WriterOptions::default();
    options.window = window;
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_writer_is_named_and_a_quick_one_is_missed_but_counted() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let slow = server.client("hub").await;
    slow.batch_execute(
        "SET application_name = 'sweeper'; SET ROLE app; BEGIN; INSERT INTO t VALUES (1)",
    )
    .await
    .unwrap();
    let reader = server.client("hub").await;
    reader.batch_execute("BEGIN; SELECT * FROM still").await.unwrap();
    // Its statistics are written when it ends, which the second reading sees; one sample at the beginning misses it.
    let mut options = options(Duration::from_secs(3));
    options.interval = Duration::from_secs(2);
    let (found, ()) = tokio::join!(writers(&hub, &options), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let quick = server.client("hub").await;
        quick.batch_execute("INSERT INTO quick SELECT generate_series(1, 10)").await.unwrap();
    });
    let found = found.unwrap();
    assert_eq!(found.writers.len(), 1, "{found:?}");
    let writer = &found.writers[0];
    assert_eq!(writer.table.to_string(), "\"public\".\"t\"");
    assert_eq!(writer.application.as_deref(), Some("sweeper"));
    assert_eq!(writer.role.as_deref(), Some("postgres"), "the role that logged in");
    assert_eq!(writer.kind.as_deref(), Some("client backend"));
    assert_eq!(found.unnamed.len(), 1, "{found:?}");
    assert_eq!(found.unnamed[0].name, "quick");
    assert_eq!((found.tables.len(), found.tables[0].inserted), (1, 10), "{found:?}");
    assert!(!found.counters_reset && found.statements.is_none(), "{found:?}");
}

/// If the database counts statements, a quick writer's role is also known.
#[tokio::test(flavor = "multi_thread")]
async fn counted_statements_name_the_roles_of_quick_writers() {
    let mut counting = ScratchOptions::default();
    counting.settings = vec!["shared_preload_libraries=pg_stat_statements".into()];
    let server = Server::start_with(counting).await;
    let hub = server.with_sql("hub", SETUP).await;
    pgsnap::execute(&hub, "CREATE SCHEMA stats; CREATE EXTENSION pg_stat_statements SCHEMA stats")
        .await
        .unwrap();
    let quick = server.client("hub").await;
    quick.batch_execute("SET ROLE app").await.unwrap();
    quick.batch_execute("INSERT INTO quick VALUES (0)").await.unwrap();
    let mut options = options(Duration::from_secs(1));
    options.interval = Duration::from_secs(1);
    let (found, ()) = tokio::join!(writers(&hub, &options), async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        quick.batch_execute("INSERT INTO quick VALUES (1), (2)").await.unwrap();
        quick.batch_execute("SELECT * FROM quick").await.unwrap();
    });
    let statements = found.unwrap().statements.unwrap();
    assert_eq!(statements.len(), 1, "{statements:?}");
    let writes = &statements[0];
    assert_eq!((writes.role.as_deref(), writes.verb.as_str()), (Some("app"), "INSERT"));
    assert_eq!((writes.calls, writes.rows), (1, 2), "{statements:?}");
}

/// Held, even the quickest writer stands still and is seen; readers go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_held_is_named_however_quick_it_is() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let mut options = options(Duration::from_millis(1500));
    options.hold = true;
    let (found, inserted) = tokio::join!(writers(&hub, &options), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let quick = server.client("hub").await;
        quick.batch_execute("SELECT * FROM quick").await.unwrap();
        quick.execute("INSERT INTO quick VALUES (1)", &[]).await
    });
    let found = found.unwrap();
    assert_eq!(found.writers.len(), 1, "{found:?}");
    assert_eq!(found.writers[0].table.name, "quick");
    assert_eq!(inserted.unwrap(), 1, "it went on afterwards");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_out_writers_and_no_readers() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let hold = hold_writes(&hub, Duration::from_secs(5)).await.unwrap();
    let client = server.client("hub").await;
    client
        .batch_execute("SET lock_timeout = '100ms'; SELECT * FROM t; SELECT lo_get(4242)")
        .await
        .unwrap();
    for statement in ["INSERT INTO t VALUES (1)", "TRUNCATE t", "ALTER TABLE t ADD x int"] {
        let error = client.batch_execute(statement).await.unwrap_err();
        assert_eq!(refusal(&error), "55P03", "{statement}: {error:?}");
    }
    let (_, manifest) = server.dump(&hub).await;
    assert_eq!(manifest.census.rows(), 1, "a dump goes on");
    hold.release().await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
}

fn refusal(error: &tokio_postgres::Error) -> String {
    error.code().map(|code| code.code().to_owned()).unwrap_or_default()
}

/// A hold does not cover large objects: their table can be locked, but reading opens it as writing
/// does.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_on_large_objects_would_stop_their_readers() {
    let server = Server::start().await;
    server.with_sql("hub", SETUP).await;
    let holder = server.client("hub").await;
    holder
        .batch_execute("BEGIN; LOCK TABLE pg_catalog.pg_largeobject IN SHARE MODE")
        .await
        .unwrap();
    let client = server.client("hub").await;
    client.batch_execute("SET lock_timeout = '100ms'").await.unwrap();
    for statement in ["SELECT lo_put(4242, 0, 'y')", "SELECT lo_get(4242)"] {
        let error = client.batch_execute(statement).await.unwrap_err();
        assert_eq!(refusal(&error), "55P03", "{statement}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_takes_no_transaction_number_and_does_not_wait_for_ever() {
    let server = Server::start().await;
    let hub = server.with_sql("hub", SETUP).await;
    let since = pgsnap::read_quiet(&hub).await.unwrap();
    hold_writes(&hub, Duration::from_secs(5)).await.unwrap().release().await.unwrap();
    assert_eq!(pgsnap::read_quiet(&hub).await.unwrap().next_xid, since.next_xid);
    let writer = server.client("hub").await;
    writer.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    let error = hold_writes(&hub, Duration::from_millis(100)).await.map(|_| ()).unwrap_err();
    assert_eq!(error.sqlstate(), Some("55P03"), "{error}");
    assert!(error.is_retryable());
}
