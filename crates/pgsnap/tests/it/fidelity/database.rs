//! Properties of the database itself. `pg_dump` has them only with `--create`.

use pgsnap::Database;

use crate::server::Server;

/// Everything about a database but its name, as one text.
async fn properties(database: &Database) -> String {
    const QUERY: &str = "
        SELECT concat_ws(E'\\n',
            (SELECT concat_ws(' ', pg_get_userbyid(datdba), datconnlimit, encoding, datcollate, datctype,
                    to_jsonb(d) ->> 'datlocprovider', to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale',
                    to_jsonb(d) ->> 'daticurules',
                    (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(COALESCE(datacl, acldefault('d', datdba))) AS a)) || ' ' || COALESCE(shobj_description(oid, 'pg_database'), '')
               FROM pg_database d WHERE datname = current_database()),
            (SELECT string_agg(concat_ws(' ', setrole::regrole, setting), E'\\n' ORDER BY setrole::regrole::text, setting)
               FROM pg_db_role_setting s, unnest(setconfig) AS setting
              WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())))";
    pgsnap::query_scalar(database, QUERY).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn database_settings_comment_and_owner_follow() {
    let server = Server::start().await;
    let source = server.with_sql("source", "CREATE ROLE hub NOLOGIN; ALTER DATABASE source OWNER TO hub; COMMENT ON DATABASE source IS 'it''s \\ home'; ALTER DATABASE source SET work_mem = '8MB'; ALTER DATABASE source SET search_path = app, \"$user\", public; ALTER DATABASE source SET app.motto = 'a b'").await;
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "copy").await;
    let copied = properties(&server.scratch.database("copy")).await;
    assert_eq!(copied, properties(&source).await);
    assert!(copied.starts_with("hub ") && copied.contains("it's \\ home"), "{copied}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_roles_privileges_and_the_connection_limit_follow() {
    const SQL: &str = "
        CREATE ROLE hub NOLOGIN; CREATE ROLE \"Odd 'one'\" NOLOGIN; CREATE ROLE guest NOLOGIN;
        ALTER ROLE hub IN DATABASE source SET work_mem = '9MB';
        ALTER ROLE \"Odd 'one'\" IN DATABASE source SET search_path = \"A b\", '', \"it's\";
        ALTER ROLE \"Odd 'one'\" IN DATABASE source SET application_name = E'it''s \\\\ \"x\"\\n';
        ALTER DATABASE source SET DateStyle = 'SQL, DMY';
        ALTER DATABASE source SET temp_tablespaces = pg_default, \"odd one\";
        ALTER DATABASE source SET default_transaction_read_only = on;
        ALTER DATABASE source SET app.empty = '';
        REVOKE ALL ON DATABASE source FROM PUBLIC;
        GRANT CONNECT ON DATABASE source TO guest, hub WITH GRANT OPTION;
        GRANT CREATE ON DATABASE source TO \"Odd 'one'\";
        ALTER DATABASE source CONNECTION LIMIT 17;
        CREATE TABLE t AS SELECT 1 AS id";
    let server = Server::start().await;
    let source = server.with_sql("source", SQL).await;
    let (archive, _) = server.dump(&source).await;
    server.restore(&archive, "copy").await;
    assert_eq!(properties(&server.scratch.database("copy")).await, properties(&source).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_name_of_a_database_will_do() {
    let server = Server::start().await;
    for name in [
        "it's \"odd\" \\ {brackets}; $1 é %s",
        "dbname=postgres",
        "postgresql://x",
        "-d",
        " ",
        "two\nlines",
    ] {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let admin = server.scratch.database("postgres");
        pgsnap::execute(&admin, &format!("CREATE DATABASE {quoted} TEMPLATE template0"))
            .await
            .unwrap();
        let source = server.scratch.database(name);
        pgsnap::execute(&source, "CREATE TABLE t AS SELECT 1 AS id").await.unwrap();
        let file = fs_err::File::create(server.file("odd.sql.gz")).unwrap();
        let (_, manifest) =
            pgsnap::dump(&source, file, &pgsnap::DumpOptions::default(), &crate::server::quiet())
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(manifest.source.database, name);
        let archive = pgsnap::Archive::open(server.file("odd.sql.gz")).unwrap();
        let restored = server.restore(&archive, &format!("{name} 2")).await;
        assert!(restored.comparison.unwrap().is_equal(), "{name}");
        let plain = server.psql_file(&server.file("odd.sql.gz"), "template1", &["ON_ERROR_STOP=1"]);
        assert!(plain.status.success(), "{name}: {}", String::from_utf8_lossy(&plain.stderr));
        pgsnap::execute(&server.scratch.database("template1"), "DROP TABLE t").await.unwrap();
    }
}

/// The locale belongs to the database, with its provider and, from 16 on, its rules.
#[tokio::test(flavor = "multi_thread")]
async fn the_locale_follows_with_its_provider() {
    let server = Server::start().await;
    let admin = server.scratch.database("postgres");
    let version: u32 = pgsnap::query_scalar(&admin, "SHOW server_version_num")
        .await
        .unwrap()
        .unwrap()
        .parse()
        .unwrap();
    if version < 150_000 {
        return testkit::not_applicable("databases have a locale provider from 15 on");
    }
    let mut options = vec!["LOCALE_PROVIDER icu ICU_LOCALE 'de-u-ks-level2'".to_owned()];
    if version >= 160_000 {
        options.push("LOCALE_PROVIDER icu ICU_LOCALE 'und' ICU_RULES '&V << w <<< W'".to_owned());
    }
    if version >= 170_000 {
        options.push("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'".to_owned());
    }
    let mut tested = 0;
    for (number, option) in options.iter().enumerate() {
        let name = format!("source{number}");
        let created =
            pgsnap::execute(&admin, &format!("CREATE DATABASE {name} TEMPLATE template0 {option}"))
                .await;
        // A server that was built without ICU says that it does not support that.
        if let Err(error) = created {
            assert_eq!(error.sqlstate(), Some("0A000"), "{option}: {error}");
            testkit::not_applicable(&format!("{option}: {error}"));
            continue;
        }
        let source = server.scratch.database(&name);
        pgsnap::execute(&source, "CREATE TABLE t AS SELECT 'w' AS word").await.unwrap();
        let (archive, _) = server.dump(&source).await;
        server.restore(&archive, "copy").await;
        assert_eq!(
            properties(&server.scratch.database("copy")).await,
            properties(&source).await,
            "{option}"
        );
        pgsnap::execute(&admin, "DROP DATABASE copy").await.unwrap();
        tested += 1;
    }
    assert!(tested > 0, "of none of {options:?}");
}
