//! The form of the answers: JSON, exit codes, streams.

use std::process::Stdio;

use crate::support::{Home, Run};

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
    assert_eq!(
        (&diff["equal"], &diff["depth"]),
        (&true.into(), &"content".into())
    );
    let config = home.json(0, "hubctl.config.v1", &["config", "show"]);
    assert!(
        config["values"]
            .as_array()
            .unwrap()
            .iter()
            .any(|value| value["key"] == "vault.path")
    );
    let journal = home.json(0, "hubctl.journal.v1", &["journal", "list", "--limit", "1"]);
    assert_eq!(journal["records"][0]["kind"], "verify");
    let chain = home.json(0, "hubctl.journal-verify.v1", &["journal", "verify"]);
    assert_eq!(chain["records"], 2);
    let against = [
        "journal",
        "verify",
        "--against",
        chain["head"].as_str().unwrap(),
    ];
    home.json(0, "hubctl.journal-verify.v1", &against);
    home.json(0, "hubctl.init.v1", &["init", "--config", "other.toml"]);
    home.json(0, "hubctl.restore.v1", &["restore", "--to", "workstation"]);
}

#[test]
fn an_error_is_a_document_too() {
    let home = Home::new();
    let error = home.json(1, "hubctl.error.v1", &["verify"]);
    assert_eq!(error["exit_code"], 1);
    assert_eq!(
        error["message"],
        "no backup of `state-hub` is verified, of 0 in the vault"
    );
    assert!(error["hint"].is_string());
    home.json(2, "hubctl.error.v1", &["verify", "--no-such-flag"]);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let home = Home::new();
    home.backup();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = home
        .command(&["backups"])
        .stdout(Stdio::from(writer))
        .output()
        .unwrap();
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
    home.expect(0, &["completions", "zsh"])
        .shows("#compdef hubctl");
    home.expect(2, &["config", "show"])
        .says("not a valid configuration");
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
    // The configuration it leaves works, and the backups of a second run join those of the first.
    home.expect(0, &["--config", "demo/hubctl.toml", "verify", "--full"])
        .shows("is good");
    fs_err::create_dir(home.path("mine")).unwrap();
    fs_err::write(home.path("mine/hubctl.toml"), "# mine\n").unwrap();
    home.expect(2, &["demo", "--dir", "mine"])
        .says("not the demo's own");
}

#[test]
fn a_secret_in_arguments_that_do_not_parse_is_not_repeated() {
    let home = Home::new();
    for word in [
        "postgresql://hub:canary@h/d",
        "host=h password=canary",
        "AGE-SECRET-KEY-1canary",
    ] {
        let run = home.expect(2, &["backups", word, "--format", "json"]);
        assert!(
            !run.stderr.contains("canary") && !run.stdout.contains("canary"),
            "{run:?}"
        );
        run.says("unexpected argument '…' found");
    }
    let missing = home.json(2, "hubctl.error.v1", &["restore"]);
    let message = missing["message"].as_str().unwrap();
    assert!(message.contains("--to <SITE|URL>"), "{message}");
}
