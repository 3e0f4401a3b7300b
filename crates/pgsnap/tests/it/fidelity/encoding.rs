//! Databases that are not UTF-8.

use pgsnap::{
    CensusOptions, CopyOptions, Database, DumpOptions, Error, Extent, RestoreOptions, RowSource,
    VerifyOptions,
};

use super::golden::assert_golden;
use crate::preflight::with_manifest;
use crate::server::{Server, assert_same_text, quiet, with_sorted_rows};

async fn create(server: &Server, name: &str, encoding: &str) -> Database {
    let admin = server.scratch.database("postgres");
    let statement = format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    );
    pgsnap::execute(&admin, &statement).await.unwrap();
    server.scratch.database(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_an_sql_ascii_database_pass_unconverted() {
    let server = Server::start().await;
    let raw = create(&server, "raw", "SQL_ASCII").await;
    pgsnap::execute(&raw, "SET client_encoding = 'SQL_ASCII'; CREATE TABLE t (v text); INSERT INTO t VALUES (E'caf\\351'), (E'\\200\\377'); SELECT lo_from_bytea(7, '\\xff00')").await.unwrap();
    assert_golden(&server, &raw).await;
    let (archive, _) = server.dump(&raw).await;
    server.restore(&archive, "copy").await;
    let bytes = pgsnap::query_scalar(
        &server.scratch.database("copy"),
        "SELECT string_agg(encode(v::bytea, 'hex'), ',' ORDER BY v) FROM t",
    )
    .await
    .unwrap();
    assert_eq!(bytes.as_deref(), Some("636166e9,80ff"));
}

/// A definition in an unknown encoding cannot be handled. It must be refused, and not be lost or
/// end in a panic.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_of_an_sql_ascii_database_that_are_not_utf8_are_refused() {
    let server = Server::start().await;
    for (name, sql) in [
        ("in_a_table", "DO $$ BEGIN EXECUTE E'CREATE TABLE \"t\\351\" ()'; END $$"),
        ("in_a_column", "DO $$ BEGIN EXECUTE E'CREATE TABLE t (\"c\\351\" int)'; END $$"),
        (
            "in_a_type",
            "DO $$ BEGIN EXECUTE E'CREATE DOMAIN \"d\\351\" AS int'; CREATE TABLE t (); EXECUTE E'ALTER TABLE t ADD c \"d\\351\"'; END $$",
        ),
        ("in_a_sequence", "DO $$ BEGIN EXECUTE E'CREATE SEQUENCE \"s\\351\"'; END $$"),
        ("in_a_comment", "CREATE TABLE t (); COMMENT ON TABLE t IS E'caf\\351'"),
        ("in_a_default", "CREATE TABLE t (v text DEFAULT E'caf\\351')"),
        ("on_the_database", "COMMENT ON DATABASE on_the_database IS E'caf\\351'"),
    ] {
        let database = create(&server, name, "SQL_ASCII").await;
        pgsnap::execute(&database, &format!("SET client_encoding = 'SQL_ASCII'; {sql}"))
            .await
            .unwrap();
        let error = pgsnap::dump(&database, Vec::new(), &DumpOptions::default(), &quiet())
            .await
            .map(|_| ())
            .expect_err(name);
        assert!(matches!(error, Error::NotUtf8 { .. }), "{name}: {error}");
        assert!(error.hint().is_some(), "{name}: {error}");
        if name == "in_a_comment" {
            let said = error.to_string();
            assert!(said.contains("(COMMENT ON TABLE public.t IS)"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_latin1_database_comes_back_as_one() {
    let server = Server::start().await;
    let latin = create(&server, "latin", "LATIN1").await;
    pgsnap::execute(&latin, "CREATE TABLE \"é\" (\"ü\" text DEFAULT 'ß' PRIMARY KEY); INSERT INTO \"é\" VALUES (U&'\\00A0\\00FF'), ('caf\u{e9}'); COMMENT ON TABLE \"é\" IS 'naïve'; COMMENT ON DATABASE latin IS 'ÿ'").await.unwrap();
    let (archive, manifest) = server.dump(&latin).await;
    assert_eq!(manifest.source.encoding, "LATIN1");
    let restored = server.restore(&archive, "copy").await;
    assert!(restored.comparison.unwrap().is_equal());
    let copied = pgsnap::query_scalar(
        &server.scratch.database("copy"),
        "SELECT current_setting('server_encoding') || ' ' || string_agg(encode(convert_to(\"ü\", 'LATIN1'), 'hex'), ',' ORDER BY \"ü\") || ' ' || obj_description('\"é\"'::regclass) FROM \"é\"",
    )
    .await
    .unwrap();
    assert_eq!(copied.as_deref(), Some("LATIN1 636166e9,a0ff naïve"));

    // psql may also make it UTF-8.
    let unicode = server.create("unicode").await;
    server.psql_restores(&server.file("latin.sql.gz"), "unicode");
    const WORDS: &str = r#"SELECT string_agg("ü", ',' ORDER BY "ü") FROM "é""#;
    let words = async |database| pgsnap::query_scalar(database, WORDS).await.unwrap();
    assert_eq!(words(&unicode).await.as_deref(), Some("café,\u{a0}ÿ"));
}

/// The encodings of a PostgreSQL server, and bytes in them that do not come back from UTF-8.
const INEXACT_BYTES: [(&str, &str); 6] = [
    ("WIN1252", "e99d"),
    // Without an equivalent, and one of two forms of a character.
    ("EUC_JP", "a2af"),
    ("EUC_JP", "adf0"),
    ("EUC_KR", "a2e9"),
    ("EUC_TW", "a1ba"),
    ("EUC_TW", "8ea1a1a1"),
];

/// Rows without an exact equivalent in UTF-8, in tables of every shape that is read or loaded in
/// its own way.
fn with_bytes(encoding: &str, bytes: &str) -> String {
    format!(
        "CREATE FUNCTION odd() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT convert_from('\\x{bytes}', '{encoding}') $$;
         CREATE TABLE odd (id int PRIMARY KEY, v text, again text GENERATED ALWAYS AS (v || v) STORED);
         INSERT INTO odd SELECT n, 'a' || odd() || n || E'\\t\\\\' FROM generate_series(1, 3000) n;
         CREATE TABLE arrays AS SELECT ARRAY[odd(), '\"'] AS a, ROW(odd(), 1) = ROW('x', 1) AS b;
         CREATE TABLE plain AS SELECT n, 'plain ' || n AS v FROM generate_series(1, 3000) n;
         CREATE TABLE checked (v text CHECK (v = odd())); INSERT INTO checked VALUES (odd());
         CREATE TABLE parted (k int, v text) PARTITION BY LIST (k);
         CREATE TABLE part_1 PARTITION OF parted FOR VALUES IN (1); CREATE TABLE part_2 PARTITION OF parted FOR VALUES IN (2);
         INSERT INTO parted VALUES (1, odd()), (2, 'ascii');
         CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES;"
    )
}

/// Every byte of the rows, without a conversion.
async fn bytes_of(database: &Database, encoding: &str) -> String {
    let query = format!(
        "SELECT encode(convert_to((SELECT string_agg(v || again, '' ORDER BY id) FROM odd) || (SELECT a::text FROM arrays)
           || (SELECT v FROM checked) || (SELECT string_agg(v, '' ORDER BY k) FROM parted), '{encoding}'), 'hex')"
    );
    pgsnap::query_scalar(database, &query).await.unwrap().unwrap()
}

fn encodings_of(census: &pgsnap::Census) -> Vec<&str> {
    let own = census.tables.iter().filter(|table| table.encoding.is_some());
    own.map(|table| table.name.name.as_str()).collect()
}

/// One database per pair of encoding and bytes, with what its rows hold.
async fn odd(server: &Server, number: usize) -> (Database, &'static str, String) {
    let (encoding, bytes) = INEXACT_BYTES[number];
    let source = create(server, &format!("source_{number}"), encoding).await;
    pgsnap::execute(&source, &with_bytes(encoding, bytes)).await.unwrap();
    let expected = bytes_of(&source, encoding).await;
    assert!(expected.contains(&format!("61{bytes}31")), "{expected:.100}");
    (source, encoding, expected)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_an_equivalent_in_utf8_keep_their_bytes() {
    let server = Server::start().await;
    for number in 0..INEXACT_BYTES.len() {
        let (source, encoding, expected) = odd(&server, number).await;
        let (archive, manifest) = server.dump(&source).await;
        assert_eq!(manifest.format, pgsnap::FORMAT_WITH_ENCODINGS);
        let own = ["arrays", "checked", "odd", "part_1", "part_2"];
        assert_eq!(encodings_of(&manifest.census), own, "{encoding}");
        pgsnap::verify(&archive, &VerifyOptions::default(), &quiet()).unwrap();
        server.require_census(&source, &manifest).await;
        let name = format!("restored_{number}");
        let restored = server.restore(&archive, &name).await;
        assert!(restored.comparison.unwrap().is_equal(), "{encoding}");
        let restored = bytes_of(&server.scratch.database(&name), encoding).await;
        assert!(restored == expected, "{encoding}");
    }
}

/// Whatever writes the rows, they are those of the source and those that `pg_dump` prints.
#[tokio::test(flavor = "multi_thread")]
async fn rows_without_an_equivalent_in_utf8_arrive_on_every_way() {
    let server = Server::start().await;
    for number in [0, 2] {
        let (source, encoding, expected) = odd(&server, number).await;
        let (archive, manifest) = server.dump(&source).await;
        let name = |what: &str| format!("{what}_{number}");
        let through_psql = create(&server, &name("psql"), encoding).await;
        let file = server.file(&format!("{}.sql.gz", source.name()));
        server.psql_restores(&file, through_psql.name());
        server.require_census(&through_psql, &manifest).await;

        let copied = server.scratch.database(&name("copied"));
        let copy = pgsnap::copy(&source, &copied, &CopyOptions::default(), &quiet()).await.unwrap();
        assert!(copy.restored.comparison.unwrap().is_equal(), "{encoding}");
        assert_eq!(copy.census.tables, manifest.census.tables, "{encoding}");

        let printed = with_sorted_rows(&server.pg_dump(source.name(), &[]));
        for made in [&through_psql, &copied] {
            assert!(bytes_of(made, encoding).await == expected, "{made}");
            let again = with_sorted_rows(&server.pg_dump(made.name(), &[]));
            assert_same_text(&printed, &again);
        }

        let empty = "TRUNCATE odd, arrays, plain, checked, parted, nothing";
        pgsnap::execute(&copied, empty).await.unwrap();
        let mut data_only = RestoreOptions::default();
        data_only.extent = Extent::DataOnly;
        let restored = pgsnap::restore(&archive, &copied, &data_only, &quiet()).await;
        assert!(restored.unwrap().comparison.unwrap().is_equal());
        assert!(bytes_of(&copied, encoding).await == expected, "{encoding}");
    }
}

/// An encoding out of a manifest becomes part of a statement only if it is the one of the database,
/// and a server has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_planted_encoding_is_damage() {
    let server = Server::start().await;
    let source = create(&server, "source", "WIN1252").await;
    let sql = "CREATE TABLE t AS SELECT convert_from('\\x9d', 'WIN1252') AS v";
    pgsnap::execute(&source, sql).await.unwrap();
    server.dump(&source).await;
    let planted = |from: &str, to: &str| {
        with_manifest(&server, "source.sql.gz", |text| {
            assert!(text.contains(from), "{text}");
            text.replace(from, to)
        })
        .map(|_| ())
    };
    let own = "\"encoding\": \"WIN1252\"";
    planted(own, own).unwrap();
    for (from, to) in [
        (own, "\"encoding\": \"x'); DROP TABLE t; --\""),
        (own, "\"encoding\": \"UTF8\""),
        ("\"pgsnap/2\"", "\"pgsnap/1\""),
    ] {
        planted(from, to).expect_err(to);
    }
    let of_table = |to: &str| {
        with_manifest(&server, "source.sql.gz", |text| {
            let (before, after) = text.rsplit_once(own).unwrap();
            format!("{before}\"encoding\": {to}{after}")
        })
        .map(|_| ())
    };
    for other in ["\"WIN1251\"", "null"] {
        let error = of_table(other).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
}

/// Ordinary text of such an encoding takes the way it always took, and can be compared with text of
/// any other.
#[tokio::test(flavor = "multi_thread")]
async fn rows_with_an_equivalent_in_utf8_are_archived_in_it() {
    const ROWS: &str = "CREATE TABLE t (v text); INSERT INTO t VALUES ('café – naïve €')";
    let server = Server::start().await;
    let source = create(&server, "windows", "WIN1252").await;
    pgsnap::execute(&source, ROWS).await.unwrap();
    let (_, manifest) = server.dump(&source).await;
    assert_eq!(manifest.format, pgsnap::FORMAT);
    assert!(encodings_of(&manifest.census).is_empty());
    let json = serde_json::to_value(&manifest.census.tables[0]).unwrap();
    assert!(json.get("encoding").is_none(), "{json}");
    let unicode = server.with_sql("unicode", ROWS).await;
    server.require_census(&unicode, &manifest).await;

    // The bytes of a mended character in one encoding are those of another character in the other.
    pgsnap::execute(&source, "UPDATE t SET v = convert_from('\\xe2809d', 'WIN1252')")
        .await
        .unwrap();
    pgsnap::execute(&unicode, "UPDATE t SET v = '\u{201d}'").await.unwrap();
    let options = CensusOptions::default();
    let a = pgsnap::census(&source, &options, &quiet()).await.unwrap();
    let b = pgsnap::census(&unicode, &options, &quiet()).await.unwrap();
    assert_eq!(a.tables[0].digest, b.tables[0].digest);
    let comparison = pgsnap::compare(&a, &b);
    assert!(!comparison.is_equal(), "{comparison:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_an_equivalent_are_refused_by_a_database_of_another_encoding() {
    let server = Server::with_tcp().await;
    let source = create(&server, "source", "WIN1252").await;
    let sql = "CREATE TABLE t AS SELECT convert_from('\\x9d', 'WIN1252') AS v;
        CREATE ROLE app LOGIN PASSWORD 'a'; ALTER TABLE t OWNER TO app; ALTER DATABASE source OWNER TO app";
    pgsnap::execute(&source, sql).await.unwrap();
    let (archive, _) = server.dump(&source).await;
    let unicode = server.create("unicode").await;
    let with_table = server.with_sql("with_table", "CREATE TABLE t (v text)").await;
    let mut in_place = RestoreOptions::default();
    in_place.into_existing = true;
    let mut data_only = RestoreOptions::default();
    data_only.extent = Extent::DataOnly;
    for (target, options) in [(unicode, in_place), (with_table, data_only)] {
        let refused = pgsnap::restore(&archive, &target, &options, &quiet()).await;
        let error = refused.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("has the encoding UTF8"), "{error}");
        assert_eq!(error.hint().unwrap(), "have it created with ENCODING 'WIN1252'");
    }

    // A role that may not create databases copies into the one it has.
    let target = server.create("app").await;
    pgsnap::execute(&target, "ALTER DATABASE app OWNER TO app").await.unwrap();
    let url = format!("postgresql://app:a@127.0.0.1:{}/app", server.scratch.port());
    let target = Database::from_url(&url).unwrap();
    let refused = pgsnap::copy(&source, &target, &CopyOptions::default(), &quiet()).await;
    let error = refused.map(|_| ()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("has the encoding UTF8"), "{error}: {cause}");
    assert_eq!(error.hint().unwrap(), "have it created with ENCODING 'WIN1252'");
}

#[tokio::test(flavor = "multi_thread")]
async fn differing_rows_without_an_equivalent_are_named() {
    let server = Server::start().await;
    let source = create(&server, "source", "WIN1252").await;
    let sql = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'é' || n FROM generate_series(1, 100) n";
    pgsnap::execute(&source, sql).await.unwrap();
    let (before, before_manifest) = server.dump(&source).await;
    let before = (RowSource::Archive(before), before_manifest.census);
    let live = async || {
        let census = pgsnap::census(&source, &CensusOptions::default(), &quiet()).await;
        (RowSource::Database(source.clone()), census.unwrap())
    };
    let change =
        |id: u32| format!("UPDATE t SET v = convert_from('\\x9d', 'WIN1252') WHERE id = {id}");
    pgsnap::execute(&source, &change(7)).await.unwrap();
    let after = live().await;
    let found = |a: &(RowSource, pgsnap::Census), b: &(RowSource, pgsnap::Census)| {
        let (a, b) = (a.clone(), b.clone());
        async move {
            let tables = (&a.1.tables[0], &b.1.tables[0]);
            pgsnap::differing_rows((&a.0, tables.0), (&b.0, tables.1), 10).await
        }
    };
    // An archive cannot be read in another encoding.
    let comparison = pgsnap::compare(&before.1, &after.1);
    assert_eq!(comparison.differences.len(), 1, "{comparison:?}");
    let error = found(&before, &after).await.unwrap_err();
    assert!(matches!(error, Error::EncodingsDiffer { .. }), "{error}");
    assert!(error.hint().is_some());

    let (archive, manifest) = server.dump(&source).await;
    let archive = (RowSource::Archive(archive), manifest.census);
    assert!(pgsnap::compare(&archive.1, &after.1).is_equal());
    pgsnap::execute(&source, &change(9)).await.unwrap();
    let rows = found(&archive, &live().await).await.unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0].key[0][..], &rows[0].columns[0][..]), ("id=9", "v"));

    // With the archive as its model, a database is read in that encoding also when nothing in it needs it any more.
    pgsnap::execute(&source, "UPDATE t SET v = 'x' WHERE id IN (7, 9)").await.unwrap();
    let mut options = CensusOptions::default();
    options.columns_like = Some(archive.1.clone());
    let mended = pgsnap::census(&source, &options, &quiet()).await.unwrap();
    assert_eq!(encodings_of(&mended), ["t"]);
    let rows = found(&archive, &(RowSource::Database(source.clone()), mended)).await;
    let rows = rows.unwrap();
    let keys: Vec<&str> = rows.iter().map(|row| &row.key[0][..]).collect();
    assert_eq!(keys, ["id=7", "id=9"]);
}

/// So many tables are not locked by every session at its start.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_among_very_many_is_looked_into() {
    let server = Server::start().await;
    let source = create(&server, "source", "EUC_KR").await;
    pgsnap::execute(
        &source,
        "DO $$ BEGIN FOR n IN 1..1001 LOOP EXECUTE 'CREATE TABLE t' || n || ' (v text)'; END LOOP; END $$;
         INSERT INTO t500 VALUES (convert_from('\\xa2e9', 'EUC_KR'))",
    )
    .await
    .unwrap();
    let (archive, manifest) = server.dump(&source).await;
    assert_eq!(encodings_of(&manifest.census), ["t500"]);
    pgsnap::verify(&archive, &VerifyOptions::default(), &quiet()).unwrap();
}

/// Encodings that the probe passes over must have an equivalent for every byte, in this version of
/// the server as well.
#[tokio::test(flavor = "multi_thread")]
async fn encodings_that_are_taken_for_exact_are_exact() {
    const BYTES: &str = "
        DO $$ DECLARE name text; b bytea; ok boolean; BEGIN
          CREATE TABLE found (name text, exact boolean);
          FOR number IN 1..50 LOOP
            name := pg_encoding_to_char(number);
            CONTINUE WHEN name IN ('', 'UTF8', 'SQL_ASCII', 'MULE_INTERNAL');
            ok := pg_encoding_max_length(number) = 1;
            FOR n IN 1..255 LOOP
              EXIT WHEN NOT ok;
              b := set_byte('\\x00', 0, n);
              BEGIN ok := convert(convert(b, name::name, 'UTF8'), 'UTF8', name::name) = b;
              EXCEPTION WHEN others THEN ok := false; END;
            END LOOP;
            INSERT INTO found VALUES (name, ok);
          END LOOP; END $$";
    let server = Server::start().await;
    let database = server.with_sql("hub", BYTES).await;
    let list = "SELECT string_agg(name || ' ' || exact, ',' ORDER BY name) FROM found";
    let list = pgsnap::query_scalar(&database, list).await.unwrap().unwrap();
    for line in list.split(',') {
        let (name, exact) = line.split_once(' ').unwrap();
        // Encodings of clients alone are no encodings of a database.
        if ["BIG5", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004", "SJIS", "UHC"].contains(&name) {
            assert_eq!(pgsnap::Encoding::of_name(name), None);
            continue;
        }
        let is_known = pgsnap::Encoding::of_name(name).is_some();
        assert_eq!(is_known, exact == "false", "{name}");
    }
    assert!(list.split(',').count() > 30, "{list}");
}

/// The text of `pg_dump` and the catalogue must be UTF-8 on its way.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_without_an_equivalent_in_utf8_are_refused() {
    let server = Server::start().await;
    for (name, sql) in [
        ("in_a_table", "EXECUTE format('CREATE TABLE %I ()', convert_from('\\x9d', 'WIN1252'))"),
        (
            "in_a_default",
            "EXECUTE format('CREATE TABLE t (v text DEFAULT %L)', convert_from('\\x9d', 'WIN1252'))",
        ),
        (
            "on_the_database",
            "EXECUTE format('COMMENT ON DATABASE on_the_database IS %L', convert_from('\\x9d', 'WIN1252'))",
        ),
    ] {
        let database = create(&server, name, "WIN1252").await;
        pgsnap::execute(&database, &format!("DO $$ BEGIN {sql}; END $$")).await.unwrap();
        let error = pgsnap::dump(&database, Vec::new(), &DumpOptions::default(), &quiet())
            .await
            .map(|_| ())
            .expect_err(name);
        let hint = error.hint().expect(name);
        assert!(hint.contains("rename or redefine"), "{name}: {error}: {hint}");
        if name == "in_a_default" {
            let said = "a definition in the schema (CREATE TABLE public.t) cannot be read in UTF-8";
            assert_eq!(error.to_string(), said);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_no_session_in_utf8_can_enter_has_a_remedy() {
    let server = Server::start().await;
    let database = create(&server, "mule", "MULE_INTERNAL").await;
    let error = pgsnap::query_scalar(&database, "SELECT 1").await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("dump this database with pg_dump"), "{error}: {hint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_rows_without_an_equivalent_in_utf8_are_archived_as_they_are() {
    let server = Server::start().await;
    let far = create(&server, "far", "WIN1252").await;
    let rows = "CREATE TABLE t AS SELECT convert_from('\\x9d', 'WIN1252') AS v";
    pgsnap::execute(&far, rows).await.unwrap();
    let query = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'";
    let found = pgsnap::query_scalar(&far, query).await.unwrap();
    if found.as_deref() != Some("1") {
        testkit::skip("this server comes without postgres_fdw");
        return;
    }
    let near = create(&server, "near", "WIN1252").await;
    let (host, port) = (server.scratch.directory(), server.scratch.port());
    let sql = format!(
        "CREATE EXTENSION postgres_fdw;
         CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{}', port '{port}', dbname 'far');
         CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'postgres');
         CREATE FOREIGN TABLE t (v text) SERVER far; CREATE TABLE own (v text); INSERT INTO own VALUES ('é')",
        host.display()
    );
    pgsnap::execute(&near, &sql).await.unwrap();
    let mut options = DumpOptions::default();
    options.foreign_data = vec!["far".into()];
    let (archive, manifest) = server.dump_with(&near, &options).await;
    assert_eq!(encodings_of(&manifest.census), ["t"]);
    pgsnap::verify(&archive, &VerifyOptions::default(), &quiet()).unwrap();
}
