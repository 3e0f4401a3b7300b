//! Bad input and faults: each has its error, its exit code, and loses nothing.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use journal::Outcome;

use crate::support::{Home, Run, block_on, database_of, scalar, sql, url, wait_for};

#[test]
fn a_wrong_key_is_a_no_that_names_the_right_one() {
    let home = Home::new();
    home.backup();
    home.generate_key("wrong.txt");
    let run = home.expect(1, &["verify", "--identity", "wrong.txt"]);
    run.says("none of the 1 given identities opens").says("hint: it was sealed for age1");
    home.expect(1, &["drill", "--identity", "wrong.txt"]).says("none of the 1 given");
    assert_eq!(home.journal("drill")[0].outcome, Outcome::Failed);
}

#[test]
fn without_a_key_a_backup_stays_sealed_and_latest_does_not_move() {
    let home = Home::new();
    let first = home.backup();
    let configuration = fs_err::read_to_string(home.path("hubctl.toml")).unwrap();
    fs_err::write(
        home.path("hubctl.toml"),
        configuration.replace("identities = [\"key.txt\"]\n", ""),
    )
    .unwrap();
    let second = home.expect(0, &["backup"]);
    second.says("NOT VERIFIED").says("`latest` still points to the last verified backup");
    let latest = home
        .path("vault")
        .join(fs_err::read_link(home.path("vault/state-hub-latest.sql.gz.age")).unwrap());
    assert_eq!(fs_err::canonicalize(latest).unwrap(), fs_err::canonicalize(first).unwrap());
    home.expect(2, &["verify", second.stdout.trim_end()]).says("no identity was given");
    home.expect(0, &["verify", second.stdout.trim_end(), "--identity", "key.txt"]);
    assert_eq!(home.json(0, "hubctl.backups.v1", &["backups"])["backups"][0]["state"], "verified");
}

#[test]
fn a_damaged_backup_is_a_no() {
    let home = Home::new();
    let path = home.backup();
    let whole = fs_err::read(&path).unwrap();
    let damage = |bytes: &[u8]| fs_err::write(&path, bytes).unwrap();

    flip(&path, whole.len() as u64 / 2);
    home.expect(1, &["verify", "--full"]).says("damaged");
    home.expect(1, &["drill"]).says("damaged");
    damage(&whole[..whole.len() - 1]);
    home.expect(1, &["verify", path.to_str().unwrap()]).says("truncated");
    damage(b"");
    home.expect(1, &["verify", path.to_str().unwrap()]).says("is empty");
    damage(b"not a backup");
    home.expect(1, &["verify", path.to_str().unwrap()]).says("truncated");
    damage(&whole);
    home.expect(0, &["verify", "--full"]);
    assert_eq!(
        home.journal("verify").iter().filter(|record| record.outcome == Outcome::Failed).count(),
        4
    );
}

/// Flips one bit.
fn flip(path: &Path, offset: u64) {
    let byte = [fs_err::read(path).unwrap()[usize::try_from(offset).unwrap()] ^ 1];
    let mut file = fs_err::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&byte).unwrap();
}

#[test]
fn a_server_that_is_not_there_could_not_be_asked() {
    let home = Home::new();
    let nowhere = "postgresql://hub@127.0.0.1:1/state_hub";
    home.expect(3, &["backup", nowhere]).says("could not connect").says("caused by:").says("hint:");
    home.expect(3, &["diff", "workstation", nowhere]).says("could not connect");
    home.expect(3, &["doctor", nowhere]).shows("unknown");
    assert_eq!(home.journal("backup")[0].outcome, Outcome::Failed);
    assert!(
        home.vault().iter().all(|name| name.starts_with('.') && !name.ends_with(".partial")),
        "{:?}",
        home.vault()
    );
}

#[test]
fn a_second_backup_is_told_who_is_at_work() {
    let home = Home::new();
    let vault = backup::Vault::open(home.path("vault"), "state-hub").unwrap();
    let lock = vault.lock().unwrap();
    let run = home.expect(3, &["backup"]);
    run.says("another run holds the lock of `state-hub`")
        .says(&format!("process {}", std::process::id()));
    drop(lock);
    home.backup();
}

#[test]
fn a_signal_leaves_nothing_half_done() {
    let home = Home::new();
    let blocker = crate::support::spawn({
        let database = database_of(&home.database);
        async move {
            let _ =
                pgsnap::execute(&database, "BEGIN; LOCK TABLE topics; SELECT pg_sleep(60)").await;
        }
    });
    wait_for(
        "postgres",
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%LOCK TABLE topics; SELECT pg_sleep%' AND wait_event = 'PgSleep'",
    );
    let child = home.command(&["backup"]).spawn().unwrap();
    let name = &home.database;
    wait_for(
        "postgres",
        &format!(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '{name}' AND application_name LIKE 'pgsnap dump%' AND wait_event_type = 'Lock'"
        ),
    );
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let run = Run::of(&child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130));
    run.says("interrupted");
    scalar(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%LOCK TABLE topics%'",
    );
    block_on(blocker).unwrap();
    assert_eq!(home.journal("backup")[0].outcome, Outcome::Interrupted);
    assert!(
        !home.vault().iter().any(|name| name.ends_with(".partial") || name.ends_with(".age")),
        "{:?}",
        home.vault()
    );
    home.backup();
}

#[test]
fn a_signal_during_a_restore_drops_the_unfinished_database() {
    let home = Home::new();
    home.backup();
    let copy = format!("{}_copy", home.database);
    let to = ["restore", "--to", "workstation", "--database", &copy];
    home.expect(0, &[&to[..], &["--execute"]].concat());
    let begun = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname LIKE '{copy}\\_\\_restoring\\_%'"
    );
    let left = format!("SELECT count(*) FROM pg_database WHERE datname LIKE '{copy}\\_\\_%'");
    for (arguments, signal) in [
        (&[][..], rustix::process::Signal::TERM),
        (&["--format", "json"][..], rustix::process::Signal::INT),
    ] {
        let command = [&to[..], &["--execute"], arguments].concat();
        let child = home.command(&command).spawn().unwrap();
        wait_for("postgres", &begun);
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let run = Run::of(&child.wait_with_output().unwrap());
        assert_eq!(run.code, Some(130), "{run:?}");
        run.says(&format!("dropped the unfinished database {copy}__restoring_"))
            .says("interrupted; nothing unfinished is in place");
        assert_eq!(run.stdout.contains("\"exit_code\": 130"), !arguments.is_empty());
        assert_eq!(scalar("postgres", &left).as_deref(), Some("0"));
        assert_eq!(scalar(&copy, testkit::HUB_CHECK).as_deref(), Some("t"));
        let records = home.journal("restore");
        assert_eq!(records.last().unwrap().outcome, Outcome::Interrupted);
    }
}

#[test]
fn what_a_killed_run_left_is_named_and_removed() {
    let home = Home::new();
    let partial = home.path("vault/.state-hub-20261101T000000Z.Ab3xYz.partial");
    fs_err::write(&partial, "half").unwrap();
    home.expect(0, &["backups"]).says("leftover of an interrupted run");
    home.expect(0, &["doctor"]).shows("is a leftover");
    home.expect(0, &["backup"]).says("removed a leftover of an interrupted run");
    assert!(!partial.exists());
}

#[test]
fn rows_that_a_policy_hides_fail_the_backup_and_the_doctor() {
    let home = Home::new();
    let name = &home.database;
    sql(
        "postgres",
        "DO $$ BEGIN CREATE ROLE careful LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    );
    sql(name, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO careful; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO careful;
               ALTER TABLE topics ENABLE ROW LEVEL SECURITY");
    let careful = url(name).replace("user=postgres", "user=careful");
    home.expect(1, &["backup", &careful]).says("row-level security hides rows");
    home.expect(1, &["doctor", &careful]).shows("row-level security hides rows");
    sql(
        name,
        "ALTER TABLE topics DISABLE ROW LEVEL SECURITY; REVOKE SELECT ON topics FROM careful",
    );
    home.expect(1, &["backup", &careful]).says("may not read");
}

#[test]
fn a_journal_that_was_edited_is_found() {
    let home = Home::new();
    home.backup();
    home.expect(0, &["verify"]);
    let path = home.path("journal.jsonl");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replacen("\"done\"", "\"gone\"", 1)).unwrap();
    home.expect(1, &["journal", "verify"]).says("damaged at line 1");
    home.expect(1, &["doctor"]).shows("was edited");
    fs_err::write(&path, "").unwrap();
    home.expect(0, &["journal", "verify"]);
}
