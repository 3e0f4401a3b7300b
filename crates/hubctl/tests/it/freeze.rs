//! A site is frozen, proven quiet, and thawed without a trace, also by runs that were killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hubctl::ops::{self, FreezeOrder, Ops, QuietOrder, ThawOrder};
use hubctl::settings::{Overrides, Settings};
use journal::Outcome;
use journal::evidence::{Evidence, Strength};
use pgsnap::{Database, ScratchOptions, ScratchServer};

use crate::support::{Home, Run, block_on, database_of, scalar, spawn, sql, url, wait_for};

const FREEZE: [&str; 3] = ["freeze", "workstation", "--execute"];
const THAW: [&str; 3] = ["thaw", "workstation", "--execute"];

/// A home whose database has everything that a fence changes, unlike its default.
fn home() -> Home {
    let home = Home::new();
    let name = &home.database;
    let setup = format!(
        "ALTER DATABASE {name} CONNECTION LIMIT 7; ALTER DATABASE {name} SET work_mem = '9MB';
         REVOKE CONNECT ON DATABASE {name} FROM PUBLIC; COMMENT ON DATABASE {name} IS 'ours'"
    );
    sql("postgres", &setup);
    home
}

/// The shared catalogue's view of a database, by its number; empty if it has another name.
fn catalogue(name: &str) -> String {
    described(name, "d.oid, d.datname, ")
}

/// The properties that the copy of a database has as well.
fn properties(name: &str) -> String {
    described(name, "")
}

fn described(name: &str, first: &str) -> String {
    let query = format!(
        "SELECT pg_catalog.concat_ws(' ', {first}d.datconnlimit, d.datallowconn,
            (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM aclexplode(COALESCE(d.datacl, acldefault('d', d.datdba))) a),
            (SELECT string_agg(s.setconfig::text, ' ' ORDER BY s.setrole) FROM pg_db_role_setting s WHERE s.setdatabase = d.oid),
            shobj_description(d.oid, 'pg_database'))
           FROM pg_database d WHERE d.datname = '{name}'"
    );
    scalar("postgres", &query).unwrap_or_default()
}

/// A client that inserts rows, with a new session for each, until it is told to stop.
fn writer(database: &Database) -> Arc<AtomicBool> {
    let (stop, database) = (Arc::new(AtomicBool::new(false)), database.clone());
    let told = Arc::clone(&stop);
    drop(spawn(async move {
        while !told.load(Ordering::SeqCst) {
            let _ = pgsnap::execute(&database, "INSERT INTO ticks DEFAULT VALUES").await;
        }
    }));
    stop
}

#[test]
fn a_freeze_is_planned_made_recorded_and_thawed_without_a_trace() {
    let home = home();
    sql(&home.database, "CREATE TABLE ticks (id serial)");
    let before = catalogue(&home.database);
    let client = database_of(&home.database);
    drop(spawn(async move {
        let _ = pgsnap::execute(&client, "SELECT pg_sleep(600)").await;
    }));
    let waiting = format!("datname = '{}' AND query LIKE '%pg_sleep(600)%'", home.database);
    wait_for("postgres", &format!("SELECT count(*) = 1 FROM pg_stat_activity WHERE {waiting}"));
    let stop = writer(&database_of(&home.database));

    home.expect(0, &["freeze", "workstation"])
        .says("nothing changed")
        .shows("clients   are refused");
    let plan = home.json(0, "hubctl.freeze.v1", &["freeze", "workstation"]);
    assert_eq!((&plan["executed"], &plan["kind"]), (&false.into(), &"hard".into()));
    assert!(!plan["sessions"].as_array().unwrap().is_empty(), "{plan}");
    assert_eq!(catalogue(&home.database), before);
    assert!(!home.path("journal.jsonl").exists() && !home.path("fences").exists());

    let frozen = home.json(0, "hubctl.freeze.v1", &FREEZE);
    stop.store(true, Ordering::SeqCst);
    let behind = frozen["fence"]["behind"].as_str().unwrap();
    assert_eq!(catalogue(&home.database), "");
    assert!(catalogue(behind).contains(behind), "{frozen}");
    assert!(!frozen["ended"].as_array().unwrap().is_empty(), "{frozen}");
    assert!(home.path("fences/workstation.json").exists());
    let records = home.journal("freeze");
    assert_eq!(
        records.iter().map(|record| &record.outcome).collect::<Vec<_>>(),
        [&Outcome::Started, &Outcome::Done]
    );
    let Evidence::Freeze(done) = Evidence::of(&records[1]) else { panic!("{records:?}") };
    assert_eq!((done.behind.as_deref(), done.strength), (Some(behind), Strength::Hard));

    home.expect(0, &["freeze", "workstation"]).shows(behind).says("already frozen");
    let again = home.json(0, "hubctl.freeze.v1", &FREEZE);
    assert_eq!((&again["resumed"], &again["fence"]), (&true.into(), &frozen["fence"]));
    assert_eq!(again["reading"], frozen["reading"], "the first reading stays");
    home.expect(1, &["freeze", "workstation", "--allow-reads"]).says("of the other kind");

    home.expect(0, &["thaw", "workstation"]).shows(behind).says("nothing changed");
    let thawed = home.json(0, "hubctl.thaw.v1", &THAW);
    assert_eq!(thawed["fence"], frozen["fence"]);
    assert!(thawed["lost"].as_array().unwrap().is_empty(), "{thawed}");
    assert_eq!(catalogue(&home.database), before);
    let kept = thawed["record"].as_str().unwrap();
    assert!(kept.ends_with(".json") && home.path(kept).exists(), "{kept}");
    assert!(!home.path("fences/workstation.json").exists());
    let Evidence::Thaw(thaw) = Evidence::of(&home.journal("thaw")[0]) else { panic!("no thaw") };
    assert_eq!(thaw.fence, done.fence);

    home.expect(0, &["thaw", "workstation"]).shows("is not frozen");
    home.expect(0, &THAW).says("workstation is not frozen");
    assert_eq!(home.journal("thaw").len(), 1, "nothing was done");
}

#[test]
fn a_site_is_thawed_from_the_server_alone() {
    let home = home();
    let before = catalogue(&home.database);
    for lost in ["fences/workstation.json", "fences"] {
        home.expect(0, &FREEZE).says("workstation is frozen as");
        let path = home.path(lost);
        if path.is_dir() {
            fs_err::remove_dir_all(path).unwrap();
        } else {
            fs_err::remove_file(path).unwrap();
        }
        home.expect(0, &THAW).says("workstation is thawed");
        assert_eq!(catalogue(&home.database), before);
    }
}

#[test]
fn a_site_that_cannot_be_frozen_is_left_as_it_is() {
    let home = home();
    let name = &home.database;
    sql("postgres", &format!("ALTER DATABASE {name} IS_TEMPLATE true"));
    let before = catalogue(name);
    home.expect(1, &["freeze", "workstation"]).says("obstacle: the database is a template");
    home.expect(1, &FREEZE).says("the database is a template").says("hint:");
    assert_eq!(catalogue(name), before);
    let outcomes: Vec<_> = home.journal("freeze").into_iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [Outcome::Started, Outcome::Failed]);
    sql("postgres", &format!("ALTER DATABASE {name} IS_TEMPLATE false"));

    home.expect(2, &["freeze", "nowhere"]).says("there is no site `nowhere`");
    for command in ["freeze", "thaw", "quiet"] {
        home.expect(3, &[command, "postgresql://hub@127.0.0.1:1/hub"]);
        home.expect(1, &[command, &crate::support::url("absent")])
            .says("there is no database absent");
    }
}

#[test]
fn readers_go_on_behind_a_soft_freeze() {
    let home = home();
    sql(&home.database, "CREATE TABLE ticks (id serial)");
    let before = catalogue(&home.database);
    home.expect(0, &["freeze", "workstation", "--allow-reads"]).shows("clients   may read");
    home.expect(0, &["freeze", "workstation", "--allow-reads", "--execute"])
        .says("read-only by default");
    let insert =
        block_on(pgsnap::execute(&database_of(&home.database), "INSERT INTO ticks DEFAULT VALUES"));
    assert_eq!(insert.unwrap_err().sqlstate(), Some("25006"));
    assert_eq!(scalar(&home.database, "SELECT count(*) FROM ticks").as_deref(), Some("0"));
    home.expect(0, &THAW);
    assert_eq!(catalogue(&home.database), before);
    sql(&home.database, "INSERT INTO ticks DEFAULT VALUES");
}

#[test]
fn a_killed_freeze_or_thaw_is_finished_or_undone_by_the_next_run() {
    let home = home();
    sql(&home.database, "CREATE TABLE ticks (id serial)");
    let before = catalogue(&home.database);
    let stop = writer(&database_of(&home.database));
    let kill_after = |command: &[&str], moment: Duration| {
        let mut child = home.command(command).spawn().unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let (mut untouched, mut begun) = (0, 0);
    for step in 0..24 {
        let moment = Duration::from_millis(8 * step);
        kill_after(&FREEZE, moment);
        if catalogue(&home.database) == before {
            untouched += 1;
        } else {
            begun += 1;
        }
        if step % 2 == 0 {
            home.expect(0, &FREEZE);
            assert_eq!(catalogue(&home.database), "", "after {moment:?}");
            kill_after(&THAW, moment);
        }
        home.expect(0, &THAW);
        assert_eq!(catalogue(&home.database), before, "after {moment:?}");
    }
    stop.store(true, Ordering::SeqCst);
    assert!(untouched > 0 && begun > 0, "{untouched} {begun}");
    home.expect(0, &["journal", "verify"]);
    assert!(home.journal("freeze").iter().any(|record| record.outcome == Outcome::Started));
}

#[test]
fn a_signal_during_a_freeze_leaves_no_fence() {
    let home = home();
    let name = home.database.clone();
    let before = catalogue(&name);
    let (held, postgres) = (Arc::new(tokio::sync::Notify::new()), database_of("postgres"));
    let release = Arc::clone(&held);
    let hold = format!("ALTER DATABASE {name} CONNECTION LIMIT 8; SELECT pg_sleep(600)");
    drop(spawn(async move {
        tokio::select! {
            _ = pgsnap::execute(&postgres, &hold) => {}
            () = held.notified() => {}
        }
    }));
    let holder = format!("query LIKE 'ALTER DATABASE {name} %pg_sleep(600)'");
    wait_for(
        "postgres",
        &format!(
            "SELECT count(*) = 1 FROM pg_stat_activity WHERE {holder} AND wait_event = 'PgSleep'"
        ),
    );
    let child = home.command(&FREEZE).spawn().unwrap();
    let waits = format!("query LIKE '%ALTER DATABASE \"{name}\"%' AND wait_event_type = 'Lock'");
    wait_for("postgres", &format!("SELECT count(*) = 1 FROM pg_stat_activity WHERE {waits}"));
    for command in [FREEZE, THAW] {
        home.expect(3, &command).says("another run works on the fence of this site");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {holder}");
    sql("postgres", &end);
    release.notify_one();
    let run = Run::of(&child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130), "{run:?}");
    run.says("no fence is left around").says("interrupted; nothing unfinished is in place");
    assert_eq!(catalogue(&name), before);
    assert_eq!(home.journal("freeze").last().unwrap().outcome, Outcome::Interrupted);
    home.expect(0, &FREEZE);
    home.expect(0, &THAW);
    assert_eq!(catalogue(&name), before);
}

#[test]
fn a_signal_during_a_thaw_says_that_a_fence_may_stand() {
    let home = home();
    let before = catalogue(&home.database);
    let frozen = home.json(0, "hubctl.freeze.v1", &FREEZE);
    let behind = frozen["fence"]["behind"].as_str().unwrap();
    let reader = database_of(behind);
    drop(spawn(async move {
        let _ = pgsnap::execute(&reader, "SELECT pg_sleep(601)").await;
    }));
    let reading = format!("datname = '{behind}' AND query LIKE '%pg_sleep(601)%'");
    wait_for("postgres", &format!("SELECT count(*) = 1 FROM pg_stat_activity WHERE {reading}"));
    let child = home.command(&THAW).spawn().unwrap();
    let waits = format!("query LIKE '%ALTER DATABASE \"{behind}\"%' AND pid <> pg_backend_pid()");
    wait_for("postgres", &format!("SELECT count(*) > 0 FROM pg_stat_activity WHERE {waits}"));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let run = Run::of(&child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130), "{run:?}");
    run.says("interrupted; thaw the site, or freeze it again");
    assert_eq!(catalogue(&home.database), "", "a reader keeps the name");
    assert_eq!(home.journal("thaw").last().unwrap().outcome, Outcome::Interrupted);
    sql(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {reading}"),
    );
    home.expect(0, &THAW);
    assert_eq!(catalogue(&home.database), before);
}

/// A server of its own: neighbours on the shared one take transaction numbers.
fn alone(home: &Home) -> (ScratchServer, Database) {
    let server = block_on(ScratchServer::start(&ScratchOptions::default())).unwrap();
    block_on(pgsnap::execute(&server.database("postgres"), "CREATE DATABASE hub")).unwrap();
    let hub = server.database("hub");
    block_on(pgsnap::execute(&hub, "CREATE TABLE ticks (id serial)")).unwrap();
    home.append(&format!(
        "[sites.alone]\ndatabase = \"postgresql:///hub?host={}&port={}&user=postgres\"\n",
        server.directory().display(),
        server.port()
    ));
    (server, hub)
}

#[test]
fn a_frozen_site_is_proven_quiet_until_something_is_written() {
    let home = Home::new();
    let (server, hub) = alone(&home);
    home.expect(1, &["quiet", "alone"]).says("alone is not frozen").says("freeze it first");
    home.expect(0, &["freeze", "alone", "--execute"]);
    let quiet = home.json(0, "hubctl.quiet.v1", &["quiet", "alone"]);
    assert_eq!(quiet["quiet"], true);
    for part in ["renamed", "empty", "xid", "sequences"] {
        assert_eq!(quiet[part]["verdict"], "proven", "{quiet}");
    }
    home.expect(0, &["quiet", "alone"])
        .says("quiet: nothing changed in alone")
        .shows("renamed    proven");
    fs_err::remove_file(home.path("fences/alone.quiet.json")).unwrap();
    home.expect(3, &["quiet", "alone"]).says("no reading was taken").says("hubctl freeze alone");
    home.expect(0, &["freeze", "alone", "--execute"]);
    home.expect(0, &["quiet", "alone"]);

    let frozen = quiet["fence"]["behind"].as_str().unwrap();
    let write = "BEGIN READ WRITE; SELECT nextval('ticks_id_seq'); COMMIT";
    // A superuser who knows the name gets in, and is seen.
    block_on(pgsnap::execute(&server.database(frozen), write)).unwrap();
    let moved = home.json(1, "hubctl.quiet.v1", &["quiet", "alone"]);
    assert_eq!(moved["sequences"]["verdict"], "refuted", "{moved}");
    assert_eq!(moved["xid"]["verdict"], "unknown", "{moved}");
    home.expect(0, &["thaw", "alone", "--execute"]);
    block_on(pgsnap::execute(&hub, "INSERT INTO ticks DEFAULT VALUES")).unwrap();
}

#[test]
fn a_frozen_site_is_backed_up_compared_and_copied_behind_its_fence() {
    let home = home();
    let name = &home.database;
    let before = properties(name);
    let frozen = home.json(0, "hubctl.freeze.v1", &FREEZE);
    let behind = frozen["fence"]["behind"].as_str().unwrap();
    let reading = format!("workstation is frozen; reading {behind}");

    home.expect(0, &["backup"]).says(&reading).says("verified:");
    let taken = home.json(0, "hubctl.backup.v1", &["backup", "workstation"]);
    assert_eq!(taken["payload"]["database"], name.as_str());
    home.expect(0, &["diff", "workstation", "latest"]).says(&reading).says("equal:");
    let (restored, copied) = (format!("{name}_restored"), format!("{name}_copied"));
    home.expect(0, &["restore", "latest", "--to", &url(&restored), "--execute"]);
    home.expect(0, &["copy", "workstation", "--to", &url(&copied), "--execute"]).says(&reading);
    for place in [&restored, &copied] {
        assert_eq!(properties(place), before, "{place}");
        home.expect(0, &["diff", "workstation", &url(place)]).says("equal:");
    }
    let examined = home.hubctl(&["doctor", "workstation"]);
    examined.shows("frozen since").shows(behind).says("hubctl thaw workstation");
    // Everything else names the database as clients do.
    home.expect(3, &["writers", "workstation", "--for", "10ms"]).says("does not exist");

    // Without its file the fence is found on the server.
    fs_err::remove_dir_all(home.path("fences")).unwrap();
    home.expect(0, &["diff", "workstation", "latest"]).says(&reading).says("equal:");
    home.expect(0, &THAW);
    let thawed = home.expect(0, &["diff", "workstation", "latest"]);
    assert!(!thawed.stderr.contains("is frozen"), "{thawed:?}");
    assert_eq!(properties(name), before);
}

#[test]
fn a_name_that_another_database_took_leads_to_that_one() {
    let home = home();
    home.expect(0, &FREEZE);
    home.backup();
    sql("postgres", &format!("CREATE DATABASE {}", home.database));
    let other = home.expect(1, &["diff", "workstation", "latest"]);
    assert!(!other.stderr.contains("is frozen"), "{other:?}");
}

#[test]
fn a_frozen_site_with_busy_neighbours_is_proven_quiet_by_its_rows() {
    let home = Home::new();
    let (server, hub) = alone(&home);
    block_on(pgsnap::execute(&hub, "INSERT INTO ticks SELECT generate_series(1, 9)")).unwrap();
    let frozen = home.json(0, "hubctl.freeze.v1", &["freeze", "alone", "--execute"]);
    home.expect(0, &["backup", "alone"]);
    let idle = home.json(0, "hubctl.quiet.v1", &["quiet", "alone", "--against", "latest"]);
    assert_eq!((&idle["census"], &idle["xid"]["verdict"]), (&().into(), &"proven".into()));

    let neighbour = "CREATE TABLE neighbours (id int)";
    block_on(pgsnap::execute(&server.database("postgres"), neighbour)).unwrap();
    home.expect(1, &["quiet", "alone"])
        .shows("xid        unknown")
        .says("not proven")
        .says("hubctl quiet alone --against");
    let quiet = home.json(0, "hubctl.quiet.v1", &["quiet", "alone", "--against", "latest"]);
    assert_eq!((&quiet["quiet"], &quiet["census"]["verdict"]), (&true.into(), &"proven".into()));
    home.expect(0, &["quiet", "alone", "--against", "latest"])
        .shows("census     proven: all 9 rows")
        .says("quiet: every row of alone is as in state-hub-");
    home.expect(2, &["quiet", "alone", "--against", "alone"]).says("is the frozen database itself");
    home.expect(2, &["quiet", "alone", "--against", "nothing"]);

    let behind = server.database(frozen["fence"]["behind"].as_str().unwrap());
    let write = "BEGIN READ WRITE; UPDATE ticks SET id = 90 WHERE id = 9; COMMIT";
    block_on(pgsnap::execute(&behind, write)).unwrap();
    let moved = home.json(1, "hubctl.quiet.v1", &["quiet", "alone", "--against", "latest"]);
    assert_eq!(moved["census"]["verdict"], "refuted", "{moved}");
}

#[test]
fn a_writer_is_named_with_its_table() {
    let home = Home::new();
    sql(&home.database, "CREATE TABLE ticks (id serial)");
    home.expect(0, &["writers", "workstation", "--for", "10ms"]).shows("no writer was seen");
    let stop = writer(&database_of(&home.database));
    let seen =
        home.json(0, "hubctl.writers.v1", &["writers", "workstation", "--for", "1s", "--hold"]);
    let run = home.expect(0, &["writers", "workstation", "--for", "1s", "--hold"]);
    stop.store(true, Ordering::SeqCst);
    let named = &seen["writers"][0];
    assert_eq!((&named["role"], &named["table"]["name"]), (&"postgres".into(), &"ticks".into()));
    run.says("watching workstation for 1.0 s").shows("ROLE").shows("ticks").shows("postgres");
    home.expect(2, &["writers", "workstation", "--for", "soon"]).says("such as");
    home.expect(3, &["writers", "postgresql://hub@127.0.0.1:1/hub"]);
}

#[test]
fn a_site_is_frozen_and_thawed_without_a_command() {
    let home = Home::new();
    let (_server, _hub) = alone(&home);
    let settings = Settings::load(Some(&home.path("hubctl.toml")), Overrides::default()).unwrap();
    let ops = Ops::new(settings);
    let plan = block_on(ops::plan_freeze(&ops, FreezeOrder::new("alone"))).unwrap();
    assert!(plan.is_clear() && plan.standing.is_none());
    let frozen = block_on(ops::freeze(&ops, FreezeOrder::new("alone"))).unwrap();
    let quiet = block_on(ops::quiet(&ops, QuietOrder::new("alone"))).unwrap();
    assert!(quiet.quiet && quiet.fence == frozen.fence && quiet.since == frozen.reading.taken_at);
    let thaw = block_on(ops::plan_thaw(&ops, ThawOrder::new("alone"))).unwrap();
    assert_eq!(thaw.fence.as_ref(), Some(&frozen.fence));
    let thawed = block_on(ops::thaw(&ops, ThawOrder::new("alone"))).unwrap();
    assert_eq!(thawed.fence, Some(frozen.fence));
}
