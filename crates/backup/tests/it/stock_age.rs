//! The files are plain age files: the stock program opens ours, and ours opens the stock program's.

use std::process::{Command, Stdio};

use backup::{Identities, Recipients, State, open_file};

use crate::support::{Fixture, payload, read_all, seal};

fn age_is_missing() -> bool {
    let told = Command::new("age").arg("--version").stdout(Stdio::null()).status();
    testkit::installed("age", told).is_none()
}

#[test]
fn stock_age_opens_ours() {
    if age_is_missing() {
        return;
    }
    let fixture = Fixture::new();
    let ssh = fixture.directory.path().join("id");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&ssh).status();
    let mut recipients = fixture.recipients();
    let mut keys = vec![fixture.keys_file()];
    if let Some(made) = testkit::installed("ssh-keygen", made) {
        assert!(made.success());
        recipients.add_file(ssh.with_extension("pub")).unwrap();
        keys.push(ssh);
    }
    let clear = payload(150_000);
    let entry = seal(&fixture.vault, &recipients, "2026-11-21T16:12:00Z", &clear);
    for key in keys {
        let output =
            Command::new("age").arg("-d").arg("-i").arg(key).arg(entry.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == clear);
    }
}

#[test]
fn ours_opens_what_stock_age_made() {
    if age_is_missing() {
        return;
    }
    let fixture = Fixture::new();
    let clear = payload(150_000);
    fs_err::write(fixture.path().join("clear"), &clear).unwrap();
    let sealed = fixture.path().join("state-hub-20260101T000000Z.sql.gz.age");
    let public = fixture.key.to_public().to_string();
    let made = Command::new("age")
        .args(["-r", &public, "-o"])
        .arg(&sealed)
        .arg(fixture.path().join("clear"))
        .status();
    assert!(made.unwrap().success());
    assert!(read_all(open_file(&sealed, &fixture.identities()).unwrap()) == clear);
    let listed = fixture.vault.find("latest").unwrap_err();
    assert!(listed.to_string().contains("(1 in the vault)"));
    let entry = fixture.vault.find("20260101").unwrap();
    assert_eq!(entry.state(), State::Foreign);
    assert!(read_all(fixture.vault.open_entry(&entry, &fixture.identities()).unwrap()) == clear);
}

#[test]
fn keys_of_age_keygen_are_read() {
    if age_is_missing() {
        return;
    }
    let fixture = Fixture::new();
    let path = fixture.path().join("keys.txt");
    let made = Command::new("age-keygen").arg("-o").arg(&path).stderr(Stdio::null()).status();
    assert!(made.unwrap().success());
    let text = fs_err::read_to_string(&path).unwrap();
    let public = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let identities = Identities::load(&path).unwrap();
    assert_eq!(identities.fingerprints().next().unwrap().text, public);
    assert!(identities.notes().is_empty());
    let mut recipients = Recipients::new();
    recipients.add(public).unwrap();
    assert_eq!(recipients.fingerprints().next().unwrap().text, public);
}
