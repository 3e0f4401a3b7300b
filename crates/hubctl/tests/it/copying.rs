//! A database becomes another one without a backup in between.

use journal::Outcome;

use crate::support::{Home, Run, scalar, sql, url, wait_for};

#[test]
fn a_copy_is_planned_made_and_recorded() {
    let home = Home::new();
    let copy = format!("{}_copy", home.database);
    let to = url(&copy);
    let command = ["copy", "workstation", "--to", &to];
    home.expect(0, &command).says("nothing changed").shows("15 tables, about").shows(&copy);
    let exists = format!("SELECT count(*) FROM pg_database WHERE datname = '{copy}'");
    assert_eq!(scalar("postgres", &exists).as_deref(), Some("0"));

    home.expect(0, &[&command[..], &["--execute"]].concat())
        .says("copied and found equal to the source")
        .shows(&copy);
    home.expect(0, &["diff", "workstation", &to]).says("equal:");
    sql(&copy, "DELETE FROM token_events");
    let plan = home.json(0, "hubctl.copy.v1", &command);
    assert_eq!(plan["executed"], false);
    assert!(plan["plan"]["target"]["keeps"].is_string(), "{plan}");
    let done =
        home.json(0, "hubctl.copy.v1", &[&command[..], &["--jobs", "1", "--execute"]].concat());
    let kept = done["restored"]["kept"].as_str().unwrap();
    let events = "SELECT count(*) FROM token_events";
    assert_eq!(scalar(kept, events).as_deref(), Some("0"));
    assert_eq!(scalar(&copy, events), scalar(&home.database, events));

    let records = home.journal("copy");
    assert_eq!(records.len(), 2);
    let evidence = &records[1].evidence;
    assert_eq!(records[1].outcome, Outcome::Done);
    assert!(records[1].subject.starts_with("workstation to "));
    assert_eq!(evidence["from"], "workstation");
    assert_eq!(evidence["source"]["database"], home.database.as_str());
    assert_eq!(evidence["database"], copy.as_str());
    assert_eq!(evidence["kept"], kept);
    assert_eq!(evidence["verdict"], "equal");
    assert!(evidence["digest_found"].is_string(), "{evidence}");
    assert_eq!(evidence["digest_found"], evidence["source"]["digest"]);
    assert_eq!(evidence["source"], done["source"]);
}

/// A CHECK of a `varchar` with a few words prints differently once its print was parsed.
#[test]
fn what_prints_differently_is_equal_for_restore_copy_diff_and_gate() {
    let home = Home::new();
    let words = "CREATE TABLE words (id int PRIMARY KEY, status varchar(20) DEFAULT 'active' CHECK (status IN ('active', 'archived')));
        INSERT INTO words VALUES (1)";
    sql(&home.database, words);
    home.backup();
    let (restored, copied) =
        (format!("{}_restored", home.database), format!("{}_copied", home.database));
    home.append(&format!(
        "[sites.restored]\ndatabase = \"{}\"\n[sites.copied]\ndatabase = \"{}\"\n
         [gates.moved]\ncondition = \"census-equal\"\na = \"workstation\"\nb = \"copied\"\n",
        url(&restored),
        url(&copied)
    ));
    home.expect(0, &["restore", "--to", "restored", "--execute"]);
    home.expect(0, &["copy", "workstation", "--to", "copied", "--execute"]);
    for (a, b) in [
        ("workstation", "restored"),
        ("workstation", "copied"),
        ("latest", "copied"),
        ("copied", "latest"),
    ] {
        home.expect(0, &["diff", a, b])
            .says("equal:")
            .says("prints in another way: CREATE TABLE public.words");
    }
    let gate = home.expect(0, &["gates", "moved"]);
    gate.shows("are equal");

    let change = "ALTER TABLE words DROP CONSTRAINT words_status_check, ADD CHECK (status IN ('active', 'gone'))";
    sql(&copied, change);
    home.expect(1, &["diff", "workstation", "copied"])
        .shows("the schema differs (changed: CREATE TABLE public.words)")
        .shows("'archived'::character varying])::text[]")
        .shows("'gone'::character varying])::text[]");
    let told = home.json(1, "hubctl.diff.v1", &["diff", "workstation", "copied"]);
    let statements = &told["differences"][0]["statements"];
    assert_eq!(statements[0]["object"], "CREATE TABLE public.words");
    assert!(statements[0]["a"].as_str().unwrap().contains("archived"));
    assert!(statements[0]["b"].as_str().unwrap().contains("gone"));
    home.expect(1, &["gates", "moved"]).shows("1 difference");
}

#[test]
fn a_copy_onto_itself_or_onto_a_database_in_use_is_refused() {
    let home = Home::new();
    let onto_itself = ["copy", "workstation", "--to", "workstation"];
    home.expect(1, &onto_itself)
        .says("obstacle: the source and the target are the same database")
        .says("--database");
    home.expect(1, &[&onto_itself[..], &["--execute"]].concat()).says("the target is not ready");
    let records = home.journal("copy");
    assert_eq!(records.len(), 1, "a plan is no act");
    assert_eq!(records[0].outcome, Outcome::Failed);
    home.expect(2, &["copy", "workstation", "--to", "nowhere"]).says("there is no site `nowhere`");
    home.expect(2, &["copy", "workstation"]).says("--to");
    home.expect(3, &["copy", "workstation", "--to", "postgresql://hub@127.0.0.1:1/hub"]);
}

#[test]
fn a_signal_during_a_copy_drops_the_unfinished_database() {
    let home = Home::new();
    let copy = format!("{}_copy", home.database);
    let command = ["copy", "workstation", "--to", "workstation", "--database", &copy, "--execute"];
    home.expect(0, &command);
    let child = home.command(&command).spawn().unwrap();
    wait_for(
        "postgres",
        &format!(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname LIKE '{copy}\\_\\_restoring\\_%'"
        ),
    );
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let run = Run::of(&child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130), "{run:?}");
    run.says(&format!("dropped the unfinished database {copy}__restoring_"))
        .says("interrupted; nothing unfinished is in place");
    let left = format!("SELECT count(*) FROM pg_database WHERE datname LIKE '{copy}\\_\\_%'");
    assert_eq!(scalar("postgres", &left).as_deref(), Some("0"));
    assert_eq!(scalar(&copy, testkit::HUB_CHECK).as_deref(), Some("t"));
    let records = home.journal("copy");
    assert_eq!(records.last().unwrap().outcome, Outcome::Interrupted);
}
