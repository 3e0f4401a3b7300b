//! Keys of plugins, and recipients of SOPS.

use testkit::AgePlugin;

use crate::support::{Home, Run};

#[test]
#[ignore = "not a test: the plugin that the tests run"]
fn plugin() {
    AgePlugin::serve().unwrap();
}

/// Runs hubctl with the plugin in its `PATH`.
#[track_caller]
fn expect(home: &Home, code: i32, arguments: &[&str]) -> Run {
    let path = format!("{}:{}", home.root().display(), std::env::var("PATH").unwrap());
    let output = home.command(arguments).env("PATH", path).output().unwrap();
    let run = Run::of(&output);
    assert_eq!(run.code, Some(code), "hubctl {arguments:?}\n{run:?}");
    run
}

#[test]
fn a_plugin_seals_and_opens_backups_and_nobody_is_asked() {
    let home = Home::new();
    AgePlugin::install(home.root(), "keys::plugin").unwrap();
    let native = home.generate_key("native.txt");
    home.secret("token.txt", &AgePlugin::Works.identity());
    home.secret("absent.txt", &AgePlugin::Asks.identity());
    let token = AgePlugin::Works.recipient();
    home.configure(
        &format!("recipients = [\"{token}\", \"{native}\"]\nidentities = [\"absent.txt\", \"token.txt\"]\n"),
        "",
    );
    expect(&home, 0, &["backup"]);
    expect(&home, 0, &["verify", "--full"]);
    expect(&home, 0, &["keys", "check"]).shows("elsewhere");
    expect(&home, 0, &["doctor"]).shows("a probe was sealed and opened again");
    // Without the plugin the question cannot be asked; the other key does not need it.
    home.expect(3, &["verify"]).says("`age-plugin-testkit` failed: it is not installed");
    home.expect(3, &["backup"]).says("hint: install the plugin on PATH");
    home.expect(0, &["verify", "--identity", "native.txt"]);
    // Every recipient of a plugin counts as here.
    home.configure(
        &format!(
            "recipients = [\"{token}\", \"{}\"]\nidentities = [\"token.txt\"]\n",
            AgePlugin::Dies.recipient()
        ),
        "",
    );
    expect(&home, 0, &["backup"]).says("the key of every recipient is on this machine");
}

#[test]
fn backups_are_sealed_for_whom_sops_encrypts() {
    let home = Home::new();
    let (one, two) = (home.generate_key("one.txt"), home.generate_key("two.txt"));
    fs_err::write(
        home.path(".sops.yaml"),
        format!("creation_rules:\n  - path_regex: .*\n    age: >-\n      {one},\n      {two}\n"),
    )
    .unwrap();
    home.configure("recipients_file = \".sops.yaml\"\nidentities = [\"one.txt\"]\n", "");
    let taken = home.json(0, "hubctl.backup.v1", &["backup"]);
    assert_eq!(taken["recipients"].as_array().unwrap().len(), 2);
    home.expect(0, &["verify", "--identity", "two.txt"]);
    fs_err::write(
        home.path(".sops.yaml"),
        format!("creation_rules:\n  - path_regex: prod\n    age: {one}\n  - age: {two}\n"),
    )
    .unwrap();
    home.expect(2, &["backup"]).says("different age recipients");
}
