//! A superuser restores; the functions of other roles stay theirs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pgsnap::{CopyOptions, Database, copy};

use super::value;
use crate::server::{Server, quiet};

/// Everything in which a plain role can have its functions called by a restore. `run`, which all of
/// them call, is harmless still.
const SCHEMA: &str = "
    CREATE ROLE mallory; CREATE ROLE other; CREATE SCHEMA theirs AUTHORIZATION mallory; CREATE SCHEMA hidden AUTHORIZATION other;
    CREATE TABLE hidden.words(w text); INSERT INTO hidden.words VALUES ('x'); ALTER TABLE hidden.words OWNER TO other;
    GRANT USAGE ON SCHEMA hidden TO mallory; GRANT SELECT ON hidden.words TO mallory;
    SET SESSION AUTHORIZATION mallory;
    CREATE FUNCTION theirs.run() RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
    CREATE FUNCTION theirs.f(x int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM theirs.run(); RETURN true; END';
    CREATE FUNCTION theirs.word() RETURNS text LANGUAGE sql STABLE AS 'SELECT w FROM hidden.words';
    CREATE FUNCTION theirs.n(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN theirs.f(x) THEN x END';
    CREATE DOMAIN theirs.d AS int CHECK (theirs.f(VALUE)); CREATE TYPE theirs.c AS (d theirs.d);
    CREATE TABLE theirs.t(id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x int CHECK (theirs.f(x)), y theirs.d, ys theirs.d[], c theirs.c,
      z int GENERATED ALWAYS AS (theirs.n(x)) STORED, w char(3) CHECK (w = theirs.word()));
    CREATE INDEX ON theirs.t (theirs.n(x)); CREATE INDEX ON theirs.t (x) WHERE theirs.f(x);
    INSERT INTO theirs.t(x, y, ys, c, w) SELECT i, i, ARRAY[i], ('(' || i || ')')::theirs.c, 'x' FROM generate_series(1, 500) i;
    CREATE MATERIALIZED VIEW theirs.mv AS SELECT theirs.n(x) FROM theirs.t";

/// Makes `run` a command of the operating system, where whoever calls it may run one or can become
/// somebody who may.
fn hostile(command: &Path) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION theirs.run() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
           BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN NULL; END;
           BEGIN RESET SESSION AUTHORIZATION; EXCEPTION WHEN OTHERS THEN NULL; END;
           BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {}; cat >/dev/null'''; EXCEPTION WHEN OTHERS THEN NULL; END; END $f$",
        command.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_function_of_a_plain_role_becomes_a_superusers() {
    let server = Server::start().await;
    let places = tempfile::tempdir().unwrap();
    fs_err::set_permissions(places.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let ran = places.path().join("ran");
    let source = server.with_sql("hub", SCHEMA).await;
    pgsnap::execute(&source, &hostile(&ran)).await.unwrap();
    let (archive, manifest) = server.dump(&source).await;
    let restored = server.restore(&archive, "restored").await;
    assert!(restored.comparison.unwrap().is_equal());
    let target = server.scratch.database("copied");
    copy(&source, &target, &CopyOptions::default(), &quiet()).await.unwrap();
    for name in ["restored", "copied"] {
        let database = server.scratch.database(name);
        assert!(!ran.exists(), "a function ran a command in {name}");
        require_the_same(&server, &database, &manifest).await;
    }
    // The command would be seen.
    pgsnap::execute(&source, "SELECT theirs.f(1)").await.unwrap();
    assert!(ran.exists());
}

async fn require_the_same(server: &Server, database: &Database, manifest: &pgsnap::Manifest) {
    server.require_census(database, manifest).await;
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgsnap%'";
    assert_eq!(value(database, left).await, "0");
    let whole =
        "SELECT count(*) || ' ' || sum(z) || ' ' || (SELECT count(*) FROM theirs.mv) FROM theirs.t";
    assert_eq!(value(database, whole).await, "500 125250 500");
}
