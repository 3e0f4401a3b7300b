//! Objects that the zoo cannot hold, because they need more than one database or more than a
//! restore can give.

use std::process::Command;

use pgsnap::{DumpOptions, Error, ScratchOptions};

use super::golden::assert_golden;
use crate::server::{Server, assert_same_text, quiet, with_sorted_rows};

/// `pg_dump` leaves out every schema whose name begins with `pg_`, whoever made it.
#[tokio::test(flavor = "multi_thread")]
async fn schemas_that_begin_with_pg_are_the_servers() {
    let mut options = ScratchOptions::default();
    options.settings.push("allow_system_table_mods=on".into());
    let server = Server::start_with(options).await;
    let source = server
        .with_sql(
            "source",
            "CREATE SCHEMA pg_mine; CREATE TABLE pg_mine.t AS SELECT 1 AS id; CREATE SEQUENCE pg_mine.s;
             CREATE SCHEMA \"PG_mine\"; CREATE TABLE \"PG_mine\".t AS SELECT 1 AS id;
             CREATE SCHEMA pgmine; CREATE TABLE pgmine.pg_t AS SELECT 1 AS id; CREATE SEQUENCE pgmine.pg_s;
             CREATE TEMPORARY TABLE passing (id serial)",
        )
        .await;
    assert_golden(&server, &source).await;
    let (archive, manifest) = server.dump(&source).await;
    let names: Vec<String> =
        manifest.census.tables.iter().map(|table| table.name.to_string()).collect();
    assert_eq!(names, ["\"PG_mine\".\"t\"", "\"pgmine\".\"pg_t\""]);
    assert!(server.restore(&archive, "copy").await.comparison.unwrap().is_equal());
}

#[tokio::test(flavor = "multi_thread")]
async fn tablespaces_of_tables_and_indexes_are_kept() {
    let server = Server::start().await;
    let place = server.scratch.directory().join("odd place");
    fs_err::create_dir(&place).unwrap();
    // The server's user owns the directory around it.
    let owner =
        std::os::unix::fs::MetadataExt::uid(&fs_err::metadata(server.scratch.directory()).unwrap());
    std::os::unix::fs::chown(&place, Some(owner), None).unwrap();
    let admin = server.scratch.database("postgres");
    pgsnap::execute(
        &admin,
        &format!("CREATE TABLESPACE \"Odd 'space'\" LOCATION '{}'", place.display()),
    )
    .await
    .unwrap();
    let source = server
        .with_sql(
            "source",
            "CREATE TABLE here (id int PRIMARY KEY); CREATE TABLE there (id int PRIMARY KEY USING INDEX TABLESPACE \"Odd 'space'\", v text) TABLESPACE \"Odd 'space'\";
             CREATE INDEX here_id ON here (id) TABLESPACE \"Odd 'space'\"; INSERT INTO there SELECT n, n FROM generate_series(1, 10) n;
             CREATE TABLE parted (id int) PARTITION BY RANGE (id) TABLESPACE \"Odd 'space'\"; CREATE TABLE part PARTITION OF parted DEFAULT TABLESPACE pg_default;
             CREATE MATERIALIZED VIEW seen TABLESPACE \"Odd 'space'\" AS SELECT * FROM there",
        )
        .await;
    assert_golden(&server, &source).await;
    let (archive, manifest) = server.dump(&source).await;
    assert_eq!(manifest.source.tablespaces, ["Odd 'space'"]);
    assert!(server.restore(&archive, "copy").await.comparison.unwrap().is_equal());
    assert_same_text(
        &with_sorted_rows(&server.pg_dump("source", &[])),
        &with_sorted_rows(&server.pg_dump("copy", &[])),
    );
}

/// Subscriptions come back as `pg_dump` keeps them: not connected, so that a copy does not take the
/// changes away from the original.
#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_come_back_asleep() {
    let server = Server::start().await;
    let source = server
        .with_sql("source", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await;
    for statement in [
        "CREATE SUBSCRIPTION \"Odd 'one'\" CONNECTION 'host=node1.example dbname=x password=''a \\ b''' PUBLICATION p, \"Q r\" WITH (connect = false, slot_name = 'the_slot')",
        "COMMENT ON SUBSCRIPTION \"Odd 'one'\" IS 'it''s'",
    ] {
        pgsnap::execute(&source, statement).await.unwrap();
    }
    assert_golden(&server, &source).await;
    let (archive, _) = server.dump(&source).await;
    assert!(server.restore(&archive, "copy").await.comparison.unwrap().is_equal());
    let state = pgsnap::query_scalar(
        &server.scratch.database("copy"),
        "SELECT concat_ws(' ', subname, subenabled, subslotname, subpublications) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .await
    .unwrap();
    assert_eq!(state.as_deref(), Some("Odd 'one' f the_slot {p,\"Q r\"}"));
}

/// No provider of labels comes with PostgreSQL's packages (`dummy_seclabel` is a test module,
/// `sepgsql` needs SELinux). A superuser can write the labels all the same; then they must be in
/// the dump, and a server without the provider must refuse them rather than lose them.
#[tokio::test(flavor = "multi_thread")]
async fn security_labels_are_dumped_and_refused_where_their_provider_is_missing() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "source",
            "CREATE TABLE t (id int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT lo_create(7);
             INSERT INTO pg_seclabel VALUES ('t'::regclass, 'pg_class'::regclass, 0, 'odd provider', E'it''s \\\\ top secret'),
                ('t'::regclass, 'pg_class'::regclass, 1, 'plain', 'a column'), ('f'::regproc, 'pg_proc'::regclass, 0, 'plain', 'a function'),
                (7, 'pg_largeobject'::regclass, 0, 'odd provider', E'it''s \\\\ large')",
        )
        .await;
    assert_golden(&server, &source).await;
    let (archive, _) = server.dump(&source).await;
    let target = server.scratch.database("copy");
    let error = pgsnap::restore(&archive, &target, &pgsnap::RestoreOptions::default(), &quiet())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("provider"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_sequences_that_a_role_may_not_read_are_all_named() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "source",
            "CREATE ROLE reader LOGIN; CREATE TABLE one (id int); CREATE TABLE two (id int); CREATE SEQUENCE counter",
        )
        .await;
    let url = format!(
        "postgresql://reader@/source?host={}&port={}",
        server.scratch.directory().display(),
        server.scratch.port()
    );
    let reader = pgsnap::Database::from_url(&url).unwrap();
    let refused = async || {
        pgsnap::dump(&reader, Vec::new(), &DumpOptions::default(), &quiet())
            .await
            .map(|_| ())
            .unwrap_err()
    };
    let error = refused().await;
    assert!(matches!(&error, Error::NotReadable { objects } if objects.len() == 2), "{error}");
    pgsnap::execute(&source, "GRANT SELECT ON one, two TO reader").await.unwrap();
    // The definitions of sequences are read by pg_dump, which says it in its own words.
    let error = refused().await;
    assert!(error.to_string().contains("counter"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_read_a_large_object_is_told_so() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "source",
            "CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader; SELECT lo_from_bytea(4711, '\\x00'); CREATE TABLE t (id int)",
        )
        .await;
    let url = format!(
        "postgresql://reader@/source?host={}&port={}",
        server.scratch.directory().display(),
        server.scratch.port()
    );
    let reader = pgsnap::Database::from_url(&url).unwrap();
    let error = pgsnap::dump(&reader, Vec::new(), &DumpOptions::default(), &quiet())
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(&error, Error::Server { code, .. } if code == "42501"), "{error}");
    assert!(error.to_string().contains("4711"), "{error}");
    pgsnap::execute(&source, "GRANT SELECT ON LARGE OBJECT 4711 TO reader").await.unwrap();
    pgsnap::dump(&reader, Vec::new(), &DumpOptions::default(), &quiet()).await.unwrap();
}

/// Tables of foreign servers are definitions; their rows belong to somebody else, and nobody is
/// asked for them.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_tables_are_kept_and_nobody_is_asked_for_their_rows() {
    let server = Server::start().await;
    let witness = server.file("asked");
    fs_err::write(&witness, "1\n2\n").unwrap();
    assert!(
        Command::new("chmod")
            .args(["-R", "a+rX"])
            .arg(server.files.path())
            .status()
            .unwrap()
            .success()
    );
    let source = server
        .with_sql(
            "source",
            &format!(
                "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
                 CREATE TABLE parted (id int) PARTITION BY RANGE (id);
                 CREATE TABLE near PARTITION OF parted FOR VALUES FROM (0) TO (10);
                 CREATE FOREIGN TABLE far PARTITION OF parted FOR VALUES FROM (10) TO (20) SERVER files OPTIONS (filename '{0}');
                 CREATE FOREIGN TABLE alone (id int) SERVER files OPTIONS (filename '{0}');
                 INSERT INTO near VALUES (1)",
                witness.display()
            ),
        )
        .await;
    fs_err::remove_file(&witness).unwrap();
    assert_golden(&server, &source).await;
    let (archive, manifest) = server.dump(&source).await;
    assert_eq!(manifest.census.rows(), 1);
    assert!(server.restore(&archive, "copy").await.comparison.unwrap().is_equal());
}
