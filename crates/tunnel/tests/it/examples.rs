//! The shipped example runs, and says what it should.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::support::*;
use testkit::Sshd;

#[tokio::test(flavor = "multi_thread")]
async fn keep_keeps_a_tunnel() {
    let (sshd, hub) = (Sshd::start("").unwrap(), Hub::start(Manner::Answers("hub-1")).await);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tunnels.toml");
    let tunnels = std::collections::BTreeMap::from([("hub", tunnel(&sshd, forward(&hub)))]);
    fs_err::write(&file, toml::to_string(&tunnels).unwrap()).unwrap();

    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let mut example = Command::new(env!("CARGO"))
        // What the example needs was just built or downloaded for this test.
        .args(["run", "--quiet", "--offline", "--example", "keep", "--target-dir"])
        .arg(target)
        .arg("--")
        .arg(&file)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(example.stdout.take().unwrap()).lines();
    let said = lines.find(|line| line.as_ref().unwrap().contains(" up")).unwrap().unwrap();
    assert!(said.starts_with("hub 127.0.0.1:"), "{said}");
    // As a terminal sends Ctrl-C: to cargo and the example.
    let group = rustix::process::Pid::from_raw(example.id().cast_signed()).unwrap();
    rustix::process::kill_process_group(group, testkit::Signal::INT).unwrap();
    example.wait().unwrap();
    assert!(lines.all(|line| line.is_ok()));
}
