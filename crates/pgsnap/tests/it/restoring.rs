//! The target of a restore, and the databases it never touches.

use std::sync::Arc;

use pgsnap::{Error, RestoreOptions, TableName, plan_restore, restore};

use crate::server::{Server, quiet};

const TWO_TABLES: &str = "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY REFERENCES a, v text);
    CREATE INDEX b_v ON b (v); INSERT INTO a SELECT n, 'a' || n FROM generate_series(1, 1000) n; INSERT INTO b SELECT n, 'b' || n FROM generate_series(1, 500) n";

async fn databases(server: &Server) -> Vec<String> {
    let rows = server
        .client("postgres")
        .await
        .query(
            "SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template)' ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_that_was_there_is_kept() {
    let server = Server::start().await;
    let source = server.with_sql("hub", TWO_TABLES).await;
    let (archive, _) = server.dump(&source).await;
    pgsnap::execute(&source, "DELETE FROM b; DELETE FROM a WHERE id > 500").await.unwrap();
    let restored = restore(&archive, &source, &RestoreOptions::default(), &quiet()).await.unwrap();
    let kept = restored.kept.unwrap();
    assert!(kept.starts_with("hub__before_"), "{kept}");
    let count = async |name: &str| {
        pgsnap::query_scalar(&server.scratch.database(name), "SELECT count(*) FROM a")
            .await
            .unwrap()
            .unwrap()
    };
    assert_eq!(count("hub").await, "1000");
    assert_eq!(count(&kept).await, "500");
    assert_eq!(databases(&server).await, ["hub".to_owned(), kept]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_collected_unless_nobody_wants_them() {
    let server = Server::start().await;
    let source = server.with_sql("hub", TWO_TABLES).await;
    let (archive, _) = server.dump(&source).await;
    for statistics in [true, false] {
        let target = server.scratch.database("copy");
        let mut options = RestoreOptions::default();
        options.statistics = statistics;
        restore(&archive, &target, &options, &quiet()).await.unwrap();
        let found = pgsnap::query_scalar(
            &target,
            "SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'a'",
        );
        let expected = if statistics { "t" } else { "f" };
        assert_eq!(found.await.unwrap().as_deref(), Some(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_use_is_refused_and_untouched() {
    let server = Server::start().await;
    let source = server.with_sql("hub", TWO_TABLES).await;
    let (archive, _) = server.dump(&source).await;
    let _application = server.client("hub").await;
    let plan = plan_restore(&archive, &source, &RestoreOptions::default()).await.unwrap();
    assert_eq!(plan.obstacles.len(), 1, "{plan:?}");
    let error = restore(&archive, &source, &RestoreOptions::default(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::Preflight { .. }), "{error}");
    assert!(error.hint().unwrap().contains("under another name"));
    assert_eq!(databases(&server).await, ["hub"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_missing_is_said_at_once() {
    let server = Server::start().await;
    let source = server.with_sql("hub", "CREATE ROLE one; CREATE ROLE \"Two\"; CREATE TABLE t (); ALTER TABLE t OWNER TO one; GRANT SELECT ON t TO \"Two\"").await;
    let (archive, manifest) = server.dump(&source).await;
    assert_eq!(manifest.source.roles, ["Two", "one", "postgres"]);
    let other = Server::start().await;
    let target = other.scratch.database("hub");
    let error = restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap_err();
    assert!(error.to_string().contains("Two, one"), "{error}");
    assert!(error.hint().unwrap().contains("CREATE ROLE \"Two\";"), "{:?}", error.hint());
    assert!(databases(&other).await.is_empty());
    let mut options = RestoreOptions::default();
    options.create_roles = true;
    restore(&archive, &target, &options, &quiet()).await.unwrap();
    assert_eq!(databases(&other).await, ["hub"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_table_comes_out_of_the_middle() {
    let server = Server::start().await;
    let source = server.with_sql("hub", TWO_TABLES).await;
    let (archive, _) = server.dump(&source).await;
    let mut options = RestoreOptions::default();
    options.tables = Some(vec![TableName::new("public", "b")]);
    let target = server.scratch.database("only_b");
    let restored = restore(&archive, &target, &options, &quiet()).await.unwrap();
    assert_eq!((restored.tables, restored.rows), (1, 500));
    let counts = pgsnap::query_scalar(
        &target,
        "SELECT (SELECT count(*) FROM a) || ' ' || (SELECT count(*) FROM b)",
    )
    .await
    .unwrap();
    assert_eq!(counts.as_deref(), Some("0 500"));
    let indexes = pgsnap::query_scalar(&target, "SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'public'").await.unwrap();
    assert_eq!(indexes.as_deref(), Some("b_pkey b_v"));

    options.tables = Some(vec![TableName::new("public", "nothing")]);
    let error = restore(&archive, &target, &options, &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::NoSuchTable { .. }), "{error}");
    options.tables = Some(vec![TableName::new("public", "a")]);
    let error = restore(&archive, &target, &options, &quiet()).await.unwrap_err();
    assert!(error.to_string().contains("only_b exists"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn left_overs_are_dropped_by_the_next_run_and_nothing_else_is() {
    let server = Server::start().await;
    let source = server.with_sql("hub", TWO_TABLES).await;
    let (archive, _) = server.dump(&source).await;
    for name in [
        "copy__restoring_20260101000000abcd",
        "copy__restoring_mine",
        "copy2__restoring_20260101000000abcd",
    ] {
        server.create(name).await;
    }
    let target = server.scratch.database("copy");
    let plan = plan_restore(&archive, &target, &RestoreOptions::default()).await.unwrap();
    assert_eq!(plan.leftovers, ["copy__restoring_20260101000000abcd"]);
    let restored = server.restore(&archive, target.name()).await;
    assert_eq!(restored.cleaned, plan.leftovers);
    assert_eq!(
        databases(&server).await,
        ["copy", "copy2__restoring_20260101000000abcd", "copy__restoring_mine", "hub"]
    );
}

/// psql accepts a COPY that is cut in the middle; only the transaction in the file protects.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_archive_commits_nothing_through_psql() {
    let server = Server::start().await;
    let source = server.with_sql("hub", TWO_TABLES).await;
    let (_, manifest) = server.dump(&source).await;
    let bytes = fs_err::read(server.file("hub.sql.gz")).unwrap();
    const TABLES: &str = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    const KEYS: &str = "SELECT count(*) FROM pg_constraint WHERE contype = 'f'";
    let (mut kept_nothing, mut said) = (0, String::new());
    for tenth in 1..10 {
        let cut = bytes.len() * tenth / 10;
        let path = server.file("cut.sql.gz");
        fs_err::write(&path, &bytes[..cut]).unwrap();
        let name = format!("cut_{tenth}");
        let copy = server.create(&name).await;
        let output = server.psql_file(&path, &name, &[]);
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        let tables = pgsnap::query_scalar(&copy, TABLES).await.unwrap();
        let keys = pgsnap::query_scalar(&copy, KEYS).await.unwrap();
        let is_empty = tables.as_deref() == Some("0");
        assert!(is_empty || keys.as_deref() == Some("1"), "cut at {cut} left {tables:?} tables");
        kept_nothing += usize::from(is_empty);
    }
    assert!(kept_nothing > 0);
    // Else no cut would ever have reached the server.
    assert!(said.contains("ERROR:"), "{said}");
    let whole = server.create("whole").await;
    server.psql_restores(&server.file("hub.sql.gz"), "whole");
    server.require_census(&whole, &manifest).await;
    let keys = pgsnap::query_scalar(&whole, KEYS).await.unwrap();
    assert_eq!(keys.as_deref(), Some("1"));
}

/// Expressions may print differently once they were parsed again, extensions have the versions of
/// the target, and every new database has plpgsql: none of it is a loss.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_restore_can_keep_is_a_note_and_no_refusal() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            "CREATE TABLE t (status varchar(10) CHECK (status IN ('a', 'b')), at timestamptz) ;
             CREATE TABLE p (at timestamptz) PARTITION BY RANGE (at);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00');
             CREATE TABLE parent (a int, b int); CREATE TABLE child (c int) INHERITS (parent); ALTER TABLE parent ADD COLUMN d int;
             INSERT INTO child VALUES (1, 2, 3, 4);
             CREATE EXTENSION hstore VERSION '1.4'; DROP EXTENSION plpgsql;
             ALTER DATABASE hub SET timezone = 'Asia/Tokyo'; ALTER DATABASE hub SET quote_all_identifiers = on",
        )
        .await;
    let (archive, _) = server.dump(&source).await;
    let target = server.scratch.database("copy");
    let restored = server.restore(&archive, target.name()).await;
    let notes: Vec<String> =
        restored.comparison.unwrap().notes.iter().map(ToString::to_string).collect();
    assert!(notes.iter().any(|note| note.contains("prints in another way")), "{notes:?}");
    assert!(notes.contains(&"extension hstore was 1.4 and is 1.8".to_owned()), "{notes:?}");
}

/// One query is one transaction, and its locks must fit into the server's lock table.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_large_objects_fit_a_small_lock_table() {
    let mut options = pgsnap::ScratchOptions::default();
    options.settings.push("max_locks_per_transaction=64".into());
    let server = Server::start_with(options).await;
    let source = server.create("hub").await;
    for _ in 0..10 {
        pgsnap::execute(
            &source,
            "SELECT lo_from_bytea(0, '\\x0102') FROM generate_series(1, 2000)",
        )
        .await
        .unwrap();
    }
    let (archive, manifest) = server.dump(&source).await;
    assert_eq!(manifest.census.large_objects.count, 20_000);
    server.restore(&archive, "copy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn privileges_and_limits_of_the_database_follow() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            "CREATE ROLE reader; CREATE ROLE app; ALTER DATABASE hub OWNER TO app; REVOKE ALL ON DATABASE hub FROM PUBLIC;
             GRANT CONNECT ON DATABASE hub TO reader WITH GRANT OPTION; ALTER DATABASE hub CONNECTION LIMIT 7;
             ALTER ROLE reader IN DATABASE hub SET work_mem = '9MB'",
        )
        .await;
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "copy").await;
    let query = "SELECT (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(datacl) x) || ' ' || datconnlimit || ' ' ||
        (SELECT string_agg(setrole::regrole || array_to_string(setconfig, ','), ' ') FROM pg_db_role_setting s WHERE s.setdatabase = d.oid)
        FROM pg_database d WHERE datname = 'DB'";
    let of = async |name: &str| {
        pgsnap::query_scalar(&source, &query.replace("DB", name)).await.unwrap().unwrap()
    };
    assert_eq!(of("copy").await, of("hub").await);
    assert!(of("copy").await.contains("reader=c*/app"), "{}", of("copy").await);

    // Without privileges of its own a database lets everybody in; so must the copy.
    let open = server.with_sql("open", "CREATE TABLE t ()").await;
    let (archive, _) = server.dump(&open).await;
    server.restore(&archive, "open2").await;
    let allowed = pgsnap::query_scalar(
        &open,
        "SELECT has_database_privilege('reader', 'open2', 'CONNECT, TEMPORARY')",
    )
    .await
    .unwrap();
    assert_eq!(allowed.as_deref(), Some("t"));
}

/// An ordinary role does not see what other users' sessions do, but it must see that they are
/// there.
#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_role_sees_that_the_database_is_in_use() {
    let server = Server::with_tcp().await;
    let source = server
        .with_sql(
            "hub",
            "CREATE ROLE mover LOGIN CREATEDB PASSWORD 'm'; ALTER DATABASE hub OWNER TO mover",
        )
        .await;
    let (archive, _) = server.dump(&source).await;
    let _application = server.client("hub").await;
    let url = format!("postgresql://mover:m@127.0.0.1:{}/hub", server.scratch.port());
    let target = pgsnap::Database::from_url(&url).unwrap();
    let plan = plan_restore(&archive, &target, &RestoreOptions::default()).await.unwrap();
    assert!(
        plan.obstacles.iter().any(|obstacle| obstacle.problem.contains("1 session")),
        "{plan:?}"
    );
}

/// Connects to a database at the moment of the swap, as an application that was started too early.
struct Intruder(String, std::sync::Mutex<Option<std::process::Child>>);

impl pgsnap::Progress for Intruder {
    fn begin(&self, phase: pgsnap::Phase, _expected: pgsnap::Work) {
        if phase == pgsnap::Phase::Swap {
            let child = std::process::Command::new("psql")
                .args(["-X", &self.0, "-c", "SELECT pg_sleep(20)"])
                .spawn()
                .unwrap();
            *self.1.lock().unwrap() = Some(child);
            std::thread::sleep(std::time::Duration::from_millis(700));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_restore_that_cannot_be_swapped_in_is_kept() {
    let server = Server::start().await;
    let source = server.with_sql("hub", TWO_TABLES).await;
    let (archive, _) = server.dump(&source).await;
    let url = format!(
        "host={} port={} user=postgres dbname=hub",
        server.scratch.directory().display(),
        server.scratch.port()
    );
    let intruder = Arc::new(Intruder(url, std::sync::Mutex::new(None)));
    let progress: Arc<dyn pgsnap::Progress> = intruder.clone();
    let mut options = RestoreOptions::default();
    options.swap_timeout = std::time::Duration::from_millis(500);
    let error = restore(&archive, &source, &options, &progress).await.unwrap_err();
    intruder.1.lock().unwrap().as_mut().unwrap().kill().unwrap();
    intruder.1.lock().unwrap().as_mut().unwrap().wait().unwrap();
    assert!(error.to_string().contains("hub__restored_"), "{error}");
    let names = databases(&server).await;
    assert_eq!(names.len(), 2);
    let rows = pgsnap::query_scalar(&server.scratch.database(&names[1]), "SELECT count(*) FROM a")
        .await
        .unwrap();
    assert_eq!(rows.as_deref(), Some("1000"));
}
