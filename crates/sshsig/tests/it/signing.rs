//! Calls of `ssh-keygen`: each has a time limit, and none shows a secret.

use std::process::{Command, Stdio};

use sshsig::{Error, Prompt};

use crate::support::{Asked, Bench, MESSAGE, NAMESPACE, public, run};

#[test]
fn a_locked_key_does_not_sign_where_nobody_can_be_asked() {
    let bench = Bench::new();
    let key = bench.key("locked", &["-t", "ed25519", "-N", "canary"]);
    // The passphrase as the message: without care, ssh-keygen would take it from there.
    let error = sshsig::sign(&key, NAMESPACE, b"canary\n", Prompt::Never).unwrap_err();
    assert!(
        matches!(&error, Error::NotSigned { said, .. } if said.contains("passphrase")),
        "{error}"
    );
    assert!(!error.to_string().contains("canary"));
    assert_ne!(error.class(), sshsig::ErrorClass::No);
    assert!(error.hint().unwrap().contains("agent"));
}

#[test]
fn a_key_that_is_not_there_is_named() {
    let bench = Bench::new();
    let error = sshsig::sign(bench.path("none"), NAMESPACE, MESSAGE, Prompt::Never).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
    fs_err::write(bench.path("noise"), "no key").unwrap();
    let error = sshsig::sign(bench.path("noise"), NAMESPACE, MESSAGE, Prompt::Never).unwrap_err();
    assert!(matches!(error, Error::NotSigned { .. }), "{error}");
}

/// The agent has the private half of a locked key; the file that is named is the public one.
#[test]
fn an_agent_signs_for_a_public_key() {
    let bench = Bench::new();
    let key = bench.ed25519("key");
    let socket = bench.path("agent");
    let mut agent = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !socket.exists() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    run(Command::new("ssh-add").arg(&key).env("SSH_AUTH_SOCK", &socket));
    fs_err::remove_file(&key).unwrap();
    // The library reads no variable; ssh-keygen does, and inherits it from a process of its own.
    let signed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "signing::child", "--ignored", "--nocapture"])
        .env("SSH_AUTH_SOCK", &socket)
        .env("SSHSIG_TEST_KEY", key.with_extension("pub"))
        .env("SSHSIG_TEST_OUTPUT", bench.path("signed"))
        .output()
        .unwrap();
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(signed.status.success(), "{signed:?}");
    let signature = fs_err::read_to_string(bench.path("signed")).unwrap();
    let signers = format!("anna {}", public(&key));
    Asked::of(&signature).ours(&signers).unwrap();
}

#[test]
#[ignore = "not a test: the process that signs with the agent of the test above"]
fn child() {
    let Some(key) = std::env::var_os("SSHSIG_TEST_KEY") else {
        return;
    };
    let signature = sshsig::sign(key, NAMESPACE, MESSAGE, Prompt::Never).unwrap();
    fs_err::write(std::env::var_os("SSHSIG_TEST_OUTPUT").unwrap(), signature).unwrap();
}

#[test]
fn nothing_is_left_in_the_place_of_temporary_files() {
    let bench = Bench::new();
    let key = bench.ed25519("key");
    let place = bench.path("tmp");
    fs_err::create_dir(&place).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "signing::child", "--ignored", "--nocapture"])
        .env("TMPDIR", &place)
        .env("SSHSIG_TEST_KEY", &key)
        .env("SSHSIG_TEST_OUTPUT", bench.path("signed"))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success() && bench.path("signed").exists());
    assert_eq!(fs_err::read_dir(&place).unwrap().count(), 0);
}
