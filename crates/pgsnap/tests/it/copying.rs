//! One database becomes another, with no file in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pgsnap::{CensusOptions, CopyOptions, Database, Error, Phase, Progress, Work, copy, plan_copy};
use testkit::{Fault, Side};

use crate::races::{BIG, CHANGEABLE, During, proxied};
use crate::server::{Server, assert_same_text, quiet, with_sorted_rows};

/// The databases of one name and what copies leave beside them.
async fn names(server: &Server, stem: &str) -> Vec<String> {
    let names = pgsnap::query_scalar(
        &server.scratch.database("postgres"),
        &format!(
            "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname ~ '^{stem}'"
        ),
    )
    .await
    .unwrap();
    let names = names.unwrap_or_default();
    names.split_whitespace().map(str::to_owned).collect()
}

async fn scalar(database: &Database, sql: &str) -> String {
    pgsnap::query_scalar(database, sql).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zoo_is_the_same_on_another_server() {
    let (here, there) = (Server::start().await, Server::start().await);
    let zoo = here.zoo("zoo").await;
    pgsnap::execute(&there.scratch.database("postgres"), testkit::ZOO_ROLES).await.unwrap();
    let target = there.scratch.database("copy");
    let copied = copy(&zoo, &target, &CopyOptions::default(), &quiet()).await.unwrap();
    assert!(copied.census.tables.len() > 50);
    assert!(copied.census.large_objects.count >= 3);
    assert_eq!(copied.restored.rows, copied.census.rows());
    let found = copied.restored.census.unwrap();
    assert_eq!(found.digest(), copied.census.digest());
    let census = pgsnap::census(&zoo, &CensusOptions::default(), &quiet()).await.unwrap();
    assert_eq!(
        census.tables, copied.census.tables,
        "the rows are counted on their way as a census counts them"
    );
    assert_same_text(
        &with_sorted_rows(&here.pg_dump("zoo", &[])),
        &with_sorted_rows(&there.pg_dump("copy", &[])),
    );
}

/// Rows that go through a partitioned root, bytes of no encoding, and text of another one.
#[tokio::test(flavor = "multi_thread")]
async fn enums_and_encodings_survive() {
    let (here, there) = (Server::start().await, Server::start().await);
    let hash = here.with_sql("hash", testkit::ENUM_HASH).await;
    // Other OIDs than at the source, so that rows belong to other partitions.
    there.with_sql("other", "CREATE TYPE a AS ENUM ('x', 'y')").await;
    for (name, encoding, value) in
        [("latin", "LATIN1", "'Ã©\\t' || chr(233)"), ("bytes", "SQL_ASCII", "E'\\\\xff\\\\xfe'")]
    {
        let admin = here.scratch.database("postgres");
        let create = format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        pgsnap::execute(&admin, &create).await.unwrap();
        let fill =
            format!("CREATE TABLE t AS SELECT {value} AS v, n FROM generate_series(1, 100) n");
        pgsnap::execute(&here.scratch.database(name), &fill).await.unwrap();
    }
    for source in [hash, here.scratch.database("latin"), here.scratch.database("bytes")] {
        let target = there.scratch.database(source.name());
        let copied = copy(&source, &target, &CopyOptions::default(), &quiet()).await.unwrap();
        assert!(copied.restored.comparison.unwrap().is_equal(), "{source}");
        assert!(copied.restored.rows > 0, "{source}");
    }
    let encoding = "SELECT pg_encoding_to_char(encoding) || (SELECT count(DISTINCT v) FROM t) FROM pg_database WHERE datname = current_database()";
    let bytes = there.scratch.database("bytes");
    assert_eq!(scalar(&bytes, encoding).await, "SQL_ASCII1");
    let latin = there.scratch.database("latin");
    assert_eq!(scalar(&latin, encoding).await, "LATIN11");
}

/// Every copy is one single point in time: the sample hub's invariants hold in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_under_write_load_is_one_point_in_time() {
    let (here, there) = (Server::start().await, Server::start().await);
    let source = here.create("hub").await;
    testkit::load_hub(&here.client("hub").await, 0.05).await.unwrap();
    let writer = here.client("hub").await;
    let writing = tokio::spawn(async move {
        loop {
            writer.batch_execute(testkit::HUB_WRITER).await.unwrap();
        }
    });
    let events = "SELECT count(*) FROM progress_events";
    let target = there.scratch.database("hub");
    for _ in 0..3 {
        let before = scalar(&source, events).await;
        copy(&source, &target, &CopyOptions::default(), &quiet()).await.unwrap();
        let after = scalar(&source, events).await;
        assert_ne!(before, after, "the writer must have written meanwhile");
        assert_eq!(scalar(&target, testkit::HUB_CHECK).await, "t");
    }
    writing.abort();
    let names = names(&there, "hub").await;
    assert_eq!(names.len(), 3, "two former copies are kept: {names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_on_the_same_server_takes_the_name_of_another_database() {
    let server = Server::start().await;
    let source = server.with_sql("hub", BIG).await;
    let target = server.with_sql("copy", "CREATE TABLE old ()").await;
    let plan = plan_copy(&source, &target, &CopyOptions::default()).await.unwrap();
    assert!(plan.target.obstacles.is_empty(), "{plan:?}");
    assert!(plan.tables == 1 && plan.bytes > 1 << 20, "{plan:?}");
    let mut options = CopyOptions::default();
    options.jobs = 1;
    let copied = copy(&source, &target, &options, &quiet()).await.unwrap();
    let kept = copied.restored.kept.unwrap();
    assert!(kept.starts_with("copy__before_"), "{kept}");
    assert_eq!(scalar(&target, "SELECT count(*) FROM big").await, "150000");
    assert_eq!(names(&server, "copy").await, ["copy".to_owned(), kept]);
}

/// Another address of the same database is the same database.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_not_copied_onto_itself() {
    let server = Server::with_tcp().await;
    let source = server.with_sql("hub", "CREATE TABLE t ()").await;
    let (_proxy, elsewhere) = proxied(&server, "hub").await;
    for target in [&source, &elsewhere] {
        let error = copy(&source, target, &CopyOptions::default(), &quiet()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the target is not ready: the source and the target are the same database"
        );
    }
    assert_eq!(names(&server, "hub").await, ["hub"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_the_way_is_said_before_anything_is_done() {
    let (here, there) = (Server::start().await, Server::start().await);
    let source = here
        .with_sql("hub", "CREATE ROLE app; CREATE TABLE t (); ALTER TABLE t OWNER TO app")
        .await;
    let target = there.create("hub").await;
    let _application = there.client("hub").await;
    let error = copy(&source, &target, &CopyOptions::default(), &quiet()).await.unwrap_err();
    let Error::Preflight { obstacles } = &error else { panic!("{error:?}") };
    assert_eq!(obstacles.len(), 2, "{obstacles:?}");
    assert_eq!(names(&there, "hub").await, ["hub"]);

    let fresh = there.scratch.database("fresh");
    let mut options = CopyOptions::default();
    options.create_roles = true;
    copy(&source, &fresh, &options, &quiet()).await.unwrap();
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 't'";
    assert_eq!(scalar(&fresh, owner).await, "app");
}

/// Hidden rows are found before the target is touched.
#[tokio::test(flavor = "multi_thread")]
async fn rows_hidden_by_row_security_fail_the_copy() {
    let server = Server::with_tcp().await;
    server.with_sql("hub", "CREATE ROLE reader LOGIN PASSWORD 'r'; CREATE TABLE t AS SELECT 1 AS id; ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT SELECT ON t TO reader").await;
    let port = server.scratch.port();
    let url = format!("postgresql://reader:r@127.0.0.1:{port}/hub");
    let reader = Database::from_url(&url).unwrap();
    let target = server.scratch.database("copy");
    let error = copy(&reader, &target, &CopyOptions::default(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::RowSecurity { .. }), "{error}");
    assert!(names(&server, "copy").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_never_released_ends_the_copy_with_a_reason() {
    let server = Server::start().await;
    let source = server.with_sql("hub", "CREATE TABLE t ()").await;
    let mut other = server.client("hub").await;
    let transaction = other.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE t").await.unwrap();
    let mut options = CopyOptions::default();
    options.lock_timeout = Duration::from_millis(300);
    let target = server.scratch.database("copy");
    let error = plan_copy(&source, &target, &options).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("55P03"), "{error}");
    let error = copy(&source, &target, &options, &quiet()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("55P03"), "{error}");
    assert!(error.is_retryable());
    transaction.rollback().await.unwrap();
    copy(&source, &target, &options, &quiet()).await.unwrap();
    assert_eq!(names(&server, "copy").await, ["copy"]);
}

/// Definitions that no lock protects must be those of the snapshot, as in a dump. Otherwise the
/// copy is of two points in time, or its target refuses the rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_definition_changed_meanwhile_fails_the_copy() {
    for (phase, statement) in [
        (Phase::Copy, "ALTER TYPE mood RENAME VALUE 'calm' TO 'serene'"),
        (Phase::Copy, "ALTER TYPE pair ADD ATTRIBUTE c int"),
        (Phase::Schema, "ALTER FUNCTION named(int) RENAME TO renamed"),
        (Phase::Schema, "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql RETURN 2"),
        (Phase::Schema, "DROP VIEW w"),
    ] {
        let server = Server::start().await;
        let source = server.with_sql("hub", CHANGEABLE).await;
        let progress: Arc<dyn Progress> =
            Arc::new(During::of(&server, "hub", phase, statement).await);
        let target = server.scratch.database("copy");
        let error = copy(&source, &target, &CopyOptions::default(), &progress).await.unwrap_err();
        assert!(matches!(error, Error::ChangedMeanwhile { .. }), "{statement}: {error}");
        assert!(error.is_retryable(), "{statement}");
        assert!(names(&server, "copy").await.is_empty(), "{statement}");
    }
}

/// A connection of the source, of the target: whichever breaks, the old database stays and nothing
/// else.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_mid_copy_leaves_the_old_database() {
    let (here, there) = (Server::with_tcp().await, Server::with_tcp().await);
    let source = here.with_sql("hub", BIG).await;
    let target = there.with_sql("hub", "CREATE TABLE old AS SELECT 42 AS id").await;
    let (source_proxy, far_source) = proxied(&here, "hub").await;
    let (target_proxy, far_target) = proxied(&there, "hub").await;
    for (proxy, side, source, target) in [
        (&source_proxy, Side::Server, &far_source, &target),
        (&target_proxy, Side::Client, &source, &far_target),
    ] {
        // The first to carry a megabyte is a worker.
        proxy.inject(Fault::cut(side, 1 << 20));
        let error = copy(source, target, &CopyOptions::default(), &quiet()).await.unwrap_err();
        assert_eq!(proxy.fired(), 1);
        assert!(matches!(error, Error::ConnectionLost { .. }), "{error:?}");
        assert!(error.is_retryable());
        assert_eq!(names(&there, "hub").await, ["hub"]);
    }
    assert_eq!(scalar(&target, "SELECT id FROM old").await, "42");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_mid_copy_fails_the_copy() {
    for victim in ["source", "target"] {
        let (here, there) = (Server::start().await, Server::start().await);
        let source = here.with_sql("hub", BIG).await;
        let target = there.create("hub").await;
        let reached = Arc::new(Reached::default());
        let progress: Arc<dyn Progress> = reached.clone();
        let (from, to) = (source.clone(), target.clone());
        let copying =
            tokio::spawn(async move { copy(&from, &to, &CopyOptions::default(), &progress).await });
        while reached.bytes() < 1 << 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let server = if victim == "source" { &here } else { &there };
        server.scratch.kill().unwrap();
        let error = copying.await.unwrap().unwrap_err();
        // A session that is made just then is told that the server goes (57P03).
        let is_lost = matches!(
            error,
            Error::ConnectionLost { .. } | Error::Connect { .. } | Error::Server { .. }
        );
        assert!(is_lost && error.is_retryable(), "{victim}: {error:?}");
        if victim == "source" {
            assert_eq!(names(&there, "hub").await, ["hub"]);
        } else {
            // No lock of ours is left on the source.
            let rewrite = "SET lock_timeout = '5s'; ALTER TABLE big ALTER id TYPE bigint";
            pgsnap::execute(&source, rewrite).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_copy_leaves_only_what_the_next_one_drops() {
    let (here, there) = (Server::start().await, Server::start().await);
    let source = here.with_sql("hub", BIG).await;
    let target = there.create("hub").await;
    let reached = Arc::new(Reached::default());
    let progress: Arc<dyn Progress> = reached.clone();
    let (from, to) = (source.clone(), target.clone());
    let copying =
        tokio::spawn(async move { copy(&from, &to, &CopyOptions::default(), &progress).await });
    while reached.bytes() < 1 << 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    copying.abort();
    assert!(copying.await.is_err());
    let rewrite = "SET lock_timeout = '5s'; ALTER TABLE big ALTER id TYPE bigint";
    pgsnap::execute(&source, rewrite).await.unwrap();
    let left = names(&there, "hub").await;
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[1].starts_with("hub__restoring_"), "{left:?}");

    let copied = copy(&source, &target, &CopyOptions::default(), &quiet()).await.unwrap();
    assert_eq!(copied.restored.cleaned, left[1..]);
    assert_eq!(names(&there, "hub").await.len(), 2);
}

/// Counts the bytes that were read from the source.
#[derive(Default)]
struct Reached(AtomicU64);

impl Reached {
    fn bytes(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Progress for Reached {
    fn advance(&self, done: Work) {
        self.0.fetch_add(done.bytes, Ordering::SeqCst);
    }
}

/// Rows that the target does not take are not read, which bounds the memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_stalls_stops_the_reading() {
    const TABLE: u64 = 100 << 20;
    const ALLOWED: u64 = 24 << 20;
    let (here, there) = (Server::start().await, Server::with_tcp().await);
    let sql = "CREATE TABLE big AS SELECT n, repeat(md5(n::text), 32) AS v FROM generate_series(1, 105000) n";
    let source = here.with_sql("hub", sql).await;
    let (proxy, target) = proxied(&there, "copy").await;
    // Buffers of the kernel and of the proxy lie on the way, and count.
    proxy.inject(Fault::freeze(Side::Client, 1 << 20));
    let reached = Arc::new(Reached::default());
    let progress: Arc<dyn Progress> = reached.clone();
    let mut options = CopyOptions::default();
    options.jobs = 1;
    let from = source.clone();
    let copying = tokio::spawn(async move { copy(&from, &target, &options, &progress).await });
    let mut before = u64::MAX;
    while proxy.fired() == 0 || reached.bytes() != before {
        assert!(!copying.is_finished());
        before = reached.bytes();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(before < ALLOWED, "{before} of {TABLE} bytes were read");
    copying.abort();
}

/// The server says so when a COPY ends; a long table must not be read to its end for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_target_is_the_error_that_is_told() {
    let Some(disk) = testkit::Tmpfs::mount(4 << 20) else {
        testkit::skip("a small file system can only be mounted by root");
        return;
    };
    let (here, there) = (Server::start().await, Server::start().await);
    let large = here.file("large");
    for (server, directory) in [(&here, large.as_path()), (&there, disk.path())] {
        // The server makes the directory, so that it is its own.
        let path = std::path::Path::new(&directory).join("space");
        let parent = path.parent().unwrap();
        let _ = fs_err::create_dir(parent);
        let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs_err::set_permissions(
            server.files.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        fs_err::set_permissions(parent, anybody).unwrap();
        let admin = server.client("postgres").await;
        let make =
            format!("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; mkdir {}'", path.display());
        admin.batch_execute(&make).await.unwrap();
        let create = format!("CREATE TABLESPACE small LOCATION '{}'", path.display());
        admin.batch_execute(&create).await.unwrap();
    }
    let sql = "CREATE TABLE big TABLESPACE small AS SELECT n, repeat(md5(n::text), 20) AS v FROM generate_series(1, 30000) n";
    let source = here.with_sql("hub", sql).await;
    let target = there.create("hub").await;
    let error = copy(&source, &target, &CopyOptions::default(), &quiet()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("53100"), "{error}");
    assert!(error.hint().unwrap().contains("disk"));
    assert_eq!(names(&there, "hub").await, ["hub"]);
}
