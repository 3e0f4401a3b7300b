//! Signed backups, as the operator asks for them.

use std::process::Command;

use crate::support::Home;

/// A home whose backups are signed by a new key, and count only then.
fn home_that_signs() -> Home {
    let home = Home::new();
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f"]);
    assert!(keygen.arg(home.path("signing")).status().unwrap().success());
    let public = fs_err::read_to_string(home.path("signing.pub")).unwrap();
    home.secret("signers", &format!("operator namespaces=\"hubctl-backup\" {public}"));
    home.append("[backup]\nsign_key = \"signing\"\nallowed_signers = \"signers\"\n");
    home
}

#[test]
fn a_backup_is_signed_and_an_unsigned_one_is_refused() {
    let home = home_that_signs();
    let taken = home.json(0, "hubctl.backup.v1", &["backup"]);
    assert_eq!(taken["state"], "verified");
    home.expect(0, &["verify", "--full"]);
    home.expect(0, &["config", "show"]).shows("backup.sign_key").shows("backup.allowed_signers");

    let path = taken["path"].as_str().unwrap();
    let sidecar = path.replace(".sql.gz.age", ".json");
    let text = fs_err::read_to_string(&sidecar).unwrap();
    assert!(text.contains("BEGIN SSH SIGNATURE"));
    let key = fs_err::read_to_string(home.path("signing")).unwrap();
    for file in [&sidecar, home.path("journal.jsonl").to_str().unwrap()] {
        let text = fs_err::read_to_string(file).unwrap();
        assert!(!text.contains(key.lines().nth(3).unwrap()), "{file}");
    }

    let mut edited: serde_json::Value = serde_json::from_str(&text).unwrap();
    edited.as_object_mut().unwrap().remove("signature");
    fs_err::write(&sidecar, edited.to_string()).unwrap();
    let id = taken["id"].as_str().unwrap();
    home.expect(1, &["verify", id]).says("is not to be trusted: its sidecar is not signed");
    home.expect(1, &["verify", path]).says("not to be trusted");
    home.expect(1, &["restore", id, "--to", "workstation", "--database", "signed_copy"])
        .says("not to be trusted");
    home.expect(0, &["backups"]).shows("foreign").says("not signed");
}

#[test]
fn a_signing_key_that_would_not_count_is_found_before_anything_is_done() {
    let home = home_that_signs();
    home.secret("signers", "");
    home.expect(1, &["backup"]).says("which is no key of an allowed signer");
    home.secret("signers", "operator cert-authority ssh-ed25519 AAAA");
    home.expect(2, &["backup"]).says("line 1: `cert-authority` is not supported");
    assert!(home.vault().iter().all(|name| !name.ends_with(".age")));
}
