//! Where a restore goes, and what it never touches.

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
    pgsnap::execute(&source, "DELETE FROM b; DELETE FROM a WHERE id > 500")
        .await
        .unwrap();
    let restored = restore(&archive, &source, &RestoreOptions::default(), &quiet())
        .await
        .unwrap();
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
async fn a_database_in_use_is_refused_and_untouched() {
    let server = Server::start().await;
    let source = server.with_sql("hub", TWO_TABLES).await;
    let (archive, _) = server.dump(&source).await;
    let _application = server.client("hub").await;
    let plan = plan_restore(&archive, &source, &RestoreOptions::default())
        .await
        .unwrap();
    assert_eq!(plan.problems.len(), 1, "{plan:?}");
    let error = restore(&archive, &source, &RestoreOptions::default(), &quiet())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Preflight { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--database"));
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
    let error = restore(&archive, &target, &RestoreOptions::default(), &quiet())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Two, one"), "{error}");
    assert!(
        error.hint().unwrap().contains("CREATE ROLE \"Two\";"),
        "{:?}",
        error.hint()
    );
    assert!(databases(&other).await.is_empty());
    let mut options = RestoreOptions::default();
    options.create_roles = true;
    restore(&archive, &target, &options, &quiet())
        .await
        .unwrap();
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
    let restored = restore(&archive, &target, &options, &quiet())
        .await
        .unwrap();
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
    let error = restore(&archive, &target, &options, &quiet())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoSuchTable { .. }), "{error}");
    options.tables = Some(vec![TableName::new("public", "a")]);
    let error = restore(&archive, &target, &options, &quiet())
        .await
        .unwrap_err();
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
    let plan = plan_restore(&archive, &target, &RestoreOptions::default())
        .await
        .unwrap();
    assert_eq!(plan.leftovers, ["copy__restoring_20260101000000abcd"]);
    let restored = restore(&archive, &target, &RestoreOptions::default(), &quiet())
        .await
        .unwrap();
    assert_eq!(restored.cleaned, plan.leftovers);
    assert_eq!(
        databases(&server).await,
        [
            "copy",
            "copy2__restoring_20260101000000abcd",
            "copy__restoring_mine",
            "hub"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_dump_is_restored_and_says_what_is_unproven() {
    let server = Server::start().await;
    server.with_sql("hub", TWO_TABLES).await;
    let text = server.pg_dump("hub", &[]);
    let dump = text.clone();
    let open: Arc<pgsnap::OpenDump> =
        Arc::new(move || Ok(Box::new(std::io::Cursor::new(dump.clone().into_bytes())) as _));
    let target = server.scratch.database("copy");
    let restored = pgsnap::restore_foreign(open, &target, &RestoreOptions::default(), &quiet())
        .await
        .unwrap();
    assert_eq!(restored.census.rows(), 1500);
    assert!(!restored.unproven.is_empty());

    // Cut anywhere, also in the middle of a COPY: psql alone would commit that.
    for cut in [text.len() / 3, text.len() / 2, text.len() - 60] {
        let short = text[..cut].to_owned();
        let open: Arc<pgsnap::OpenDump> =
            Arc::new(move || Ok(Box::new(std::io::Cursor::new(short.clone().into_bytes())) as _));
        let error = pgsnap::restore_foreign(
            open,
            &server.scratch.database("cut"),
            &RestoreOptions::default(),
            &quiet(),
        )
        .await
        .unwrap_err();
        assert!(matches!(error, Error::ForeignDump { .. }), "{error}");
        assert_eq!(databases(&server).await, ["copy", "hub"], "cut at {cut}");
    }
}

/// psql accepts a COPY that is cut in the middle; only the transaction in the file protects.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_archive_commits_nothing_through_psql() {
    let server = Server::start().await;
    let source = server.with_sql("hub", TWO_TABLES).await;
    server.dump(&source).await;
    let bytes = fs_err::read(server.file("hub.sql.gz")).unwrap();
    server.create("copy").await;
    for cut in (1..10).map(|tenth| bytes.len() * tenth / 10) {
        let path = server.file("cut.sql.gz");
        fs_err::write(&path, &bytes[..cut]).unwrap();
        server.psql_file(&path, "copy", &[]);
        let tables = pgsnap::query_scalar(
            &server.scratch.database("copy"),
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
        )
        .await
        .unwrap();
        let complete = pgsnap::query_scalar(
            &server.scratch.database("copy"),
            "SELECT count(*) FROM pg_constraint WHERE contype = 'f'",
        )
        .await
        .unwrap();
        assert!(
            tables.as_deref() == Some("0") || complete.as_deref() == Some("1"),
            "cut at {cut} left {tables:?} tables"
        );
    }
}
