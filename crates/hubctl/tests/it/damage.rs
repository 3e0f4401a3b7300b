//! A backup known to be damaged is reported everywhere, and never taken for `latest`.

use std::io::{Read as _, Write as _};
use std::path::Path;

use backup::{Identities, Recipients, SidecarFacts, Vault};

use crate::support::Home;

/// Flips one bit in the middle.
fn flip(path: &Path) {
    let mut bytes = fs_err::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn a_backup_that_was_found_damaged_is_not_latest_until_it_is_whole_again() {
    let home = Home::new();
    let first = home.backup();
    let second = home.backup();
    let id = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.trim_start_matches("state-hub-").trim_end_matches(".sql.gz.age").to_owned()
    };
    let whole = fs_err::read(&second).unwrap();
    flip(&second);
    // Nobody knows yet, and a quick verification does not look into the middle.
    home.expect(0, &["verify"]);
    home.expect(1, &["verify", "--full"]).says("is damaged");

    let listed = home.json(0, "hubctl.backups.v1", &["backups"]);
    assert_eq!(listed["backups"][0]["state"], "damaged");
    assert!(listed["backups"][0]["problem"].as_str().unwrap().contains("found damaged at"));
    assert_eq!(listed["backups"][1]["state"], "verified");
    let copy = format!("{}_damaged", home.database);
    let restore = ["restore", "--to", "workstation", "--database", &copy];
    for arguments in [&["drill"][..], &restore, &["diff", "workstation", "latest"]] {
        home.expect(1, arguments)
            .says(&format!("{} was found damaged", id(&second)))
            .says(&format!("newest other verified backup is {}", id(&first)));
    }
    let drill = home.journal("drill").remove(0);
    assert_eq!(drill.outcome, journal::Outcome::Failed);
    home.expect(1, &["doctor"]).shows("was found damaged");
    home.expect(1, &["verify"]).says("was found damaged");
    home.expect(0, &["verify", &id(&first)]);
    home.expect(0, &["diff", "workstation", &id(&first)]);

    fs_err::write(&second, whole).unwrap();
    home.expect(0, &["verify", "--full"]);
    home.expect(0, &[&restore[..], &["--execute"]].concat());
    let listed = home.json(0, "hubctl.backups.v1", &["backups"]);
    assert_eq!(listed["backups"][0]["state"], "verified");
}

#[test]
fn a_drill_finds_damage_too_and_without_another_backup_the_hint_says_so() {
    let home = Home::new();
    flip(&home.backup());
    home.expect(1, &["drill"]).says("damaged");
    home.expect(0, &["backups"]).shows("damaged").says("was found damaged");
    home.expect(1, &["drill"]).says("there is no other verified backup");
}

#[test]
fn a_manifest_of_a_newer_version_is_refused_and_is_no_damage() {
    let home = Home::new();
    home.backup();
    let vault = Vault::open(home.path("vault"), "state-hub").unwrap();
    let identities = Identities::load(home.path("key.txt")).unwrap();
    let mut clear = Vec::new();
    vault
        .open_entry(&vault.find("latest").unwrap(), &identities)
        .unwrap()
        .read_to_end(&mut clear)
        .unwrap();
    // The last member is stored, not compressed: it names the format.
    let format = b"-- pgsnap/1 manifest";
    let at = clear.windows(format.len()).rposition(|window| window == format).unwrap();
    clear[at..at + format.len()].copy_from_slice(b"-- pgsnap/9 manifest");
    // Whoever writes another format writes its checksum: the last eight bytes are those of the member.
    let end = clear.len() - 8;
    let mut crc = flate2::Crc::new();
    crc.update(&clear[at..end]);
    clear[end..end + 4].copy_from_slice(&crc.sum().to_le_bytes());
    let mut recipients = Recipients::new();
    recipients.add(&identities.fingerprints().next().unwrap().text).unwrap();
    let at = "2026-11-01T00:00:00Z".parse().unwrap();
    let mut sealing = vault.begin(&vault.lock().unwrap(), &recipients, at).unwrap();
    sealing.write_all(&clear).unwrap();
    sealing.commit(SidecarFacts::new(at)).unwrap();

    for arguments in [
        &["verify", "20261101"][..],
        &["verify", "20261101", "--full"],
        &["drill", "20261101"],
        &["restore", "20261101", "--to", "workstation", "--execute"],
    ] {
        home.expect(3, arguments)
            .says("has format pgsnap/9, this program reads pgsnap/1")
            .says("hint: use a newer hubctl");
    }
    let listed = home.json(0, "hubctl.backups.v1", &["backups"]);
    assert_eq!(listed["backups"][1]["state"], "sealed");
}

#[test]
fn a_file_that_is_no_backup_is_a_no() {
    let home = Home::new();
    fs_err::write(home.path("holiday.jpg"), "not a backup, but long enough to look at").unwrap();
    home.expect(1, &["verify", "holiday.jpg"]).says("is not an age file");
    home.expect(2, &["verify", "20991231"]).says("there is no entry `20991231`");
    home.expect(2, &["verify", "postgresql://hub@h/d"]).says("a connection URL is no backup");
    let run = home.expect(2, &["verify", "postgresql://hub:canary@h/d"]);
    run.says("holds a password");
    assert!(!run.stderr.contains("canary"));
}

#[test]
fn the_secrets_of_key_files_are_shown_nowhere() {
    let home = Home::new();
    home.backup();
    let key = fs_err::read_to_string(home.path("key.txt")).unwrap();
    let key = key.trim();
    let broken = format!("{}X", &key[..key.len() - 1]);
    let ssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nY2FuYXJ5LXNlY3JldA==\n-----END OPENSSH PRIVATE KEY-----";
    let secret = |text: &str| {
        text.contains("AGE-SECRET-KEY") || text.contains("Y2FuYXJ5") || text.contains("canary")
    };
    home.secret("broken.txt", &format!("{broken}\ncanary-of-nothing"));
    home.secret("ssh", ssh);
    for arguments in [
        &["verify", "--identity", "broken.txt"][..],
        &["verify", "--identity", "ssh"],
        &["verify", "--identity", "broken.txt", "--identity", "key.txt"],
        &["backup", "--recipient", key],
        &["backup", "--recipients-file", "key.txt"],
        &["backup", "--recipients-file", "missing"],
        &["doctor", "--identity", "broken.txt"],
        &["drill", "--identity", "broken.txt"],
        &["config", "show", "--identity", "broken.txt"],
    ] {
        let run = home.hubctl(&[arguments, &["-vvv"]].concat());
        assert!(!secret(&run.stdout) && !secret(&run.stderr), "{arguments:?}\n{run:?}");
        assert_ne!(run.code, None);
    }
    home.expect(2, &["backup", "--recipient", key]).says("this is a private key");
    home.expect(2, &["backup", "--recipients-file", "missing"])
        .says("the recipients cannot be read");
    assert!(!secret(&fs_err::read_to_string(home.path("journal.jsonl")).unwrap()));
}
