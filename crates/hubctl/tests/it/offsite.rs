//! Copies at servers: pushed, listed, proven, restored from without being fetched, and fetched.

use serde_json::json;
use testkit::{
    CLOUD_PASSWORD, CLOUD_TOKEN, CLOUD_USER, Cloud, CloudEffect, Sshd, installed, signal,
};

use crate::support::{Home, Run, scalar, url};

fn cloud_tables(home: &Home, cloud: &Cloud) -> String {
    home.secret("cloud-password", CLOUD_PASSWORD);
    home.secret("drop-token", CLOUD_TOKEN);
    format!(
        "[targets.cloud]\nwebdav = \"{}\"\nuser = \"{CLOUD_USER}\"\npassword_file = \"cloud-password\"\n\
         [targets.drop]\nfiledrop = \"{}\"\ntoken_file = \"drop-token\"\n",
        cloud.folder("backups"),
        cloud.url()
    )
}

fn says_no_secret(run: &Run) {
    for secret in [CLOUD_PASSWORD, CLOUD_TOKEN] {
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret));
    }
}

#[test]
fn backups_are_pushed_to_servers_and_shown() {
    let (home, cloud) = (Home::new(), Cloud::start().unwrap());
    home.append(&cloud_tables(&home, &cloud));
    home.backup();
    let pushed = home.json(0, "hubctl.push.v1", &["push"]);
    let target = |name: &str| {
        let targets = pushed["targets"].as_array().unwrap();
        targets.iter().find(|target| target["name"] == name).unwrap().clone()
    };
    assert_eq!(target("cloud")["copied"].as_array().unwrap().len(), 1);
    assert_eq!(target("cloud")["proven"], 1);
    assert_eq!((&target("drop")["proven"], &target("drop")["error"]), (&json!(0), &json!(null)));
    assert_eq!(cloud.files("backups").len(), 2);
    assert_eq!(cloud.files("").len(), 2);

    home.expect(0, &["backups"]).shows("cloud drop?");
    let there = home.json(0, "hubctl.backups.v1", &["backups", "--target", "cloud"]);
    assert_eq!(there["backups"][0]["state"], "verified");
    home.expect(1, &["fresh"]).shows("copy: cloud");
    let fresh = home.json(1, "hubctl.fresh.v1", &["fresh"]);
    let parts = fresh["parts"].as_array().unwrap();
    let copies = parts.iter().filter(|part| part["part"].as_str().unwrap().starts_with("copy"));
    assert!(copies.clone().count() == 2 && copies.clone().all(|part| part["fresh"] == true));

    let again = home.json(0, "hubctl.push.v1", &["push", "--prove"]);
    assert_eq!(again["targets"][0]["there"], 1);
    assert_eq!(again["targets"][0]["proven"], 1);
    assert_eq!(cloud.files("").len(), 2, "a file drop gets nothing twice");
}

#[test]
fn a_server_that_fails_is_told_and_the_next_push_catches_up() {
    let (home, cloud) = (Home::new(), Cloud::start().unwrap());
    home.append(&cloud_tables(&home, &cloud));
    home.backup();
    cloud.inject("PUT", "backups", CloudEffect::Refuse(507));
    let run = home.expect(3, &["push", "cloud"]);
    run.says("no space left").says("raise the quota");
    says_no_secret(&run);
    let journal = home.journal("push");
    assert!(journal[0].evidence["error"].as_str().unwrap().contains("no space left"));

    home.expect(0, &["push", "cloud"]);
    let name = cloud.files("backups").into_iter().find(|name| name.ends_with(".age")).unwrap();
    let mut bytes = cloud.read("backups", &name).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    cloud.write("backups", &name, bytes);
    let run = home.expect(1, &["push", "cloud", "--prove"]);
    run.says("it has").says("remove that file there");

    home.secret("cloud-password", "another");
    let run = home.expect(3, &["push", "cloud"]);
    run.says("refuses the credentials");
    drop(cloud);
    home.expect(3, &["verify", "cloud:latest"]).says("list");
}

#[test]
fn a_backup_is_verified_compared_and_restored_without_being_fetched() {
    let (home, cloud) = (Home::new(), Cloud::start().unwrap());
    home.append(&cloud_tables(&home, &cloud));
    home.backup();
    home.expect(0, &["push", "cloud"]);
    for file in home.vault().iter().filter(|name| name.starts_with("state-hub")) {
        fs_err::remove_file(home.path("vault").join(file)).unwrap();
    }
    home.expect(0, &["verify", "cloud:latest"]).shows("verified (quick)");
    home.expect(0, &["verify", "cloud:latest", "--full"]).shows("verified (full)");
    home.expect(0, &["diff", "workstation", "cloud:latest"]).says("equal:");
    let copy = format!("{}_from_afar", home.database);
    let restore = ["restore", "cloud:latest", "--to", &url(&copy), "--execute"];
    home.expect(0, &restore);
    home.expect(0, &["diff", "workstation", &url(&copy)]).says("equal:");
    home.expect(0, &["drill", "cloud:latest"]).shows("drill passed");

    let tables = ["--table", "topics", "--execute"];
    let restore = ["restore", "cloud:latest", "--to", "workstation"];
    let restored = home.expect(0, &[&restore[..], &tables].concat());
    let rows = |database: &str| scalar(database, "SELECT count(*) FROM topics");
    assert_eq!(rows(restored.stdout.trim_end()), rows(&home.database));
    home.expect(2, &["restore", "cloud:20200101", "--to", "workstation"])
        .says("there is no entry `cloud:20200101`");
}

#[test]
fn the_workstation_is_gone_and_the_cloud_is_not() {
    let (home, cloud) = (Home::new(), Cloud::start().unwrap());
    home.append(&cloud_tables(&home, &cloud));
    home.backup();
    home.expect(0, &["push", "cloud"]);
    // An empty directory, the escrow key, and what opens the cloud.
    let left = tempfile::tempdir().unwrap();
    fs_err::copy(home.path("escrow.txt"), left.path().join("escrow.txt")).unwrap();
    let run = |program: &mut std::process::Command| {
        program.current_dir(left.path()).env_clear();
        program.env("PATH", std::env::var_os("PATH").unwrap());
        let output = program.env("HOME", left.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    };

    let plain = format!("{}_by_curl", home.database);
    crate::support::sql("postgres", &format!("CREATE DATABASE {plain}"));
    let name = cloud.files("backups").into_iter().find(|name| name.ends_with(".age")).unwrap();
    let pipeline = format!(
        "set -o pipefail; curl --silent --fail --user {CLOUD_USER}:{CLOUD_PASSWORD} {}/{name} | age -d -i escrow.txt | gunzip \
         | psql -X -q -v ON_ERROR_STOP=1 --single-transaction '{}' > /dev/null",
        cloud.folder("backups"),
        url(&plain)
    );
    run(std::process::Command::new("bash").args(["-c", &pipeline]));
    home.expect(0, &["diff", "workstation", &url(&plain)]).says("equal:");

    let tables = cloud_tables(&home, &cloud);
    fs_err::copy(home.path("cloud-password"), left.path().join("cloud-password")).unwrap();
    fs_err::create_dir(left.path().join("vault")).unwrap();
    let config = format!(
        "[service]\nname = \"state-hub\"\n[vault]\npath = \"vault\"\nidentities = [\"escrow.txt\"]\n{tables}"
    );
    fs_err::write(left.path().join("hubctl.toml"), config).unwrap();
    let copy = format!("{}_by_hubctl", home.database);
    let hubctl = assert_cmd::cargo::cargo_bin!("hubctl");
    let restore = ["restore", "cloud:latest", "--to", &url(&copy), "--execute"];
    run(std::process::Command::new(hubctl).args(restore));
    home.expect(0, &["diff", "workstation", &url(&copy)]).says("equal:");

    run(std::process::Command::new(hubctl).args(["pull", "cloud"]));
    let latest = left.path().join("vault/state-hub-latest.sql.gz.age");
    assert_eq!(fs_err::read(latest).unwrap(), cloud.read("backups", &name).unwrap());
    run(std::process::Command::new(hubctl).args(["verify", "latest", "--full"]));
}

#[test]
fn a_push_that_is_killed_is_finished_by_the_next() {
    let (home, cloud) = (Home::new(), Cloud::start().unwrap());
    home.append(&cloud_tables(&home, &cloud));
    home.backup();
    cloud.inject("MOVE", "backups", CloudEffect::Wait(std::time::Duration::from_secs(30)));
    let mut child = home.command(&["push", "cloud"]).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while cloud.files("backups").is_empty() {
        assert!(std::time::Instant::now() < deadline, "it sent nothing");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    signal(child.id(), testkit::Signal::KILL);
    child.wait().unwrap();
    assert!(cloud.files("backups")[0].ends_with(".partial"));
    home.expect(0, &["push", "cloud"]);
    assert_eq!(cloud.files("backups").len(), 2, "nothing is left of the first");
}

#[test]
fn sftp_is_a_target_like_the_others() {
    let Some(server) = installed("sshd", Sshd::start("")) else {
        return;
    };
    let home = Home::new();
    home.append(&format!(
        "[targets.nas]\nsftp = \"node:{}\"\nssh_config = \"{}\"\n",
        home.path("nas").display(),
        server.client_config().display()
    ));
    home.backup();
    home.expect(0, &["push", "nas"]);
    home.expect(0, &["verify", "nas:latest", "--full"]);
    // What is on the other machine is a vault.
    let nas = home.path("nas");
    home.expect(0, &["backups", "--vault", nas.to_str().unwrap()]).shows("verified");
}

#[test]
fn targets_that_make_no_sense_are_refused() {
    let home = Home::new();
    home.append("[targets.cloud]\nwebdav = \"http://cloud.example/dav\"\n");
    home.expect(2, &["push", "cloud"]).says("not https");
    let home = Home::new();
    home.append("[targets.drop]\nfiledrop = \"https://cloud.example\"\ntoken_file = \"token\"\n");
    fs_err::write(home.path("token"), "x\n").unwrap();
    home.expect(2, &["push", "drop"]).says("may be read by others");
    home.expect(2, &["push", "nas"]).says("no target `nas` is configured");
}
