//! The main job from end to end, on a real server.

use journal::Outcome;

use crate::support::{Home, database_of, new_database, scalar, sql, url};

#[test]
fn init_backup_verify_restore_diff_and_drill() {
    let home = Home::new();
    fs_err::remove_file(home.path("hubctl.toml")).unwrap();
    let init = [
        "init",
        "--database",
        &url(&home.database),
        "--vault",
        "vault",
        "--generate-key",
        "keys/new.txt",
    ];
    home.expect(0, &init).shows("hubctl.toml");
    home.append("[journal]\npath = \"journal.jsonl\"\n");
    home.expect(0, &["doctor"]).shows("there is only one: without its key every backup is lost");

    let path = home.backup();
    assert!(path.starts_with(home.path("vault")), "{path:?}");
    home.expect(0, &["backups"]).shows("verified");
    home.expect(0, &["verify"]).shows("verified (quick)");
    home.expect(0, &["verify", "--full"]).shows("recounted and digested");

    let copy = format!("{}_copy", home.database);
    let to = ["restore", "--to", "workstation", "--database", &copy];
    home.expect(0, &to).says("nothing changed").shows(&copy);
    assert_eq!(
        scalar("postgres", &format!("SELECT count(*) FROM pg_database WHERE datname = '{copy}'"))
            .as_deref(),
        Some("0")
    );
    home.expect(0, &[&to[..], &["--execute"]].concat()).says("found equal to the manifest");
    home.expect(0, &["diff", "workstation", &url(&copy)]).says("equal:");
    home.expect(0, &["diff", &url(&copy), "latest"]).says("equal:");

    sql(&copy, "UPDATE topics SET title = 'changed' WHERE slug = (SELECT min(slug) FROM topics)");
    let id = scalar(&copy, "SELECT id FROM topics WHERE title = 'changed'").unwrap();
    let diff = home.expect(1, &["diff", "workstation", &url(&copy), "--rows", "5"]);
    diff.shows(&format!("id={id}")).shows("title").says("1 difference");
    home.expect(0, &["diff", "workstation", &url(&copy), "--counts"])
        .says("only counts were compared");
    home.expect(1, &["diff", "latest", &url(&copy)]).shows("topics");

    home.expect(0, &["drill"]).shows("drill passed").shows("all equal to the manifest");
    home.expect(0, &["backups"]).shows("drilled");
    home.expect(0, &["journal", "verify"]).says("the chain of 5 records holds");
}

#[test]
fn a_drill_with_a_wrong_answer_fails_and_is_recorded_as_failed() {
    let home = Home::new();
    home.append(
        "[drill]\nepisodic_memory = \"memory\"\nchecks = [\n\
         { name = \"point in time\", sql = \"select bool_and(holds) from hub_invariants\", expect = \"t\" },\n\
         { name = \"too many\", sql = \"select count(*) > 1000000 from topics\", expect = \"t\" },\n\
         { name = \"no such table\", sql = \"select count(*) from nowhere\", expect = \"0\" }]\n",
    );
    home.backup();
    home.expect(1, &["drill"]).shows("drill failed").shows("too many").shows("does not exist");
    let records = home.journal("drill");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].outcome, Outcome::Failed);
    assert_eq!(records[0].evidence["checks"][0]["passed"], true);
    assert_eq!(records[0].evidence["checks"][1]["found"], "f");
    home.expect(0, &["backups"]).shows("verified");

    let pages: Vec<_> =
        fs_err::read_dir(home.path("memory")).unwrap().map(|page| page.unwrap().path()).collect();
    assert_eq!(pages.len(), 1);
    let page = fs_err::read_to_string(&pages[0]).unwrap();
    for expected in [
        "# Drill of state-hub: failed",
        "| too many | failed | t | f |",
        "| \"public\".\"topics\" |",
        "old",
    ] {
        assert!(page.contains(expected), "`{expected}` is not in:\n{page}");
    }
}

#[test]
fn a_drill_on_a_server_leaves_nothing_there() {
    let home = Home::new();
    home.backup();
    let drill = home.json(0, "hubctl.drill.v1", &["drill", "--server", &url("postgres")]);
    assert_eq!(drill["verdict"], "passed");
    assert!(drill["place"].as_str().unwrap().contains("state-hub__drill_"), "{drill}");
    let left = scalar(
        "postgres",
        "SELECT count(*) FROM pg_database WHERE datname LIKE 'state-hub\\_\\_drill%'",
    );
    assert_eq!(left.as_deref(), Some("0"));
}

#[test]
fn single_tables_come_out_of_a_backup_into_a_database_of_their_own() {
    let home = Home::new();
    home.backup();
    let restored =
        home.expect(0, &["restore", "--to", "workstation", "--table", "topics", "--execute"]);
    let name = restored.stdout.trim_end();
    assert!(name.starts_with(&format!("{}__tables_", home.database)), "{name}");
    let count = |database: &str| scalar(database, "SELECT count(*) FROM topics");
    assert_eq!(count(name), count(&home.database));
    home.expect(2, &["restore", "--to", "workstation", "--table", "nowhere", "--execute"])
        .says("no table");
}

#[test]
fn a_restore_keeps_what_was_there_and_refuses_while_somebody_uses_it() {
    let home = Home::new();
    home.backup();
    sql(&home.database, "DELETE FROM token_events");
    let plan = home.json(0, "hubctl.restore.v1", &["restore", "--to", "workstation"]);
    assert_eq!(plan["executed"], false);
    let done = home.json(0, "hubctl.restore.v1", &["restore", "--to", "workstation", "--execute"]);
    let kept = done["restored"]["kept"].as_str().unwrap();
    assert_eq!(scalar(kept, "SELECT count(*) FROM token_events").as_deref(), Some("0"));
    assert_ne!(scalar(&home.database, "SELECT count(*) FROM token_events").as_deref(), Some("0"));

    let busy = crate::support::spawn({
        let database = database_of(&home.database);
        async move {
            let _ = pgsnap::execute(&database, "SELECT pg_sleep(60)").await;
        }
    });
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND query LIKE '%pg_sleep%'",
        home.database
    );
    while scalar("postgres", &waits).as_deref() != Some("1") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    home.expect(1, &["restore", "--to", "workstation"]).says("obstacle:").says("connected");
    home.expect(1, &["restore", "--to", "workstation", "--execute"])
        .says("the target is not ready");
    assert_eq!(home.journal("restore").last().unwrap().outcome, Outcome::Failed);
    busy.abort();
}

#[test]
fn plain_dumps_of_others_restore_and_say_what_is_not_proven() {
    use std::io::Write as _;
    let home = Home::new();
    let dump = std::process::Command::new("pg_dump")
        .args(["--dbname", &url(&home.database)])
        .output()
        .unwrap();
    assert!(dump.status.success());
    let identity = fs_err::read_to_string(home.path("key.txt")).unwrap();
    let recipient = identity.trim().parse::<age::x25519::Identity>().unwrap().to_public();
    let path = home.path("vault/state-hub-20261101T000000Z.sql.gz.age");
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as _)).unwrap();
    let mut sealed = encryptor.wrap_output(fs_err::File::create(&path).unwrap()).unwrap();
    sealed.write_all(&dump.stdout).unwrap();
    sealed.finish().unwrap();

    home.expect(0, &["verify", "20261101", "--full"]).says("rows cannot be counted");
    let copy = format!("{}_plain", home.database);
    let to = ["restore", "20261101", "--to", "workstation", "--database", &copy];
    home.expect(0, &to).says("cannot be proven");
    home.expect(0, &[&to[..], &["--execute"]].concat()).says("not proven: row counts");
    home.expect(0, &["diff", "workstation", &url(&copy)]).says("equal:");
    home.expect(1, &["drill", "20261101"]).says("a plain dump has no manifest");
    home.expect(3, &["diff", "workstation", "20261101"]).says("no manifest to compare with");
}

#[test]
fn everything_works_without_a_configuration() {
    let home = Home::new();
    fs_err::remove_file(home.path("hubctl.toml")).unwrap();
    let recipient = home.generate_key("flag.txt");
    let database = url(&home.database);
    let vault = ["--vault", "vault", "--journal", "journal.jsonl"];
    let keys = ["--recipient", &recipient, "--identity", "flag.txt"];
    let taken = home.expect(0, &[&["backup", &database][..], &vault, &keys].concat());
    let path = taken.stdout.trim_end();
    // The database's name names the service where nothing else does.
    assert!(path.contains(&format!("/{}-", home.database)), "{path}");
    home.expect(0, &["verify", path, "--identity", "flag.txt", "--journal", "journal.jsonl"])
        .shows("verified (");
    home.expect(0, &["backups", "--vault", "vault"]).shows("verified");
    let copy = url(&new_database());
    home.expect(0, &["diff", &copy, path, "--identity", "flag.txt"]).says("equal:");
}

/// A definition names a server and not a copy of it: nothing is written there unless that is asked
/// for by name.
#[test]
fn foreign_rows_are_backed_up_and_written_back_only_on_request() {
    let home = Home::new();
    let far = format!("{}_far", home.database);
    sql("postgres", &format!("CREATE DATABASE {far}"));
    sql(&far, "CREATE TABLE readings AS SELECT generate_series(1, 3) AS id");
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'";
    if scalar("postgres", available).as_deref() != Some("1") {
        testkit::skip("this server comes without postgres_fdw");
        return;
    }
    let far_server = database_of(&far);
    let options =
        format!("host '{}', port '{}', dbname '{far}'", far_server.host(), far_server.port());
    sql(
        &home.database,
        &format!(
            "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({options});
             CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'postgres'); CREATE FOREIGN TABLE readings (id int) SERVER far"
        ),
    );
    let name = format!("{}_copy", home.database);
    let restore = ["restore", "--to", "workstation", "--database", &name];
    let named = ["--include-foreign-data", "far"];

    home.backup();
    home.expect(2, &[&restore[..], &named].concat()).says("no foreign server far in this archive");
    home.expect(2, &["backup", "--include-foreign-data", "nowhere"])
        .says("no foreign server nowhere in this database");
    home.expect(0, &["backup", "--include-foreign-data", "far"]).says("not of the snapshot");
    home.expect(0, &restore).says(
        "left out unless their server is named: server far: \"public\".\"readings\" (3 rows)",
    );
    home.expect(0, &["diff", "latest", "workstation"]).says("rows of foreign table");
    home.expect(1, &[&restore[..], &named, &["--execute"]].concat())
        .says("rows are already in the foreign table(s) \"public\".\"readings\" of server far");
    sql(&far, "TRUNCATE readings");
    home.expect(0, &[&restore[..], &["--execute"]].concat()).says("left out unless");
    let rows = |database: &str| scalar(database, "SELECT count(*) FROM readings").unwrap();
    assert_eq!(rows(&far), "0");
    home.expect(0, &[&restore[..], &named, &["--execute"]].concat())
        .says("rows were written into foreign servers");
    assert_eq!((rows(&far), rows(&name)), ("3".to_owned(), "3".to_owned()));
}

#[test]
fn the_workstation_is_gone() {
    let home = Home::new();
    let taken = home.backup();
    // All that is left: the sealed file that was elsewhere, and the escrow key.
    let left = tempfile::tempdir().unwrap();
    let file = left.path().join(taken.file_name().unwrap());
    fs_err::copy(&taken, &file).unwrap();
    fs_err::copy(home.path("escrow.txt"), left.path().join("escrow.txt")).unwrap();
    let run = |program: &mut std::process::Command| {
        program.current_dir(left.path()).env_clear();
        program.env("PATH", std::env::var_os("PATH").unwrap());
        let output = program.env("HOME", left.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    };

    let plain = format!("{}_by_hand", home.database);
    sql("postgres", &format!("CREATE DATABASE {plain}"));
    let pipeline = format!(
        "set -o pipefail; age -d -i escrow.txt {} | gunzip | psql -X -q -v ON_ERROR_STOP=1 --single-transaction '{}' > /dev/null",
        file.display(),
        url(&plain)
    );
    run(std::process::Command::new("bash").args(["-c", &pipeline]));
    home.expect(0, &["diff", "workstation", &url(&plain)]).says("equal:");

    let copy = format!("{}_by_hubctl", home.database);
    let hubctl = assert_cmd::cargo::cargo_bin!("hubctl");
    let restore = ["--to", &url(&copy), "--identity", "escrow.txt", "--execute"];
    run(std::process::Command::new(hubctl).arg("restore").arg(&file).args(restore));
    home.expect(0, &["diff", "workstation", &url(&copy)]).says("equal:");
}

#[test]
fn the_first_commands_of_the_readme_work_on_a_fresh_machine() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = fs_err::read_to_string(readme).unwrap();
    let (_, begin) = readme.split_once("## Begin\n\n```sh\n").unwrap();
    let (block, _) = begin.split_once("```").unwrap();
    let home = Home::new();
    fs_err::remove_file(home.path("hubctl.toml")).unwrap();
    let database = url(&home.database);
    let lines = block.lines().map(|line| line.split('#').next().unwrap());
    let mut run = 0;
    for line in lines {
        let words: Vec<&str> = line
            .strip_prefix("hubctl ")
            .unwrap()
            .split_whitespace()
            .map(|word| if word.starts_with("postgresql:") { &database } else { word })
            .collect();
        let answer = home.expect(0, &words);
        if words == ["doctor"] {
            assert!(!answer.stdout.contains("journal.jsonl: "), "{}", answer.stdout);
        }
        run += 1;
    }
    assert_eq!(run, 4);
    // A second key would take the place of the first.
    home.expect(2, &["init", "--config", "other.toml", "--generate-key"]);
}
