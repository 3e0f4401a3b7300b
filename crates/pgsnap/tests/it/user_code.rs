//! Functions of the database's users: whatever calls one while rows are loaded or indexes are
//! built.

mod differential;
mod ownership;

use pgsnap::{
    Archive, CopyOptions, Database, Difference, Error, Extent, Note, RestoreOptions, Restored,
    TableName, copy, plan_restore, restore,
};

use crate::server::{Server, quiet};

/// A table that comes last by name and takes a while, and functions that look it up.
const LOOKED_UP: &str = "
    CREATE TABLE z_names(id int PRIMARY KEY, name text, filler text);
    INSERT INTO z_names SELECT i, 'name ' || i, repeat(md5(i::text), 6) FROM generate_series(1, 20000) i;
    CREATE FUNCTION name_of(i int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT name FROM public.z_names WHERE id = i); END $$;
    CREATE FUNCTION is_known(t text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT EXISTS (SELECT FROM public.z_names WHERE name = t) $$;";

async fn value(database: &Database, query: &str) -> String {
    let found = pgsnap::query_scalar(database, query).await.unwrap();
    found.unwrap_or_else(|| "NULL".to_owned())
}

async fn copied(source: &Database, server: &Server, name: &str) -> Database {
    let target = server.scratch.database(name);
    copy(source, &target, &CopyOptions::default(), &quiet()).await.unwrap();
    target
}

/// The database restored in every way there is: natively, by psql, by a copy, and rows alone into
/// the schema.
async fn restored_everywhere(server: &Server, source: &Database) -> Vec<Database> {
    let (archive, _) = server.dump(source).await;
    let named = |suffix: &str| format!("{}_{suffix}", source.name());
    server.restore(&archive, &named("restored")).await;
    server.create(&named("psql")).await;
    let file = server.file(&format!("{}.sql.gz", source.name()));
    server.psql_restores(&file, &named("psql"));
    let copy = copied(source, server, &named("copied")).await;
    let rows = rows_alone(server, &archive, &named("rows")).await;
    let database = |suffix| server.scratch.database(&named(suffix));
    vec![database("restored"), database("psql"), copy, rows]
}

async fn rows_alone(server: &Server, archive: &Archive, name: &str) -> Database {
    let target = server.scratch.database(name);
    for extent in [Extent::SchemaOnly, Extent::DataOnly] {
        let mut options = RestoreOptions::default();
        options.extent = extent;
        restore(archive, &target, &options, &quiet()).await.unwrap();
    }
    target
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_columns_find_what_they_look_up() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            &format!(
                "{LOOKED_UP}
                CREATE TABLE a_things(id int PRIMARY KEY, title text GENERATED ALWAYS AS (name_of(id)) STORED, v int);
                INSERT INTO a_things(id, v) SELECT i, i FROM generate_series(1, 100) i;"
            ),
        )
        .await;
    let query = "SELECT count(*) FROM a_things WHERE title = 'name ' || id";
    assert_eq!(value(&source, query).await, "100");
    for database in restored_everywhere(&server, &source).await {
        assert_eq!(value(&database, query).await, "100", "{database}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_computed_differently_today_need_to_be_accepted() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            "CREATE FUNCTION f(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + 1';
             CREATE TABLE t(id int PRIMARY KEY, v int GENERATED ALWAYS AS (f(id)) STORED); INSERT INTO t VALUES (1), (2);
             CREATE OR REPLACE FUNCTION f(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + 2'",
        )
        .await;
    let (archive, _) = server.dump(&source).await;
    let target = server.scratch.database("other");
    let error = restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap_err();
    let expected =
        Difference::Generated { table: TableName::new("public", "t"), columns: vec!["v".into()] };
    assert!(
        matches!(&error, Error::RestoreDiffers { differences } if *differences == [expected.clone()]),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("accept"), "{error}");
    let refused = copy(&source, &target, &CopyOptions::default(), &quiet()).await;
    assert!(matches!(refused, Err(Error::RestoreDiffers { .. })));

    let noted = |restored: &Restored| {
        let is_noted = |note: &Note| matches!(note, Note::Recomputed { .. });
        restored.notes.iter().any(is_noted)
    };
    let mut options = RestoreOptions::default();
    options.accept_recomputed = true;
    assert!(noted(&restore(&archive, &target, &options, &quiet()).await.unwrap()));
    let mut options = CopyOptions::default();
    options.accept_recomputed = true;
    let target = server.scratch.database("third");
    let copied = copy(&source, &target, &options, &quiet()).await.unwrap();
    assert!(noted(&copied.restored));
    assert_eq!(value(&target, "SELECT v FROM t WHERE id = 1").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_find_what_their_functions_look_up() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            &format!(
                "CREATE EXTENSION amcheck; {LOOKED_UP}
                CREATE TABLE a_sales(id int, at date);
                INSERT INTO a_sales SELECT i, '2026-01-01'::date + i FROM generate_series(1, 50) i;
                CREATE UNIQUE INDEX a_sales_name ON a_sales (name_of(id));
                CREATE INDEX a_sales_named ON a_sales (id) WHERE name_of(id) IS NOT NULL;
                CREATE INDEX a_sales_at ON a_sales (at)"
            ),
        )
        .await;
    let check = "SELECT count(bt_index_check(c.oid, true)) FROM pg_class c WHERE c.relname LIKE 'a\\_sales\\_%'";
    let found = "SELECT count(*) FROM a_sales WHERE name_of(id) IS NOT NULL";
    for database in restored_everywhere(&server, &source).await {
        assert_eq!(value(&database, check).await, "3", "{database}");
        assert_eq!(value(&database, found).await, "50", "{database}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_and_domains_find_what_they_look_up() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            &format!(
                "{LOOKED_UP}
                CREATE DOMAIN known AS text CHECK (is_known(VALUE)); CREATE TYPE pair AS (n int, name known);
                CREATE TABLE a_check(id int, name text CHECK (is_known(name))); INSERT INTO a_check VALUES (1, 'name 1');
                CREATE TABLE a_domain(name known, names known[], made pair);
                INSERT INTO a_domain VALUES ('name 2', '{{name 3}}', ROW(1, 'name 4')::pair);
                CREATE TABLE a_heir() INHERITS (a_check); INSERT INTO a_heir VALUES (5, 'name 5');
                CREATE TABLE a_root(name text, k int, CHECK (is_known(name))) PARTITION BY LIST (k);
                CREATE TABLE a_leaf PARTITION OF a_root FOR VALUES IN (1); INSERT INTO a_root VALUES ('name 6', 1)"
            ),
        )
        .await;
    let query = "SELECT (SELECT count(*) FROM a_check) || ' ' || (SELECT made FROM a_domain) || ' ' || (SELECT name FROM a_root)";
    for database in restored_everywhere(&server, &source).await {
        assert_eq!(value(&database, query).await, "2 (1,\"name 4\") name 6", "{database}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_function_reads_another_one_is_filled_after_it() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            "CREATE TABLE base(id int PRIMARY KEY); INSERT INTO base SELECT generate_series(1, 30);
             CREATE MATERIALIZED VIEW z_first AS SELECT id * 2 AS twice FROM base;
             CREATE FUNCTION total() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(twice) FROM public.z_first';
             CREATE MATERIALIZED VIEW b_second AS SELECT id, total() AS total FROM base;
             CREATE INDEX ON b_second(total);
             CREATE VIEW between AS SELECT * FROM b_second;
             CREATE MATERIALIZED VIEW a_third AS SELECT max(total) AS total FROM between;
             CREATE MATERIALIZED VIEW empty AS SELECT * FROM b_second WITH NO DATA",
        )
        .await;
    let (archive, _) = server.dump(&source).await;
    let target = server.scratch.database("restored");
    server.restore(&archive, "restored").await;
    let copy = copied(&source, &server, "copied").await;
    let rows = rows_alone(&server, &archive, "rows").await;
    for database in [target, copy, rows] {
        assert_eq!(value(&database, "SELECT total FROM a_third").await, "930", "{database}");
        let unfilled = "SELECT string_agg(matviewname, ' ') FROM pg_matviews WHERE NOT ispopulated";
        assert_eq!(value(&database, unfilled).await, "empty", "{database}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_triggers_see_nothing_of_a_restore() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            "CREATE TABLE ddl_log(tag text, object text); CREATE TABLE src(id int PRIMARY KEY); INSERT INTO src VALUES (1), (2);
             CREATE MATERIALIZED VIEW mv AS SELECT count(*) n FROM src; SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC;
             CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN
               FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP INSERT INTO public.ddl_log VALUES (r.command_tag, r.object_identity); END LOOP; END $$;
             CREATE EVENT TRIGGER audit_ddl ON ddl_command_end EXECUTE FUNCTION log_ddl(); COMMENT ON EVENT TRIGGER audit_ddl IS 'who did what';
             CREATE TABLE logged(id int)",
        )
        .await;
    let query = "SELECT count(*) || ' ' || (SELECT n FROM mv) || ' ' || (SELECT obj_description(oid) FROM pg_event_trigger) FROM ddl_log";
    let before = value(&source, query).await;
    assert_eq!(before, "1 2 who did what");
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "restored").await;
    server.create("plain").await;
    server.psql_restores(&server.file("hub.sql.gz"), "plain");
    copied(&source, &server, "copied").await;
    for name in ["restored", "plain", "copied"] {
        assert_eq!(value(&server.scratch.database(name), query).await, before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_the_server_refuses_is_planned_and_left_out() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1); ALTER DATABASE hub SET work_mem = '7MB';
             CREATE ROLE r; ALTER ROLE r IN DATABASE hub SET work_mem = '8MB'; SET allow_system_table_mods = on;
             UPDATE pg_db_role_setting SET setconfig = setconfig || CASE setrole WHEN 0 THEN ARRAY['lc_monetary=xx_YY.UTF-8'] ELSE ARRAY['TimeZone=Mars/Phobos'] END
              WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = 'hub')",
        )
        .await;
    let (archive, _) = server.dump(&source).await;
    let target = server.scratch.database("other");
    let plan = plan_restore(&archive, &target, &RestoreOptions::default()).await.unwrap();
    assert!(plan.obstacles.is_empty());
    for refused in ["lc_monetary=xx_YY.UTF-8, which", "TimeZone=Mars/Phobos of role r, which"] {
        assert!(plan.warnings.iter().any(|warning| warning.contains(refused)), "{plan:?}");
    }
    let restored = restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap();
    let refused = restored.notes.iter().filter(|note| matches!(note, Note::Refused { .. }));
    assert_eq!(refused.count(), 2, "{:?}", restored.notes);
    assert_eq!(value(&target, "SHOW work_mem").await, "7MB");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_alone_may_leave_an_unvalidated_key_unsatisfied() {
    let server = Server::start().await;
    let source = server
        .with_sql(
            "hub",
            "CREATE TABLE parent(id int PRIMARY KEY); CREATE TABLE child(id int, parent int); INSERT INTO child VALUES (1, 99);
             ALTER TABLE child ADD CONSTRAINT old FOREIGN KEY (parent) REFERENCES parent NOT VALID; COMMENT ON CONSTRAINT old ON child IS 'since May'",
        )
        .await;
    let (archive, _) = server.dump(&source).await;
    let target = rows_alone(&server, &archive, "rows").await;
    let query = "SELECT (SELECT parent FROM child) || ' ' || convalidated || ' ' || obj_description(oid) FROM pg_constraint WHERE conname = 'old'";
    assert_eq!(value(&target, query).await, "99 false since May");
    let refused = pgsnap::execute(&target, "INSERT INTO child VALUES (2, 98)").await;
    assert_eq!(refused.unwrap_err().sqlstate(), Some("23503"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_trigger_records_no_session_of_ours() {
    let server = Server::start().await;
    if server.major().await < 17 {
        return testkit::not_applicable("event triggers on login came with PostgreSQL 17");
    }
    let source = server
        .with_sql(
            "hub",
            "CREATE TABLE login_log(who text); CREATE TABLE data(id int PRIMARY KEY); INSERT INTO data VALUES (1);
             CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM data;
             CREATE FUNCTION on_login() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NOT pg_is_in_recovery() THEN INSERT INTO public.login_log VALUES (session_user); END IF; END $$;
             CREATE EVENT TRIGGER login_audit ON login EXECUTE FUNCTION on_login(); ALTER EVENT TRIGGER login_audit ENABLE ALWAYS",
        )
        .await;
    let logins = "SELECT count(*) FROM login_log";
    let _application = server.client("hub").await;
    assert_eq!(value(&source, logins).await, "1", "the trigger fires");
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "restored").await;
    let copy = copied(&source, &server, "copied").await;
    for database in [source, server.scratch.database("restored"), copy] {
        assert_eq!(value(&database, logins).await, "1", "{database}");
    }
}
