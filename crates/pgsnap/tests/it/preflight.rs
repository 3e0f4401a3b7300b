//! Facts known before a restore begins.

use std::io::{Read as _, Write as _};

use pgsnap::{Archive, Database, Error, RestoreOptions, plan_restore, restore};

use crate::server::{Server, quiet};

#[tokio::test(flavor = "multi_thread")]
async fn every_obstacle_is_named_at_once_with_its_remedy() {
    let source = Server::start().await;
    let database = source
        .with_sql("hub", "CREATE ROLE app; CREATE TABLE t (); ALTER TABLE t OWNER TO app; CREATE EXTENSION hstore VERSION '1.4'; CREATE EXTENSION file_fdw")
        .await;
    let (archive, _) = source.dump(&database).await;
    let other = Server::with_tcp().await;
    other.create("hub").await;
    pgsnap::execute(
        &other.scratch.database("hub"),
        "CREATE TABLE present (); CREATE ROLE weak LOGIN PASSWORD 'w'",
    )
    .await
    .unwrap();
    let url = format!("postgresql://weak:w@127.0.0.1:{}/hub", other.scratch.port());
    let target = Database::from_url(&url).unwrap();
    let plan = plan_restore(&archive, &target, &RestoreOptions::default()).await.unwrap();
    let problems: Vec<&str> = plan.obstacles.iter().map(|each| each.problem.as_str()).collect();
    let problems = problems.join("\n");
    for expected in [
        "lacks the role(s) app",
        "only a superuser may create the extension(s) file_fdw",
        "database hub is not empty (1 objects: table public.present)",
    ] {
        assert!(problems.contains(expected), "{expected}: {problems}");
    }
    assert!(plan.obstacles.iter().any(|each| each.remedy.contains("`create_roles`")));
    assert!(
        plan.warnings.iter().any(|warning| warning
            .contains("extension hstore will be 1.8 and was 1.4, which this server also has")),
        "{plan:?}"
    );
    assert!(plan.unchecked.iter().any(|what| what.contains("free disk space")), "{plan:?}");
    let error = restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap_err();
    assert!(
        matches!(error, Error::Preflight { obstacles } if obstacles.len() == plan.obstacles.len())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_space_is_checked_where_the_data_directory_is_ours() {
    let server = Server::start().await;
    let source = server.with_sql("hub", "CREATE TABLE t AS SELECT 1").await;
    let (archive, manifest) = server.dump(&source).await;
    assert!(manifest.source.database_bytes.unwrap() > 1 << 20);
    let target = server.scratch.database("copy");
    let plan = plan_restore(&archive, &target, &RestoreOptions::default()).await.unwrap();
    assert!(plan.obstacles.is_empty(), "{plan:?}");
    assert!(plan.unchecked.is_empty(), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collation_the_server_lacks_is_found_before_anything_is_made() {
    let server = Server::start().await;
    pgsnap::execute(
        &server.scratch.database("postgres"),
        "CREATE DATABASE hub TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    .await
    .unwrap();
    let (archive, manifest) = server.dump(&server.scratch.database("hub")).await;
    assert_eq!(manifest.source.locale.collate, "C");
    let changed = with_manifest(&server, "hub.sql.gz", |text| {
        text.replacen("\"collate\": \"C\"", "\"collate\": \"xx_YY.utf8\"", 1)
    })
    .unwrap();
    let target = server.scratch.database("copy");
    assert!(
        plan_restore(&archive, &target, &RestoreOptions::default())
            .await
            .unwrap()
            .obstacles
            .is_empty()
    );
    let plan = plan_restore(&changed, &target, &RestoreOptions::default()).await.unwrap();
    assert_eq!(plan.obstacles.len(), 1, "{plan:?}");
    assert!(plan.obstacles[0].problem.contains("lacks the collation"), "{plan:?}");
}

/// The same archive with another manifest.
pub(crate) fn with_manifest(
    server: &Server,
    name: &str,
    edit: impl Fn(String) -> String,
) -> pgsnap::Result<Archive> {
    let bytes = fs_err::read(server.file(name)).unwrap();
    let pointer = String::from_utf8_lossy(&bytes[bytes.len() - 138 + 15..]).into_owned();
    let number = |key: &str| -> usize {
        let at = pointer.find(key).unwrap() + key.len();
        pointer[at..at + 20].parse().unwrap()
    };
    let (offset, length) = (number("offset="), number("length="));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[offset..offset + length])
        .read_to_string(&mut text)
        .unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(edit(text).as_bytes()).unwrap();
    let member = encoder.finish().unwrap();
    let hash = xxhash_rust::xxh3::xxh3_128(&member);
    let payload = format!(
        "{} manifest offset={offset:020} length={:020} xxh3={hash:032x}\n",
        &pointer[..11],
        member.len()
    );
    let mut crc = flate2::Crc::new();
    crc.update(payload.as_bytes());
    let mut changed = bytes[..offset].to_vec();
    changed.extend(&member);
    changed.extend(&bytes[bytes.len() - 138..bytes.len() - 138 + 15]);
    changed.extend(payload.as_bytes());
    changed.extend(crc.sum().to_le_bytes());
    changed.extend((payload.len() as u32).to_le_bytes());
    let path = server.file("changed.sql.gz");
    fs_err::write(&path, changed).unwrap();
    Archive::open(path)
}

mod without_createdb {
    use pgsnap::{Database, Error, Method, Note, RestoreOptions, plan_restore, restore};

    use crate::server::{Server, quiet};

    const HUB: &str = "
        CREATE EXTENSION hstore; CREATE EXTENSION file_fdw; CREATE SCHEMA hub; CREATE TYPE hub.state AS ENUM ('a', 'b');
        CREATE TABLE hub.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s hub.state, h hstore, x int);
        INSERT INTO hub.t (s, h, x) SELECT 'a', 'k=>v', n FROM generate_series(1, 1000) n; CREATE VIEW v AS SELECT * FROM hub.t;
        CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM hub.t; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        SELECT lo_from_bytea(77, '\\x0102'); ALTER DATABASE hub SET work_mem = '9MB'; COMMENT ON DATABASE hub IS 'the hub';
        GRANT CREATE ON SCHEMA public TO app; CREATE TABLE u (id int PRIMARY KEY REFERENCES hub.t)";
    const TO_APP: &str = "
        ALTER DATABASE hub OWNER TO app; ALTER SCHEMA hub OWNER TO app; ALTER TYPE hub.state OWNER TO app; ALTER TABLE hub.t OWNER TO app;
        ALTER VIEW v OWNER TO app; ALTER MATERIALIZED VIEW m OWNER TO app; ALTER FUNCTION f() OWNER TO app; ALTER TABLE u OWNER TO app;
        ALTER LARGE OBJECT 77 OWNER TO app; REVOKE CREATE ON SCHEMA public FROM app";

    /// As CloudNativePG makes it: `app` owns the database and nothing else, may not create
    /// databases, and a superuser has created the extensions.
    async fn cluster() -> (Server, Database) {
        let server = Server::with_tcp().await;
        let database =
            server.with_sql("app", "CREATE EXTENSION hstore; CREATE EXTENSION file_fdw").await;
        pgsnap::execute(&database, "CREATE ROLE app LOGIN PASSWORD 'a'; ALTER DATABASE app OWNER TO app; COMMENT ON DATABASE app IS 'made by hand'")
            .await
            .unwrap();
        let url = format!("postgresql://app:a@127.0.0.1:{}/app", server.scratch.port());
        (server, Database::from_url(&url).unwrap())
    }

    /// Before PostgreSQL 15 the schema `public` belongs to a superuser, and no owner of a database
    /// may take it over.
    async fn owners_have_public() -> bool {
        let has = Server::start().await.major().await >= 15;
        if !has {
            testkit::not_applicable("needs PostgreSQL 15 or newer");
        }
        has
    }

    async fn hub() -> (Server, pgsnap::Archive) {
        let server = Server::start().await;
        let source = server.with_sql("hub", "CREATE ROLE app").await;
        pgsnap::execute(&source, HUB).await.unwrap();
        pgsnap::execute(&source, TO_APP).await.unwrap();
        let (archive, _) = server.dump(&source).await;
        (server, archive)
    }

    async fn ask(server: &Server, sql: &str) -> String {
        pgsnap::query_scalar(&server.scratch.database("app"), sql)
            .await
            .unwrap()
            .unwrap_or_default()
    }

    const OBJECTS: &str = "SELECT (SELECT count(*) FROM pg_class WHERE oid >= 16384 AND relnamespace::regnamespace::text !~ '^pg_'
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = pg_class.oid AND d.deptype IN ('e', 'i')))
        + (SELECT count(*) FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_') + (SELECT count(*) FROM pg_largeobject_metadata)
        || ' ' || (SELECT count(*) FROM pg_extension) || ' ' || (SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'app')";

    #[tokio::test(flavor = "multi_thread")]
    async fn an_owner_restores_into_the_empty_database_it_was_given() {
        if !owners_have_public().await {
            return;
        }
        let (_source, archive) = hub().await;
        let (server, target) = cluster().await;
        let plan = plan_restore(&archive, &target, &RestoreOptions::default()).await.unwrap();
        assert_eq!((plan.method, &plan.keeps), (Method::InPlace, &None));
        assert!(plan.obstacles.is_empty(), "{plan:?}");
        let restored =
            restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap();
        assert_eq!((restored.rows, restored.kept), (1000, None));
        assert!(
            restored.notes.iter().any(|note| matches!(note, Note::Refused { statement, .. } if statement.starts_with("COMMENT ON EXTENSION"))),
            "{:?}",
            restored.notes
        );
        assert_eq!(
            ask(&server, "SELECT count(*) || ' ' || (SELECT * FROM m) FROM hub.t").await,
            "1000 1000"
        );
        assert_eq!(ask(&server, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'app'").await, "the hub");

        // A second time the database is not empty, and stays as it is.
        let error =
            restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap_err();
        assert!(error.to_string().contains("database app is not empty"), "{error}");
        assert_eq!(ask(&server, "SELECT count(*) FROM hub.t").await, "1000");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_failed_restore_made_is_dropped_again_and_nothing_else() {
        if !owners_have_public().await {
            return;
        }
        let (source, _) = hub().await;
        // The index cannot be built: the function it calls fails on one row.
        pgsnap::execute(&source.scratch.database("hub"), "CREATE FUNCTION g(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN i; END';
            ALTER FUNCTION g(int) OWNER TO app; CREATE INDEX broken ON hub.t (public.g(x));
            CREATE OR REPLACE FUNCTION g(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN IF i = 500 THEN RAISE ''no''; END IF; RETURN i; END'").await.unwrap();
        let (archive, _) = source.dump(&source.scratch.database("hub")).await;
        let (server, target) = cluster().await;
        let before = ask(&server, OBJECTS).await;
        let error =
            restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap_err();
        let Error::InPlace { left, .. } = &error else {
            panic!("{error}");
        };
        assert!(left.is_empty(), "{left:?}");
        assert!(error.to_string().contains("dropped again"), "{error}");
        assert_eq!(ask(&server, OBJECTS).await, before);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_killed_restore_is_cleared_away_by_the_next() {
        if !owners_have_public().await {
            return;
        }
        let (_source, archive) = hub().await;
        let (server, target) = cluster().await;
        let extensions = ask(&server, "SELECT string_agg(oid::text, ',') FROM pg_extension").await;
        let mark = format!(
            "COMMENT ON DATABASE app IS 'An unfinished restore by pgsnap, to be dropped; extensions that stay: {extensions}'"
        );
        pgsnap::execute(&target, &format!("{mark}; CREATE SCHEMA half; CREATE TABLE half.t ()"))
            .await
            .unwrap();
        let restored =
            restore(&archive, &target, &RestoreOptions::default(), &quiet()).await.unwrap();
        assert_eq!(restored.cleaned, ["objects in app"]);
        assert_eq!(
            ask(&server, "SELECT count(*) FROM pg_namespace WHERE nspname = 'half'").await,
            "0"
        );
    }
}
