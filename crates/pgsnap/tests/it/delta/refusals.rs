//! What a delta refuses, and what it leaves behind when it fails: the base as it was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgsnap::{
    CopyOptions, Database, DeltaPlan, Difference, Error, ErrorClass, FenceOptions, Phase, Progress,
    Updated, Work, copy, delta, plan_delta, survey,
};

use super::{Pair, counts, options, scalar};
use crate::races::During;
use crate::server::{Server, quiet};

const SMALL: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, 1000) n;
    CREATE TABLE u AS SELECT generate_series(1, 10) AS id; CREATE SEQUENCE s; SELECT lo_from_bytea(4001, 'x')";

const CHANGED: &str = "UPDATE t SET v = 'new' WHERE id % 10 = 0; DELETE FROM u WHERE id > 5; SELECT nextval('s'), lo_put(4001, 0, 'y')";

/// The rows of the base, and where they are.
async fn rows(base: &Database) -> String {
    let query = "SELECT md5(string_agg(ctid || v, ',' ORDER BY ctid)) || (SELECT md5(string_agg(ctid || id::text, ',')) FROM u) || encode(lo_get(4001), 'hex') FROM t";
    scalar(base, query).await
}

async fn plan(pair: &Pair) -> DeltaPlan {
    plan_delta(&pair.source, &pair.base, &options()).await.unwrap()
}

/// The notes of a run.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_could_not_stay_exact_is_said_before_the_freeze() {
    let pair = Pair::with_sql(
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE keyless (a int); CREATE TABLE other (a int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER always AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE t ENABLE ALWAYS TRIGGER always;
         CREATE RULE replica AS ON INSERT TO t DO ALSO NOTIFY t; ALTER TABLE t ENABLE REPLICA RULE replica;
         CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION e(); ALTER EVENT TRIGGER ev ENABLE ALWAYS;
         CREATE FUNCTION low(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN lower($1); END';
         CREATE INDEX ON t (low(v)); CREATE PUBLICATION p FOR TABLE keyless, t",
    )
    .await;
    let found = plan(&pair).await.obstacles;
    let told = found.iter().map(|one| one.problem.as_str()).collect::<Vec<_>>().join("\n");
    assert_eq!(found.len(), 5, "{told}");
    for part in ["always ON public.t", "replica ON public.t", "ev", "written to \"public\".\"t\""] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(told.contains("replica identity: public.keyless"), "{told}");
    let error = survey(&pair.base, &options(), &quiet()).await.err().unwrap();
    assert!(matches!(&error, Error::Preflight { obstacles } if *obstacles == found), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_schema_is_refused_and_nothing_is_changed() {
    let pair = Pair::with_sql(SMALL).await;
    let before = rows(&pair.base).await;
    pair.change(CHANGED).await;
    for (drift, back) in [
        ("ALTER TABLE t ADD w int", "ALTER TABLE t DROP w"),
        ("CREATE INDEX more ON t (v)", "DROP INDEX more"),
        ("ALTER TABLE t ALTER v SET DEFAULT 'x'", "ALTER TABLE t ALTER v DROP DEFAULT"),
    ] {
        let base = pair.survey().await;
        pair.change(drift).await;
        let obstacles = plan(&pair).await.obstacles;
        assert!(obstacles[0].problem.contains("another schema"), "{drift}: {obstacles:?}");
        let error = delta(&pair.source, base, &options(), &quiet()).await.unwrap_err();
        assert!(matches!(error, Error::SchemaDrift { .. }), "{drift}: {error}");
        assert_eq!(error.class(), ErrorClass::No);
        assert_eq!(rows(&pair.base).await, before, "{drift}");
        pair.change(back).await;
    }
    // A column that was dropped leaves no trace in a schema.
    let updated = pair.delta(pair.survey().await).await;
    assert_eq!((counts(&updated, "t"), counts(&updated, "u")), ((100, 100), (0, 5)));
    pair.require_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_somebody_wrote_to_is_refused_until_it_is_surveyed_again() {
    let pair = Pair::with_sql(SMALL).await;
    pair.change(CHANGED).await;
    for (statement, told) in [
        ("UPDATE t SET v = 'here' WHERE id = 7", "\"t\" has other rows"),
        ("UPDATE t SET v = v WHERE id = 7", "\"t\" were written anew"),
        ("CREATE INDEX here ON t (v)", "another schema"),
        ("DROP TABLE u; CREATE TABLE u AS SELECT generate_series(1, 10) AS id", "other tables"),
    ] {
        let base = pair.survey().await;
        pgsnap::execute(&pair.base, statement).await.unwrap();
        let before = rows(&pair.base).await;
        let error = delta(&pair.source, base, &options(), &quiet()).await.unwrap_err();
        assert!(matches!(error, Error::BaseChanged { .. }), "{statement}: {error}");
        assert!(error.to_string().contains(told), "{error}");
        assert!(error.is_retryable() && error.hint().is_some());
        assert_eq!(rows(&pair.base).await, before, "{statement}");
        pgsnap::execute(&pair.base, "DROP INDEX IF EXISTS here").await.unwrap();
    }
    let updated = pair.delta(pair.survey().await).await;
    assert_eq!(counts(&updated, "t"), (101, 101), "the row that somebody wrote is corrected");
    pair.require_equal().await;
}

/// A crash takes no transaction number, and empties unlogged tables.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_server_of_the_base_is_noticed() {
    let pair = Pair::on_two_servers(
        "CREATE UNLOGGED TABLE scratch AS SELECT generate_series(1, 10) AS id; CREATE TABLE t AS SELECT 1 AS id",
    )
    .await;
    let base = pair.survey().await;
    let victim = pair.there().client("postgres").await;
    let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let kill = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(kill.unwrap().success());
    // The server ends every session, recovers, and takes new ones.
    let is_empty = "SELECT NOT EXISTS (SELECT FROM scratch)";
    let mut attempts = 0;
    while !matches!(pgsnap::query_scalar(&pair.base, is_empty).await, Ok(Some(yes)) if yes == "t") {
        attempts += 1;
        assert!(attempts < 300, "the server does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let error = delta(&pair.source, base, &options(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::BaseChanged { .. }), "{error}");
    let updated = pair.delta(pair.survey().await).await;
    assert_eq!(counts(&updated, "scratch"), (10, 0));
    pair.require_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_neighbour_makes_the_base_be_read_again() {
    let pair = Pair::on_two_servers(SMALL).await;
    for is_busy in [false, true] {
        let base = pair.survey().await;
        pair.change(CHANGED).await;
        if is_busy {
            let admin = pair.there().scratch.database("postgres");
            pgsnap::execute(&admin, "CREATE TABLE neighbour ()").await.unwrap();
        }
        let notes = Arc::new(Notes::default());
        let progress: Arc<dyn Progress> = notes.clone();
        delta(&pair.source, base, &options(), &progress).await.unwrap();
        let told = notes.0.lock().unwrap().join("\n");
        assert_eq!(told.contains("the base is read again"), is_busy, "{told}");
        pair.require_equal().await;
        pair.change("UPDATE t SET v = 'more' WHERE id = 5").await;
    }
}

/// Ends the session of the delta at the beginning of a phase.
struct Killer {
    phase: Phase,
    client: tokio_postgres::Client,
    is_done: AtomicBool,
}

impl Progress for Killer {
    fn begin(&self, phase: Phase, _: Work) {
        let query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'base'";
        if phase == self.phase && !self.is_done.swap(true, Ordering::SeqCst) {
            tokio::task::block_in_place(|| {
                let run = self.client.batch_execute(query);
                tokio::runtime::Handle::current().block_on(run).unwrap();
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_fails_leaves_the_rows_and_the_next_one_converges() {
    let pair = Pair::with_sql(SMALL).await;
    let before = rows(&pair.base).await;
    pair.change(CHANGED).await;
    for phase in [Phase::Copy, Phase::Census] {
        let client = pair.there().client("postgres").await;
        let killer = Killer { phase, client, is_done: AtomicBool::new(false) };
        let progress: Arc<dyn Progress> = Arc::new(killer);
        let error = delta(&pair.source, pair.survey().await, &options(), &progress).await;
        let error = error.unwrap_err();
        assert!(error.is_retryable(), "{phase:?}: {error}");
        assert_eq!(rows(&pair.base).await, before, "{phase:?}");
    }

    // No lock keeps large objects, so the proof has to see them.
    let error = during(&pair, Phase::Census, "SELECT lo_from_bytea(4009, 'stray')").await;
    let error = error.unwrap_err();
    let Error::DeltaDiffers { differences } = &error else { panic!("{error}") };
    assert!(matches!(differences[..], [Difference::LargeObjects { a: 1, b: 2 }]), "{error}");
    assert!(!error.is_retryable() && error.hint().unwrap().contains("as they were"));
    assert_eq!(rows(&pair.base).await, before);

    // Whoever writes to a table waits for the end.
    const LATE: &str =
        "SET lock_timeout = '100ms'; DO $$BEGIN UPDATE t SET v = 'late'; RAISE 'written';
        EXCEPTION WHEN lock_not_available THEN NULL; END$$";
    let updated = during(&pair, Phase::Load, LATE).await.unwrap();
    assert_eq!(updated.large_objects, 2, "the changed one and the stray");
    pair.require_equal().await;
}

/// A delta beside somebody who runs a statement in the base when a phase begins.
async fn during(pair: &Pair, phase: Phase, statement: &'static str) -> pgsnap::Result<Updated> {
    let base = pair.survey().await;
    let progress: Arc<dyn Progress> =
        Arc::new(During::of(pair.there(), "base", phase, statement).await);
    delta(&pair.source, base, &options(), &progress).await
}

/// A function that writes when it is asked, behind the back of whoever refreshes a view.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_function_wrote_meanwhile_are_seen_and_taken_back() {
    let setup = format!(
        "{SMALL}; CREATE FUNCTION sly() RETURNS int LANGUAGE plpgsql AS $$BEGIN
           IF current_setting('session_replication_role') = 'replica' THEN INSERT INTO public.u VALUES (99); END IF; RETURN 1; END$$;
         CREATE MATERIALIZED VIEW m AS SELECT public.sly()"
    );
    let pair = Pair::with_sql(&setup).await;
    let before = rows(&pair.base).await;
    let base = pair.survey().await;
    pair.change("UPDATE t SET v = 'new' WHERE id = 1").await;
    let error = delta(&pair.source, base, &options(), &quiet()).await.unwrap_err();
    let Error::UnexpectedWrites { tables } = &error else { panic!("{error}") };
    assert_eq!(tables[..], ["\"public\".\"u\""]);
    assert_eq!(rows(&pair.base).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_the_right_to_replicate_is_told_how_to_get_it() {
    let server = Server::with_tcp().await;
    let admin = server.scratch.database("postgres");
    pgsnap::execute(&admin, "CREATE ROLE app LOGIN PASSWORD 'a' CREATEDB").await.unwrap();
    let source = server.with_sql("hub", SMALL).await;
    let own = "ALTER TABLE t OWNER TO app; ALTER TABLE u OWNER TO app; ALTER SEQUENCE s OWNER TO app; ALTER LARGE OBJECT 4001 OWNER TO app;
        ALTER DATABASE hub OWNER TO app";
    pgsnap::execute(&source, own).await.unwrap();
    let of_app = |name: &str| {
        let port = server.scratch.port();
        Database::from_url(&format!("postgresql://app:a@127.0.0.1:{port}/{name}")).unwrap()
    };
    let base = server.scratch.database("base");
    copy(&source, &base, &CopyOptions::default(), &quiet()).await.unwrap();
    let (from, into) = (of_app("hub"), of_app("base"));
    let obstacles = plan_delta(&from, &into, &options()).await.unwrap().obstacles;
    let [only] = &obstacles[..] else { panic!("{obstacles:?}") };
    assert!(only.problem.contains("session_replication_role"), "{only:?}");
    if server.major().await < 15 {
        return;
    }
    let grant = "GRANT SET ON PARAMETER session_replication_role TO app";
    pgsnap::execute(&admin, grant).await.unwrap();
    let surveyed = survey(&into, &options(), &quiet()).await.unwrap();
    pgsnap::execute(&source, CHANGED).await.unwrap();
    let updated = delta(&from, surveyed, &options(), &quiet()).await.unwrap();
    assert_eq!((counts(&updated, "t"), updated.large_objects), ((100, 100), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_no_encoding_arrive_and_text_that_might_change_is_refused() {
    let server = Server::start().await;
    for (encoding, value) in
        [("SQL_ASCII", "E'\\xff\\xfe'"), ("LATIN1", "chr(233)"), ("WIN1252", "'x'")]
    {
        let name = encoding.to_lowercase();
        let create = format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        pgsnap::execute(&server.scratch.database("postgres"), &create).await.unwrap();
        let source = server.scratch.database(&name);
        let fill =
            format!("CREATE TABLE t AS SELECT {value}::text AS v, n FROM generate_series(1, 50) n");
        pgsnap::execute(&source, &fill).await.unwrap();
        let base = server.scratch.database(&format!("{name}_base"));
        copy(&source, &base, &CopyOptions::default(), &quiet()).await.unwrap();
        let surveyed = survey(&base, &options(), &quiet()).await.unwrap();
        pgsnap::execute(&source, &format!("UPDATE t SET v = v || {value} WHERE n > 40"))
            .await
            .unwrap();
        match delta(&source, surveyed, &options(), &quiet()).await {
            Ok(updated) => assert_eq!(counts(&updated, "t"), (10, 10), "{encoding}"),
            Err(Error::Preflight { obstacles }) => {
                assert_eq!(encoding, "WIN1252");
                assert!(obstacles[0].problem.contains("on its way to UTF-8"), "{obstacles:?}");
            }
            Err(error) => panic!("{encoding}: {error}"),
        }
    }
    let (a, b) = (server.scratch.database("latin1"), server.scratch.database("sql_ascii"));
    let plan = plan_delta(&a, &b, &options()).await.unwrap();
    assert!(plan.obstacles[0].problem.contains("encoded in LATIN1"), "{plan:?}");
    a_database_is_not_its_own_base(a).await;
}

async fn a_database_is_not_its_own_base(hub: Database) {
    let found = plan_delta(&hub, &hub, &options()).await.unwrap().obstacles;
    assert_eq!(found[0].problem, "the source and the base are the same database");
    let surveyed = survey(&hub, &options(), &quiet()).await.unwrap();
    let error = delta(&hub, surveyed, &options(), &quiet()).await.unwrap_err();
    assert!(matches!(error, Error::Preflight { .. }), "{error}");
}

/// The properties of the source, which stands behind a fence, are those of before the fence.
#[tokio::test(flavor = "multi_thread")]
async fn properties_of_the_database_follow_the_source() {
    const PROPERTIES: &str = "
        SELECT concat_ws(' | ', d.datconnlimit, pg_get_userbyid(d.datdba), shobj_description(d.oid, 'pg_database'),
            (SELECT string_agg(concat_ws(' ', CASE s.setrole WHEN 0 THEN 'all' ELSE s.setrole::regrole::text END, s.setconfig), ' ' ORDER BY s.setrole)
               FROM pg_db_role_setting s WHERE s.setdatabase = d.oid),
            (SELECT string_agg(concat_ws(' ', CASE a.grantee WHEN 0 THEN 'all' ELSE a.grantee::regrole::text END, a.privilege_type), ', ' ORDER BY a.grantee, 2)
               FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a))
          FROM pg_database d WHERE d.datname = current_database()";
    let pair = Pair::with_sql(SMALL).await;
    let roles = "CREATE ROLE app; CREATE ROLE ops";
    pgsnap::execute(&pair.here.scratch.database("postgres"), roles).await.unwrap();
    let mut source = pair.source.clone();
    for statements in [
        "ALTER DATABASE hub CONNECTION LIMIT 50; REVOKE ALL ON DATABASE hub FROM PUBLIC; GRANT CONNECT ON DATABASE hub TO app;
         ALTER DATABASE hub SET work_mem = '9MB'; ALTER ROLE ops IN DATABASE hub SET work_mem = '8MB'; COMMENT ON DATABASE hub IS 'the hub'",
        "ALTER DATABASE hub CONNECTION LIMIT -1; ALTER DATABASE hub OWNER TO app; REVOKE ALL ON DATABASE hub FROM app; GRANT TEMPORARY ON DATABASE hub TO ops;
         ALTER DATABASE hub RESET ALL; ALTER ROLE ops IN DATABASE hub RESET ALL; COMMENT ON DATABASE hub IS NULL; ALTER DATABASE hub SET search_path = a, b",
    ] {
        pair.change(statements).await;
        let expected = scalar(&source, PROPERTIES).await;
        let updated = pair.delta(pair.survey().await).await;
        assert!(updated.notes.is_empty(), "{:?}", updated.notes);
        assert_eq!(scalar(&pair.base, PROPERTIES).await, expected);
        assert_eq!(scalar(&source, PROPERTIES).await, expected);
    }
    let expected = scalar(&source, PROPERTIES).await;
    let record = pair.here.file("fence");
    let fenced = pgsnap::fence(&source, &record, &FenceOptions::default()).await.unwrap();
    source = fenced.database(&source);
    assert_ne!(scalar(&source, PROPERTIES).await, expected, "the fence shows");
    let surveyed = pair.survey().await;
    let updated = delta(&source, surveyed, &options(), &quiet()).await.unwrap();
    assert_eq!(updated.source.database, "hub");
    assert_eq!(scalar(&pair.base, PROPERTIES).await, expected);
}
