//! The form of the answers: JSON, exit codes, streams.

use std::process::Stdio;

use clap::CommandFactory as _;

use crate::support::{Home, Run, new_database, sql, url};

#[test]
fn every_command_answers_with_one_document_of_its_schema() {
    let home = Home::new();
    let doctor = home.json(0, "hubctl.doctor.v1", &["doctor"]);
    assert_eq!(doctor["healthy"], true);
    let backup = home.json(0, "hubctl.backup.v1", &["backup"]);
    assert_eq!(backup["state"], "verified");
    assert_eq!(backup["recipients"].as_array().unwrap().len(), 2);
    assert!(backup["payload"]["rows"].as_u64().unwrap() > 1000);
    let id = backup["id"].as_str().unwrap();

    let backups = home.json(0, "hubctl.backups.v1", &["backups"]);
    assert_eq!(backups["backups"][0]["id"], id);
    assert_eq!(backups["backups"][0]["rows"], backup["payload"]["rows"]);
    let verified = home.json(0, "hubctl.verify.v1", &["verify", id, "--full"]);
    assert_eq!(verified["rows"], backup["payload"]["rows"]);
    let diff = home.json(0, "hubctl.diff.v1", &["diff", "workstation", "latest"]);
    assert_eq!((&diff["equal"], &diff["depth"]), (&true.into(), &"content".into()));
    let config = home.json(0, "hubctl.config.v1", &["config", "show"]);
    assert!(config["values"].as_array().unwrap().iter().any(|value| value["key"] == "vault.path"));
    let journal = home.json(0, "hubctl.journal.v1", &["journal", "list", "--limit", "1"]);
    assert_eq!(journal["records"][0]["kind"], "verify");
    let chain = home.json(0, "hubctl.journal-verify.v1", &["journal", "verify"]);
    assert_eq!(chain["records"], 2);
    let against = ["journal", "verify", "--against", chain["head"].as_str().unwrap()];
    home.json(0, "hubctl.journal-verify.v1", &against);
    home.json(0, "hubctl.init.v1", &["init", "--config", "other.toml"]);
    home.json(0, "hubctl.restore.v1", &["restore", "--to", "workstation"]);
}

#[test]
fn an_error_is_a_document_too() {
    let home = Home::new();
    let error = home.json(1, "hubctl.error.v1", &["verify"]);
    assert_eq!(error["exit_code"], 1);
    assert_eq!(error["message"], "no verified backup of `state-hub` (0 in the vault)");
    assert!(error["hint"].is_string());
    home.json(2, "hubctl.error.v1", &["verify", "--no-such-flag"]);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let home = Home::new();
    home.backup();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = home.command(&["backups"]).stdout(Stdio::from(writer)).output().unwrap();
    let run = Run::of(&output);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn quiet_says_nothing_and_data_stays_data() {
    let home = Home::new();
    let run = home.expect(0, &["backup", "--quiet"]);
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout.lines().count(), 1);
}

#[test]
fn the_environment_configures_and_flags_win() {
    let home = Home::new();
    fs_err::remove_file(home.path("hubctl.toml")).unwrap();
    let mut command = home.command(&["config", "show", "--format", "json", "--service", "flagged"]);
    command
        .env("HUBCTL_SERVICE", "hidden")
        .env("HUBCTL_VAULT", "/mnt/vault")
        .env("HUBCTL_RECIPIENTS", "age1a, age1b");
    let run = Run::of(&command.output().unwrap());
    let shown: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let value = |key: &str| {
        shown["values"]
            .as_array()
            .unwrap()
            .iter()
            .find(|value| value["key"] == key)
            .cloned()
            .unwrap()
    };
    assert_eq!(value("service.name")["origin"], "--service");
    assert_eq!(value("vault.path")["origin"], "HUBCTL_VAULT");
    assert_eq!(value("vault.recipients[1]")["value"], "age1b");
}

#[test]
fn completions_read_no_configuration() {
    let home = Home::new();
    fs_err::write(home.path("hubctl.toml"), "broken = [").unwrap();
    home.expect(0, &["completions", "bash"]).shows("_hubctl()");
    home.expect(0, &["completions", "zsh"]).shows("#compdef hubctl");
    home.expect(2, &["config", "show"]).says("not a valid configuration");
}

#[test]
fn pages_of_the_manual_are_written_for_every_command() {
    let home = Home::new();
    home.expect(0, &["man", "pages"]);
    for page in ["hubctl.1", "hubctl-backup.1", "hubctl-config-show.1"] {
        assert!(home.path("pages").join(page).exists(), "{page}");
    }
    home.expect(0, &["man"]).shows(".TH hubctl");
}

#[test]
fn a_small_demo_behaves() {
    let home = Home::new();
    let demo = home.json(0, "hubctl.demo.v1", &["demo", "--scale", "0.01"]);
    assert_eq!(demo["passed"], true);
    for step in demo["steps"].as_array().unwrap() {
        let shown = step["command"].as_str().unwrap();
        let typed = hubctl::Cli::command().try_get_matches_from(shown.split(' '));
        assert!(typed.is_ok(), "{shown}: {typed:?}");
    }
    // The configuration it leaves works, and the backups of a second run join those of the first.
    home.expect(0, &["--config", "demo/hubctl.toml", "verify", "--full"]).shows("verified (");
    fs_err::create_dir(home.path("mine")).unwrap();
    fs_err::write(home.path("mine/hubctl.toml"), "# mine\n").unwrap();
    home.expect(2, &["demo", "--dir", "mine"]).says("not the demo's own");
}

#[test]
fn a_secret_in_arguments_that_do_not_parse_is_not_repeated() {
    let home = Home::new();
    for word in ["postgresql://hub:canary@h/d", "host=h password=canary", "AGE-SECRET-KEY-1canary"]
    {
        let run = home.expect(2, &["backups", word, "--format", "json"]);
        assert!(!run.stderr.contains("canary") && !run.stdout.contains("canary"), "{run:?}");
        run.says("unexpected argument '…' found");
    }
    let missing = home.json(2, "hubctl.error.v1", &["restore"]);
    let message = missing["message"].as_str().unwrap();
    assert!(message.contains("--to <SITE|URL>"), "{message}");
}

#[test]
fn prune_plans_first_and_removes_when_told_to() {
    let home = Home::new();
    home.expect(2, &["prune"]).says("no retention is configured");
    home.append("[retention]\nlast = 2\n");
    for _ in 0..3 {
        home.expect(0, &["backup"]);
    }
    let listed = |home: &Home| {
        let backups = home.json(0, "hubctl.backups.v1", &["backups"]);
        backups["backups"].as_array().unwrap().len()
    };
    let plan = home.json(0, "hubctl.prune.v1", &["prune"]);
    assert_eq!((&plan["executed"], &plan["removed"]), (&false.into(), &1.into()));
    let reasons = &plan["decisions"][0]["reasons"];
    assert_eq!(reasons, &serde_json::json!(["the newest verified", "last"]));
    assert_eq!(listed(&home), 3);
    home.expect(0, &["prune"]).shows("goes").says("--execute");

    home.expect(0, &["drill", plan["decisions"][2]["id"].as_str().unwrap()]);
    let plan = home.json(0, "hubctl.prune.v1", &["prune"]);
    assert_eq!(plan["removed"], 0, "what was drilled last stays");
    home.expect(0, &["backup"]);
    let pruned = home.json(0, "hubctl.prune.v1", &["prune", "--execute"]);
    assert_eq!((&pruned["executed"], &pruned["removed"]), (&true.into(), &1.into()));
    assert_eq!(listed(&home), 3);
    home.expect(0, &["verify"]);
    let journal = home.json(0, "hubctl.journal.v1", &["journal", "list", "--limit", "2"]);
    let records = journal["records"].as_array().unwrap();
    let record = records.iter().find(|record| record["kind"] == "prune").unwrap();
    let removed = &record["evidence"]["removed"];
    assert_eq!(removed[0], pruned["decisions"][2]["id"]);
}

#[test]
fn nothing_is_removed_while_it_is_unknown_what_is_damaged() {
    let home = Home::new();
    home.append("[retention]\nlast = 1\n");
    home.expect(0, &["backup"]);
    home.expect(0, &["backup"]);
    let journal = home.path("journal.jsonl");
    let text = fs_err::read_to_string(&journal).unwrap();
    fs_err::write(&journal, text.replace("\"done\"", "\"dane\"")).unwrap();
    home.expect(3, &["prune", "--execute"]).says("findings of damage are unknown");
    assert_eq!(home.vault().iter().filter(|name| name.ends_with(".json")).count(), 2);
    fs_err::write(&journal, text).unwrap();
    home.expect(0, &["prune", "--execute"]);
}

#[test]
fn what_was_found_damaged_is_not_sealed_anew() {
    let home = Home::new();
    let path = home.backup();
    let good = fs_err::read(&path).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&path, bytes).unwrap();
    home.expect(1, &["verify", "--full"]);
    fs_err::write(&path, good).unwrap();
    let new = home.generate_key("new.txt");
    home.configure(
        &format!("recipients = [\"{new}\"]\nidentities = [\"key.txt\", \"new.txt\"]\n"),
        "",
    );
    let refused = home.json(1, "hubctl.rekey.v1", &["rekey", "--execute"]);
    assert!(refused["backups"][0]["error"].as_str().unwrap().contains("found damaged"));
    assert!(path.exists());
    // Cleared by a look at everything, it is like any other.
    home.expect(0, &["verify", path.to_str().unwrap(), "--full"]);
    home.expect(0, &["rekey", "--execute"]);
}

#[test]
fn fresh_says_which_part_is_stale() {
    let home = Home::new();
    let stale = home.json(1, "hubctl.fresh.v1", &["fresh"]);
    assert_eq!(stale["parts"][0]["age_seconds"], serde_json::Value::Null);
    home.expect(0, &["backup"]);
    let run = home.expect(1, &["fresh"]);
    run.shows("drilled").shows("STALE").shows("never");
    home.expect(0, &["drill"]);
    let fresh = home.json(0, "hubctl.fresh.v1", &["fresh"]);
    assert_eq!(fresh["fresh"], true);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let stale = home.json(1, "hubctl.fresh.v1", &["fresh", "--max-age", "1s"]);
    let verdicts: Vec<_> =
        stale["parts"].as_array().unwrap().iter().map(|part| part["fresh"] == true).collect();
    assert_eq!(verdicts, [false, false, true]);
    home.expect(3, &["fresh", "--vault", "/nowhere"]).says("mount its disk");
}

#[test]
fn keys_are_checked_and_the_one_elsewhere_is_proven() {
    let home = Home::new();
    home.expect(0, &["backup"]);
    let checked = home.json(0, "hubctl.keys.v1", &["keys", "check"]);
    let here: Vec<_> =
        checked["recipients"].as_array().unwrap().iter().map(|each| each["here"] == true).collect();
    assert_eq!(here, [true, false]);
    assert_eq!(checked["backups"][0]["opens"], true);
    assert_eq!(checked["backups"][0]["absent"].as_array().unwrap().len(), 1);

    home.expect(2, &["keys", "escrow-test", "--code", "AAAA-AAAA"]).says("no challenge");
    let challenge = home.root().join("test.age");
    let make = ["keys", "escrow-test", "--make", challenge.to_str().unwrap()];
    home.expect(0, &make).shows("age -d -i KEY");
    home.expect(3, &make).says("exists");
    let opened = std::process::Command::new("age")
        .args(["-d", "-i"])
        .arg(home.root().join("escrow.txt"))
        .arg(&challenge)
        .output()
        .unwrap();
    let clear = String::from_utf8(opened.stdout).unwrap();
    let code = clear.lines().find_map(|line| line.strip_prefix("The code is ")).unwrap();
    home.expect(1, &["keys", "escrow-test", "--code", "AAAA-AAAA"]).shows("not the code");
    home.expect(0, &["keys", "escrow-test", "--code", &code.to_lowercase()]).shows("works");
    home.expect(2, &["keys", "escrow-test", "--code", code]);
    let journal = home.json(0, "hubctl.journal.v1", &["journal", "list", "--limit", "2"]);
    let outcomes: Vec<_> = journal["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes.contains(&"done") && outcomes.contains(&"failed"), "{outcomes:?}");

    let key = fs_err::read_to_string(home.root().join("escrow.txt")).unwrap();
    let keys = home.root().join("all-keys.txt");
    let held = fs_err::read_to_string(home.root().join("key.txt")).unwrap();
    fs_err::write(&keys, held + &key).unwrap();
    let run = home.expect(0, &["keys", "check", "--identity", keys.to_str().unwrap()]);
    run.says("every recipient is on this machine");
    home.generate_key("stranger.txt");
    let stranger = home.root().join("stranger.txt");
    let none = ["keys", "check", "--identity", stranger.to_str().unwrap()];
    home.expect(1, &none).shows("none of the 1 given identities");
}

#[test]
fn a_backup_that_lost_something_is_not_the_latest() {
    let home = Home::new();
    home.append("[backup]\nappend_only = [\"public.token_events\"]\n");
    let first = home.json(0, "hubctl.backup.v1", &["backup"]);
    assert!(first["payload"]["append_only"]["public.token_events"].as_u64().unwrap() > 10);
    sql(
        &home.database,
        "DELETE FROM token_events WHERE ctid = (SELECT ctid FROM token_events LIMIT 1)",
    );
    let second = home.json(1, "hubctl.backup.v1", &["backup"]);
    assert_eq!(second["state"], "sealed");
    let said = second["suspicious"][0].as_str().unwrap();
    assert!(said.starts_with("public.token_events, declared append-only, has"), "{said}");
    let listed = home.expect(0, &["backups"]);
    listed.says("is suspicious: public.token_events");
    let fresh = home.json(1, "hubctl.fresh.v1", &["fresh"]);
    assert_eq!(fresh["parts"][0]["id"], second["id"]);
    assert_eq!(fresh["parts"][1]["id"], first["id"]);

    home.expect(0, &["verify", second["id"].as_str().unwrap()]);
    home.expect(0, &["backup"]);
}

#[test]
fn a_schedule_is_printed_for_systemd_and_for_cron() {
    let home = Home::new();
    let shown = home.json(0, "hubctl.schedule.v1", &["schedule", "show"]);
    let text = |shown: &serde_json::Value| {
        let units = shown["units"].as_array().unwrap();
        let texts = units.iter().map(|unit| unit["text"].as_str().unwrap().to_owned());
        texts.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(shown["units"].as_array().unwrap().len(), 8);
    assert!(!text(&shown).contains("prune") && !text(&shown).contains("OnFailure"));

    home.append(
        "[retention]\ndaily = 7\n[alerts]\ncommand = \"echo 100% $HUBCTL_FAILED_UNIT > alerted\"\n",
    );
    let shown = home.json(0, "hubctl.schedule.v1", &["schedule", "show"]);
    let units = text(&shown);
    for line in [
        " backup\nExecStart=",
        " prune --execute\n",
        "Persistent=true\n",
        "-alert@%n.service\n",
        " alert %i\n",
    ] {
        assert!(units.contains(line), "{line} in {units}");
    }

    let cron = home.expect(0, &["schedule", "show", "--cron"]).stdout;
    assert_eq!(cron.lines().count(), 5, "{cron}");
    for line in cron.lines().skip(1) {
        let command = line.splitn(6, ' ').nth(5).unwrap();
        let status = std::process::Command::new("sh").args(["-n", "-c", command]).status().unwrap();
        assert!(status.success(), "{line}");
    }
    // The hourly question runs as it is printed, and alerts: there is no backup.
    let fresh = cron.lines().last().unwrap().splitn(6, ' ').nth(5).unwrap();
    let status = std::process::Command::new("sh")
        .args(["-c", fresh])
        .env("HOME", home.root())
        .current_dir(home.root())
        .status()
        .unwrap();
    // The alert was given.
    assert!(status.success());
    let said = fs_err::read_to_string(home.path("alerted")).unwrap();
    assert_eq!(said.trim(), "100% hubctl-fresh");
    home.append("[targets.disk]\nfolder = \"disk\"\n");
    home.expect(0, &["schedule", "show"]).shows("hubctl push of").shows(" push\n");
}

#[test]
fn a_schedule_of_several_sites_is_told_which_one_it_backs_up() {
    let home = Home::new();
    home.append(&format!(
        "[sites.cluster]\ndatabase = \"{}\"\n",
        crate::support::url(&home.database)
    ));
    for command in [
        &["schedule", "show"][..],
        &["schedule", "show", "--cron"],
        &["schedule", "show", "--cronjob", "--image", "hubctl:1"],
        &["schedule", "install"],
    ] {
        home.expect(2, command)
            .says("several sites are configured, and none is named for the nightly backup")
            .says("set site under [backup] to one of `cluster`, `workstation`");
    }
    assert!(!home.path(".config/systemd").exists(), "units were written");
    // Nothing is wrong with a service that nobody schedules.
    home.expect(0, &["doctor"]);

    home.append("[backup]\nsite = \"cluster\"\n");
    let cron = home.expect(0, &["schedule", "show", "--cron"]).stdout;
    let nightly = cron.lines().find(|line| line.contains(" backup")).unwrap();
    let command = nightly.splitn(6, ' ').nth(5).unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", command]).env("HOME", home.root());
    let run = Run::of(&shell.current_dir(home.root()).output().unwrap());
    assert_eq!(run.code, Some(0), "{nightly}\n{}", run.stderr);
    assert_eq!(home.journal("backup")[0].evidence["site"], "cluster");

    let text = fs_err::read_to_string(home.path("hubctl.toml")).unwrap();
    let text = text.replace("site = \"cluster\"", "site = \"clusterr\"");
    fs_err::write(home.path("hubctl.toml"), text).unwrap();
    home.expect(2, &["schedule", "show"]).says("[backup] site names no site: `clusterr`");
}

#[test]
fn a_schedule_is_printed_for_kubernetes() {
    let home = Home::new();
    home.expect(2, &["schedule", "show", "--cronjob"]);
    let shown = ["schedule", "show", "--cronjob", "--image", "registry.example/hubctl:1"];
    home.append("[retention]\ndaily = 7\n[alerts]\ncommand = \"true\"\n");
    let yaml = home.expect(0, &shown).stdout;
    let jobs: Vec<serde_json::Value> = serde_saphyr::from_multiple(&yaml).unwrap();
    let names: Vec<_> = jobs.iter().map(|job| job["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["backup", "verify", "drill", "fresh"].map(|name| format!("hubctl-state-hub-{name}"))
    );
    for job in &jobs {
        assert_eq!(
            (job["apiVersion"].as_str(), job["kind"].as_str()),
            (Some("batch/v1"), Some("CronJob"))
        );
        let spec = &job["spec"];
        assert_eq!(spec["concurrencyPolicy"], "Forbid");
        assert_eq!(spec["startingDeadlineSeconds"], 3600);
        assert_eq!(spec["schedule"].as_str().unwrap().split(' ').count(), 5);
        let pod = &spec["jobTemplate"]["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let container = &pod["containers"][0];
        assert_eq!(container["image"], "registry.example/hubctl:1");
        // Every volume is mounted, and every mount has its volume.
        let names = |list: &serde_json::Value| -> Vec<String> {
            let each = list.as_array().unwrap().iter();
            each.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));
        assert_eq!(pod["volumes"][1]["secret"]["defaultMode"], 0o440);
        let script = container["command"][2].as_str().unwrap();
        assert!(script.contains("hubctl alert "), "{script}");
        let sh = ["-n", "-c", script];
        assert!(std::process::Command::new("sh").args(sh).status().unwrap().success());
    }
    let backup =
        jobs[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"][2]
            .as_str();
    assert!(
        backup
            .unwrap()
            .contains("hubctl --no-progress backup && hubctl --no-progress prune --execute")
    );
}

#[test]
fn backups_are_sealed_anew_for_the_present_recipients() {
    let home = Home::new();
    home.expect(0, &["backup"]);
    home.expect(0, &["rekey"]).shows("every backup is sealed for the present recipients");
    let (new, escrow) = (home.generate_key("new.txt"), home.generate_key("new-escrow.txt"));
    home.configure(
        &format!(
            "recipients = [\"{new}\", \"{escrow}\"]\nidentities = [\"key.txt\", \"new.txt\"]\n"
        ),
        "",
    );
    let plan = home.json(0, "hubctl.rekey.v1", &["rekey"]);
    assert_eq!(plan["backups"][0]["new_id"], serde_json::Value::Null);
    let done = home.json(0, "hubctl.rekey.v1", &["rekey", "--execute"]);
    let id = done["backups"][0]["new_id"].as_str().unwrap();
    assert!(id.ends_with("-2"), "{id}");
    let backups = home.json(0, "hubctl.backups.v1", &["backups"]);
    assert_eq!(backups["backups"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&backups["backups"][0]["id"], &backups["backups"][0]["state"]),
        (&id.into(), &"verified".into())
    );
    home.expect(0, &["verify", "--full", "--identity", "new.txt"]);
    home.expect(1, &["verify", "--identity", "key.txt"]).says("none of the 1 given identities");
    home.expect(0, &["diff", "workstation", "latest"]);
    assert_eq!(home.journal("rekey").len(), 1);
}

#[test]
fn what_nobody_could_open_again_is_not_sealed_anew() {
    let home = Home::new();
    home.expect(0, &["backup"]);
    let before = home.vault();
    let new = home.generate_key("new.txt");
    let lines = format!("recipients = [\"{new}\"]\nidentities = [\"key.txt\"]\n");
    home.configure(&lines, "");
    home.expect(0, &["rekey"]).says("--execute would be refused").says(&new);
    let refused = home.json(2, "hubctl.error.v1", &["rekey", "--execute"]);
    assert!(refused["hint"].as_str().unwrap().contains(&new));
    assert_eq!(home.vault(), before);
    assert!(home.journal("rekey").is_empty());
    home.expect(0, &["rekey", "--execute", "--identity", "key.txt", "--identity", "new.txt"]);
}

#[test]
fn where_nothing_is_verified_the_way_out_is_named() {
    let home = Home::new();
    let none = home.json(1, "hubctl.error.v1", &["verify"]);
    assert!(none["hint"].as_str().unwrap().contains("hubctl backup"));
    let keys = home.generate_key("escrow.txt");
    home.configure(&format!("recipients = [\"{keys}\"]\n"), "");
    let sealed = home.json(0, "hubctl.backup.v1", &["backup"]);
    let id = sealed["id"].as_str().unwrap();
    for command in ["verify", "drill"] {
        let refused = [command, "--identity", "escrow.txt"];
        home.expect(1, &refused).says(&format!("hubctl verify {id}"));
    }
    home.expect(0, &["verify", id, "--identity", "escrow.txt"]);
    home.expect(0, &["verify", "--identity", "escrow.txt"]);
}

#[test]
fn a_backup_of_another_database_is_not_the_latest() {
    let home = Home::new();
    let first = home.json(0, "hubctl.backup.v1", &["backup"]);
    let other = new_database();
    let second = home.json(1, "hubctl.backup.v1", &["backup", &url(&other)]);
    let said = second["suspicious"][0].as_str().unwrap();
    assert!(said.contains(&format!("database `{other}`")), "{said}");
    let latest = home.json(0, "hubctl.verify.v1", &["verify"]);
    assert_eq!(latest["id"], first["id"]);
    // Whoever means it verifies it, and it is the measure from then on.
    home.expect(0, &["verify", second["id"].as_str().unwrap()]);
    home.expect(0, &["backup", &url(&other)]);
}

#[test]
fn copies_are_pushed_to_a_folder_and_asked_for() {
    let home = Home::new();
    home.expect(2, &["push"]).says("no target is configured");
    home.append("[targets.disk]\nfolder = \"disk\"\n");
    home.expect(0, &["backup"]);
    home.expect(0, &["drill"]);
    let away = home.json(3, "hubctl.push.v1", &["push"]);
    assert!(away["targets"][0]["error"].as_str().unwrap().contains("no vault directory"));
    // Nobody knows what is on a disk that is away, and nothing else is stale.
    let unknown = home.json(3, "hubctl.fresh.v1", &["fresh"]);
    let copy = &unknown["parts"][3];
    assert_eq!((&copy["part"], &copy["fresh"]), (&"copy: disk".into(), &false.into()));
    assert!(copy["error"].as_str().unwrap().contains("no vault directory"));
    home.expect(3, &["fresh"]).shows("UNKNOWN");

    fs_err::create_dir(home.path("disk")).unwrap();
    home.expect(0, &["backup"]);
    let pushed = home.json(0, "hubctl.push.v1", &["push", "disk"]);
    assert_eq!(pushed["targets"][0]["copied"].as_array().unwrap().len(), 2);
    let again = home.json(0, "hubctl.push.v1", &["push"]);
    assert_eq!(
        (&again["targets"][0]["there"], again["targets"][0]["copied"].as_array().unwrap().len()),
        (&2.into(), 0)
    );
    home.expect(0, &["push"]).says("same file system");
    let listed = home.json(0, "hubctl.backups.v1", &["backups"]);
    for backup in listed["backups"].as_array().unwrap() {
        assert_eq!(backup["copies"][0]["target"], "disk");
        assert!(backup["copies"][0]["proven_at"].is_string());
    }
    home.expect(0, &["fresh"]).shows("copy: disk");
    // One that was exchanged keeps no other from its copy, and is named.
    let first = pushed["targets"][0]["copied"][1].as_str().unwrap();
    let exchanged = home.path(&format!("disk/state-hub-{first}.sql.gz.age"));
    fs_err::write(&exchanged, "another").unwrap();
    home.expect(0, &["backup"]);
    let some = home.json(3, "hubctl.push.v1", &["push"]);
    assert_eq!(some["targets"][0]["copied"].as_array().unwrap().len(), 1);
    assert!(some["targets"][0]["error"].as_str().unwrap().starts_with(first));
    fs_err::remove_file(&exchanged).unwrap();
    home.expect(0, &["verify", "--full", "--vault", "disk"]);
    home.expect(2, &["push", "tape"]).says("the configured targets are `disk`");
    let outcomes: Vec<_> = home.journal("push").into_iter().map(|record| record.outcome).collect();
    let failed = journal::Outcome::Failed;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == failed).count(), 2);
}
