//! Concurrent events: writers, migrations, and the end of servers and connections.

use std::time::Duration;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pgsnap::{Database, DumpOptions, Error, Phase, Progress, RestoreOptions, Work};
use testkit::{Fault, FaultProxy, Side, Upstream};

use crate::server::{Server, Slow, quiet, small_blocks};

fn short_lock_timeout() -> DumpOptions {
    let mut options = small_blocks();
    options.lock_timeout = Duration::from_millis(300);
    options
}

/// A TRUNCATE or rewriting ALTER that commits while the dump waits for its locks must not leave
/// the table empty in the dump, as it does with `pg_dump`.
#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_and_an_alter_that_race_the_dump_lose_no_row() {
    let server = Server::start().await;
    let source = server.with_sql("hub", "CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 1000) n; CREATE TABLE u AS SELECT 1 AS id").await;
    let mut migration = server.client("hub").await;
    let transaction = migration.transaction().await.unwrap();
    transaction
        .batch_execute(
            "TRUNCATE t; INSERT INTO t VALUES (1), (2); ALTER TABLE u ALTER id TYPE bigint",
        )
        .await
        .unwrap();
    let options = small_blocks();
    let file = fs_err::File::create(server.file("hub.sql.gz")).unwrap();
    let (progress, source) = (quiet(), source.clone());
    let dump = tokio::spawn(async move { pgsnap::dump(&source, file, &options, &progress).await });
    // Committed before the dump waits, there would be no race.
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'hub' AND wait_event_type = 'Lock'";
    let admin = server.scratch.database("postgres");
    let is_waiting = async || pgsnap::query_scalar(&admin, waiting).await.unwrap();
    while is_waiting().await.as_deref() == Some("0") {
        assert!(!dump.is_finished(), "the dump did not wait for the lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    transaction.commit().await.unwrap();
    let (_, manifest) = dump.await.unwrap().unwrap();
    let rows: Vec<u64> = manifest.census.tables.iter().map(|table| table.rows).collect();
    assert_eq!(rows, [2, 1]);
    assert_eq!(manifest.census.tables[1].columns[0].r#type, "bigint");
}

/// Somebody who always waits for an exclusive lock on a table, or holds one, keeps no dump from its
/// end.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_refilled_all_the_time_starves_no_dump() {
    const ROWS: u64 = 2000;
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            "CREATE TABLE hot (id int PRIMARY KEY, v text DEFAULT 'x'); CREATE VIEW seen AS SELECT id FROM hot;
             CREATE TABLE quiet AS SELECT 1 AS id; INSERT INTO hot SELECT generate_series(1, 2000)",
        )
        .await;
    for pause in [20, 0] {
        let writer = server.client("hub").await;
        let refills = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&refills);
        let writing = tokio::spawn(async move {
            loop {
                let refill =
                    "BEGIN; TRUNCATE hot; INSERT INTO hot SELECT generate_series(1, 2000); COMMIT";
                writer.batch_execute(refill).await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        });
        for round in 0..4 {
            let before = refills.load(Ordering::SeqCst);
            let mut options = small_blocks();
            options.jobs = 3;
            let file = fs_err::File::create(server.file("hub.sql.gz")).unwrap();
            let dumped = pgsnap::dump(&source, file, &options, &quiet()).await;
            let (_, manifest) = dumped.unwrap_or_else(|error| panic!("{pause} {round}: {error}"));
            let rows: Vec<u64> = manifest.census.tables.iter().map(|table| table.rows).collect();
            assert_eq!(rows, [ROWS, 1], "{pause} {round}");
            assert!(refills.load(Ordering::SeqCst) > before, "nobody wrote");
        }
        let options = pgsnap::CensusOptions::default();
        let census = pgsnap::census(&source, &options, &quiet()).await.unwrap();
        assert_eq!(census.rows(), ROWS + 1, "{pause}");
        writing.abort();
        let archive = pgsnap::Archive::open(server.file("hub.sql.gz")).unwrap();
        let restored = server.restore(&archive, &format!("copy{pause}")).await;
        assert_eq!(restored.rows, ROWS + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_come_and_go_starve_no_dump() {
    let server = Server::start().await;
    let source =
        server.with_sql("hub", "CREATE TABLE steady AS SELECT generate_series(1, 100) AS id").await;
    let migration = server.client("hub").await;
    let migrating = tokio::spawn(async move {
        for turn in 0u64.. {
            let statements = format!(
                "CREATE TABLE made_{turn} AS SELECT generate_series(1, 10) AS id; DROP TABLE IF EXISTS made_{}",
                turn.saturating_sub(3)
            );
            migration.batch_execute(&statements).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    for round in 0..5 {
        let dumped = pgsnap::dump(&source, Vec::new(), &small_blocks(), &quiet()).await;
        let (_, manifest) = dumped.unwrap_or_else(|error| panic!("{round}: {error}"));
        let (steady, made): (Vec<_>, Vec<_>) =
            manifest.census.tables.iter().partition(|table| table.name.name == "steady");
        assert_eq!(steady[0].rows, 100);
        assert!(made.iter().all(|table| table.rows == 10), "{round}");
    }
    migrating.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_never_released_ends_the_dump_with_a_reason() {
    let server = Server::start().await;
    let source = server.with_sql("hub", "CREATE TABLE t ()").await;
    let mut other = server.client("hub").await;
    let transaction = other.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE t").await.unwrap();
    let error =
        pgsnap::dump(&source, Vec::new(), &short_lock_timeout(), &quiet()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("55P03"), "{error}");
    assert!(error.is_retryable());
    transaction.rollback().await.unwrap();
    pgsnap::dump(&source, Vec::new(), &short_lock_timeout(), &quiet()).await.unwrap();
}

/// Every copy is one single point in time: the sample hub's invariants hold in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_under_write_load_is_one_point_in_time() {
    let server = Server::start().await;
    let source = server.create("hub").await;
    testkit::load_hub(&server.client("hub").await, 0.05).await.unwrap();
    let writer = server.client("hub").await;
    let writing = tokio::spawn(async move {
        loop {
            writer.batch_execute(testkit::HUB_WRITER).await.unwrap();
        }
    });
    let events = "SELECT count(*) FROM progress_events";
    for round in 0..3 {
        let before = pgsnap::query_scalar(&source, events).await.unwrap();
        let (archive, _) = server.dump(&source).await;
        let after = pgsnap::query_scalar(&source, events).await.unwrap();
        assert_ne!(before, after, "the writer must have written during the dump");
        let copy = server.scratch.database(&format!("copy{round}"));
        server.restore(&archive, copy.name()).await;
        let holds = pgsnap::query_scalar(&copy, testkit::HUB_CHECK).await.unwrap();
        assert_eq!(holds.as_deref(), Some("t"));
    }
    writing.abort();
}

/// Somebody else's statement, run the first time that a phase begins.
pub(crate) struct During {
    phase: Phase,
    client: tokio_postgres::Client,
    statement: &'static str,
    is_done: AtomicBool,
}

impl During {
    pub(crate) async fn of(
        server: &Server,
        database: &str,
        phase: Phase,
        statement: &'static str,
    ) -> Self {
        Self {
            phase,
            client: server.client(database).await,
            statement,
            is_done: AtomicBool::new(false),
        }
    }
}

impl Progress for During {
    fn begin(&self, phase: Phase, _: Work) {
        if phase == self.phase && !self.is_done.swap(true, Ordering::SeqCst) {
            tokio::task::block_in_place(|| {
                let run = self.client.batch_execute(self.statement);
                tokio::runtime::Handle::current().block_on(run).unwrap();
            });
        }
    }
}

pub(crate) const CHANGEABLE: &str = "
    CREATE TYPE mood AS ENUM ('calm', 'cross');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN small AS int CONSTRAINT is_small CHECK (VALUE < 10);
    CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1;
    CREATE FUNCTION named(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE VIEW v AS SELECT public.named(1) AS id;
    CREATE VIEW w AS SELECT 1 AS id;
    CREATE SEQUENCE s;
    CREATE TABLE t AS SELECT 'calm'::mood AS m, ROW(1, 'x')::pair AS p, 1::small AS n";

async fn dump_during(
    phase: Phase,
    statement: &'static str,
) -> (Server, pgsnap::Result<pgsnap::Manifest>) {
    let server = Server::start().await;
    let source = server.with_sql("hub", CHANGEABLE).await;
    let progress: Arc<dyn Progress> = Arc::new(During::of(&server, "hub", phase, statement).await);
    let file = fs_err::File::create(server.file("hub.sql.gz")).unwrap();
    let dumped = pgsnap::dump(&source, file, &small_blocks(), &progress).await;
    (server, dumped.map(|(_, manifest)| manifest))
}

/// Types cannot be locked, and their text is that of the newest catalogue: with `pg_dump` the rows
/// get labels that the DDL does not have.
#[tokio::test(flavor = "multi_thread")]
async fn a_type_changed_while_rows_are_read_fails_the_dump() {
    for statement in
        ["ALTER TYPE mood RENAME VALUE 'calm' TO 'serene'", "ALTER TYPE pair ADD ATTRIBUTE c int"]
    {
        let (_, dumped) = dump_during(Phase::Dump, statement).await;
        let error = dumped.unwrap_err();
        assert!(matches!(error, Error::ChangedMeanwhile { .. }), "{error}");
        assert!(error.is_retryable() && error.hint().is_some());
    }
}

/// Functions and types cannot be locked either; the server prints the newest names and bodies of
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn a_definition_changed_while_pg_dump_reads_it_fails_the_dump() {
    for statement in [
        "ALTER TYPE pair RENAME TO couple",
        "ALTER FUNCTION named(int) RENAME TO renamed",
        "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql RETURN 2",
        "DROP VIEW w",
        "DROP SEQUENCE s",
    ] {
        let (_, dumped) = dump_during(Phase::Dump, statement).await;
        let error = dumped.unwrap_err();
        assert!(matches!(error, Error::ChangedMeanwhile { .. }), "{statement}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_replaced_before_pg_dump_reads_it_is_the_one_of_the_snapshot() {
    let statement =
        "CREATE TABLE late AS SELECT 2 AS id; CREATE OR REPLACE VIEW w AS SELECT id FROM late";
    let (server, dumped) = dump_during(Phase::Dump, statement).await;
    assert_eq!(dumped.unwrap().census.tables.len(), 1);
    let archive = pgsnap::Archive::open(server.file("hub.sql.gz")).unwrap();
    server.restore(&archive, "copy").await;
    let copy = server.scratch.database("copy");
    let id = pgsnap::query_scalar(&copy, "SELECT id FROM w").await.unwrap();
    assert_eq!(id.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_hidden_by_row_security_fail_the_dump() {
    let server = Server::with_tcp().await;
    server.with_sql("hub", "CREATE ROLE reader LOGIN PASSWORD 'r'; CREATE TABLE t AS SELECT 1 AS id; ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT SELECT ON t TO reader; CREATE TABLE secret ()").await;
    let reader = Database::from_url(&format!(
        "postgresql://reader:r@127.0.0.1:{}/hub",
        server.scratch.port()
    ))
    .unwrap();
    let error = pgsnap::dump(&reader, Vec::new(), &small_blocks(), &quiet()).await.unwrap_err();
    assert_eq!(error.to_string(), "this role may not read \"public\".\"secret\"");
    pgsnap::execute(&server.scratch.database("hub"), "GRANT SELECT ON secret TO reader")
        .await
        .unwrap();
    let error = pgsnap::dump(&reader, Vec::new(), &small_blocks(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::RowSecurity { .. }), "{error}");
    pgsnap::execute(&server.scratch.database("hub"), "ALTER ROLE reader BYPASSRLS").await.unwrap();
    let (_, manifest) = pgsnap::dump(&reader, Vec::new(), &small_blocks(), &quiet()).await.unwrap();
    assert_eq!(manifest.census.rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_mid_dump_fails_the_dump() {
    let server = Server::start().await;
    // Compressed it is more than what may wait for the slow writer, so the reading is stopped in the middle.
    let source = server.with_sql("hub", INCOMPRESSIBLE).await;
    let path = server.file("hub.sql.gz");
    let file = Slow(fs_err::File::create(&path).unwrap());
    let dump =
        tokio::spawn(async move { pgsnap::dump(&source, file, &small_blocks(), &quiet()).await });
    while fs_err::metadata(&path).unwrap().len() < 100_000 {
        assert!(!dump.is_finished(), "the dump was too fast");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.scratch.kill().unwrap();
    let error = dump.await.unwrap().unwrap_err();
    // A session that is made just then is told that the server goes (57P03).
    let is_lost = matches!(
        error,
        Error::ConnectionLost { .. } | Error::Connect { .. } | Error::Server { .. }
    );
    assert!(is_lost && error.is_retryable(), "{error:?}");
    let error = pgsnap::Archive::open(server.file("hub.sql.gz"))
        .err()
        .expect("a short archive is no archive");
    assert!(matches!(error, Error::NotAnArchive { .. }), "{error}");
}

pub(crate) const BIG: &str = "CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 150000) n";

/// 64 MB that gzip only halves.
pub(crate) const INCOMPRESSIBLE: &str = "CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT n, (SELECT string_agg(md5(n || '-' || i), '') FROM generate_series(1, 20) i) FROM generate_series(1, 100000) n";

/// The database through a proxy that can break connections.
pub(crate) async fn proxied(server: &Server, name: &str) -> (FaultProxy, Database) {
    let upstream = Upstream::Tcp(([127, 0, 0, 1], server.scratch.port()).into());
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let database =
        server.scratch.tcp_database(name).unwrap().through("127.0.0.1", proxy.address().port());
    (proxy, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_workers_connection_cut_in_mid_dump_fails_the_dump() {
    let server = Server::with_tcp().await;
    server.with_sql("hub", BIG).await;
    let (proxy, source) = proxied(&server, "hub").await;
    // The first to carry a megabyte is a worker.
    proxy.inject(Fault::cut(Side::Server, 1 << 20));
    let error = pgsnap::dump(&source, Vec::new(), &small_blocks(), &quiet()).await.unwrap_err();
    // A session that is made just then is told that the server goes (57P03).
    let is_lost = matches!(
        error,
        Error::ConnectionLost { .. } | Error::Connect { .. } | Error::Server { .. }
    );
    assert!(is_lost && error.is_retryable(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_workers_connection_cut_in_mid_restore_leaves_no_database() {
    let server = Server::with_tcp().await;
    let source = server.with_sql("hub", BIG).await;
    let (archive, _) = server.dump(&source).await;
    let (proxy, target) = proxied(&server, "copy").await;
    proxy.inject(Fault::cut(Side::Client, 1 << 20));
    let error =
        pgsnap::restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLost { .. }), "{error:?}");
    let names = pgsnap::query_scalar(
        &server.scratch.database("postgres"),
        "SELECT string_agg(datname, ' ' ORDER BY 1) FROM pg_database WHERE datname ~ '^(hub|copy)'",
    )
    .await
    .unwrap();
    assert_eq!(names.as_deref(), Some("hub"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_restores_of_one_name_do_not_meet() {
    let server = Server::start().await;
    let source = server.with_sql("hub", BIG).await;
    let (archive, _) = server.dump(&source).await;
    let target = server.scratch.database("copy");
    let (options, progress) = (RestoreOptions::default(), quiet());
    let (one, two) = tokio::join!(
        pgsnap::restore(&archive, &target, &options, &progress),
        pgsnap::restore(&archive, &target, &options, &progress)
    );
    let errors: Vec<Error> = [one.err(), two.err()].into_iter().flatten().collect();
    assert_eq!(errors.len(), 1);
    assert!(matches!(errors[0], Error::RestoreRunning { .. }), "{:?}", errors[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_problems_are_told_apart() {
    let server = Server::with_tcp().await;
    let port = server.scratch.port();
    let refused = Database::from_url("postgresql://postgres@127.0.0.1:1/hub").unwrap();
    let error = pgsnap::dump(&refused, Vec::new(), &small_blocks(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    let wrong =
        Database::from_url(&format!("postgresql://postgres:wrong@127.0.0.1:{port}/postgres"))
            .unwrap();
    let error = pgsnap::dump(&wrong, Vec::new(), &small_blocks(), &quiet()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("28P01"));
    assert!(error.hint().unwrap().contains("passfile"));
    let missing = server.scratch.database("nothing");
    let error = pgsnap::dump(&missing, Vec::new(), &small_blocks(), &quiet()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("3D000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_the_error_that_is_told() {
    let Some(disk) = testkit::Tmpfs::mount(1 << 20) else {
        testkit::skip("a small file system can only be mounted by root");
        return;
    };
    let server = Server::start().await;
    let source = server.with_sql("hub", BIG).await;
    let file = fs_err::File::create(disk.path().join("hub.sql.gz")).unwrap();
    let error = pgsnap::dump(&source, file, &small_blocks(), &quiet()).await.unwrap_err();
    let Error::Write { source } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
}

/// Whatever is locked, the dump must not wait for it for ever while it holds locks itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_sequence_ends_the_dump_with_a_reason() {
    let server = Server::start().await;
    let source = server.with_sql("hub", "CREATE SEQUENCE s").await;
    let mut other = server.client("hub").await;
    let transaction = other.transaction().await.unwrap();
    transaction.batch_execute("ALTER SEQUENCE s RENAME TO s2").await.unwrap();
    let error =
        pgsnap::dump(&source, Vec::new(), &short_lock_timeout(), &quiet()).await.unwrap_err();
    assert!(error.to_string().contains("lock timeout"), "{error}");
}

/// Text goes as UTF-8 whatever the database's own encoding is, DDL and rows alike.
#[tokio::test(flavor = "multi_thread")]
async fn a_latin1_database_survives_with_its_names() {
    let server = Server::start().await;
    let admin = server.scratch.database("postgres");
    pgsnap::execute(
        &admin,
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    .await
    .unwrap();
    let latin = server.scratch.database("latin");
    pgsnap::execute(&latin, "CREATE TYPE e AS ENUM ('café'); CREATE TABLE \"été\" (v e DEFAULT 'café', t text); INSERT INTO \"été\" VALUES (DEFAULT, 'Ã©')").await.unwrap();
    let (archive, _) = server.dump(&latin).await;
    let copy = server.scratch.database("copy");
    server.restore(&archive, copy.name()).await;
    let found = pgsnap::query_scalar(&copy, "SELECT v || t || pg_encoding_to_char(encoding) FROM \"été\", pg_database WHERE datname = 'copy'").await.unwrap();
    assert_eq!(found.as_deref(), Some("caféÃ©LATIN1"));
}
