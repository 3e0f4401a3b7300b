//! Faults of the surroundings: disk, server, rights, and others at work on the same tables.

use std::time::{Duration, Instant};

use journal::Outcome;
use pgsnap::{ScratchOptions, ScratchServer};
use testkit::Tmpfs;

use crate::support::{Home, Run, block_on, database_of, scalar, spawn, sql, url, wait_for};

/// The files of a vault that are neither locks nor whole backups.
fn unfinished(directory: &std::path::Path) -> Vec<String> {
    let names = fs_err::read_dir(directory)
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.') && !name.ends_with("lock")).collect()
}

#[test]
fn a_full_disk_could_not_take_the_backup_and_keeps_the_last_one() {
    let Some(disk) = Tmpfs::mount(8 << 20) else {
        testkit::skip("a small file system can only be mounted by root");
        return;
    };
    let home = Home::new();
    let vault = ["--vault", disk.path().to_str().unwrap()];
    let backup = [&["backup"][..], &vault].concat();
    let good = home.expect(0, &backup);
    let latest = || {
        fs_err::canonicalize(disk.path().join("state-hub-latest.sql.gz.age"))
            .unwrap()
            .display()
            .to_string()
    };
    assert_eq!(latest(), good.stdout.trim_end());

    let room = rustix::fs::statvfs(disk.path()).unwrap();
    let leave = 200 << 10;
    let filler = vec![0; usize::try_from(room.f_bavail * room.f_frsize - leave).unwrap()];
    fs_err::write(disk.path().join("filler"), filler).unwrap();
    let run = home.expect(3, &backup);
    run.says(&format!("there is no room left for the backup in {}", disk.path().display()))
        .says("the vault has")
        .says("hint: make room on this file system");
    assert_eq!(unfinished(disk.path()), Vec::<String>::new());
    assert_eq!(latest(), good.stdout.trim_end());
    assert_eq!(home.journal("backup")[1].outcome, Outcome::Failed);
    home.expect(0, &[&["verify", "--full"][..], &vault].concat());

    fs_err::remove_file(disk.path().join("filler")).unwrap();
    let next = home.expect(0, &backup);
    assert_eq!(latest(), next.stdout.trim_end());
}

#[test]
fn a_server_that_dies_in_the_middle_leaves_nothing_short() {
    let server = block_on(ScratchServer::start(&ScratchOptions::default())).unwrap();
    let execute = |database: &str, sql: &str| {
        block_on(pgsnap::execute(&server.database(database), sql)).unwrap();
    };
    execute("postgres", "CREATE DATABASE hub");
    execute(
        "hub",
        "CREATE TABLE large AS SELECT n, md5(n::text) AS text FROM generate_series(1, 1500000) AS n",
    );
    let home = Home::new();
    let good = home.backup();
    let source = format!("postgresql:///hub?host={}&user=postgres", server.directory().display());
    let mut child = home.command(&["backup", &source]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let written = || -> u64 {
        let sizes = fs_err::read_dir(home.path("vault")).unwrap().flatten();
        let partial = sizes.filter(|item| item.path().extension().is_some_and(|e| e == "partial"));
        partial.filter_map(|item| item.metadata().ok()).map(|metadata| metadata.len()).sum()
    };
    while written() == 0 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    server.kill().unwrap();
    let run = Run::of(&child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(3), "{run:?}");
    run.says("error:").says("hint:");
    let names = home.vault();
    assert_eq!(
        names.iter().filter(|name| name.ends_with(".age") && !name.contains("latest")).count(),
        1,
        "{names:?}"
    );
    assert_eq!(unfinished(&home.path("vault")), Vec::<String>::new());
    assert_eq!(fs_err::canonicalize(home.path("vault/state-hub-latest.sql.gz.age")).unwrap(), good);
    assert_eq!(home.journal("backup")[1].outcome, Outcome::Failed);
}

#[test]
fn rows_that_are_rewritten_meanwhile_are_all_there_or_the_backup_fails() {
    let home = Home::new();
    let name = home.database.clone();
    sql(&name, "CREATE TABLE rewritten AS SELECT generate_series(1, 5000) AS n");
    // A snapshot from before the commit would find the table empty: the old rows are gone, the new ones are not visible.
    let holding = spawn({
        let database = database_of(&name);
        async move {
            // Until it is ended, below.
            let hold = "SELECT pg_advisory_lock(1), pg_sleep(600)";
            pgsnap::execute(&database, hold).await.unwrap_err();
        }
    });
    let until = |event: &str| {
        let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname";
        wait_for("postgres", &format!("{waits} = '{name}' AND wait_event = '{event}'"));
    };
    until("PgSleep");
    let rewriting = spawn({
        let database = database_of(&name);
        async move {
            let rewrite = "BEGIN; CREATE TEMPORARY TABLE aside AS SELECT * FROM rewritten; TRUNCATE rewritten;
                           INSERT INTO rewritten SELECT * FROM aside; SELECT pg_advisory_xact_lock(1); COMMIT";
            pgsnap::execute(&database, rewrite).await.unwrap();
        }
    });
    until("advisory");
    let backup = home.command(&["backup"]).spawn().unwrap();
    until("relation");
    sql(
        "postgres",
        &format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'PgSleep'"
        ),
    );
    let run = Run::of(&backup.wait_with_output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    block_on(holding).unwrap();
    block_on(rewriting).unwrap();
    home.expect(0, &["diff", "workstation", "latest"]).says("equal:");
    let copy = format!("{name}_rewritten");
    let to = ["--to", "workstation", "--database", &copy, "--execute"];
    home.expect(0, &[&["restore", "--table", "rewritten"][..], &to].concat());
    let count = scalar(&copy, "SELECT count(*) FROM rewritten");
    assert_eq!(count.as_deref(), Some("5000"));
}

#[test]
fn a_role_that_may_not_create_databases_is_told_before_anything_is_done() {
    let home = Home::new();
    home.backup();
    sql(
        "postgres",
        "DO $$ BEGIN CREATE ROLE modest LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    );
    let modest = url("somewhere").replace("user=postgres", "user=modest");
    for execute in [&["restore", "--to", &modest][..], &["restore", "--to", &modest, "--execute"]] {
        home.expect(1, execute)
            .says("this role may not create databases")
            .says("hint: grant it with ALTER ROLE");
    }
}

#[test]
fn a_database_in_use_is_not_replaced() {
    let home = Home::new();
    home.backup();
    let busy = spawn({
        let database = database_of(&home.database);
        async move {
            let _ = pgsnap::execute(&database, "SELECT pg_sleep(60)").await;
        }
    });
    wait_for(
        "postgres",
        &format!(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'PgSleep'",
            home.database
        ),
    );
    let run = home.expect(1, &["restore", "--to", "workstation", "--execute"]);
    run.says("session(s) are connected to database")
        .says("hint: stop the service that uses it, or restore under another name");
    busy.abort();
}
