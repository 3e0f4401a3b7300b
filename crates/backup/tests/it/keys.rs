//! Every kind of key, and every way in which a key can be the wrong one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backup::{Depth, Error, Identities, Recipients, SecretString, open_file};

use crate::support::{Fixture, at, identities_of, lock, read_all, seal};

const TAKEN: &str = "2026-11-21T16:12:00Z";

/// Makes an SSH key; `None` if there is no `ssh-keygen`.
fn ssh_key(directory: &Path, kind: &str, passphrase: &str) -> Option<(PathBuf, String)> {
    let path = directory.join(format!("id_{kind}"));
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-C", "someone", "-f"])
        .arg(&path)
        .status();
    assert!(testkit::installed("ssh-keygen", made)?.success());
    let public = fs_err::read_to_string(path.with_extension("pub")).unwrap();
    Some((path, public))
}

#[test]
fn any_of_several_recipients_opens() {
    let fixture = Fixture::new();
    let escrow = age::x25519::Identity::generate();
    let mut recipients = fixture.recipients();
    recipients.add(&escrow.to_public().to_string()).unwrap();
    let entry = seal(&fixture.vault, &recipients, TAKEN, b"both");
    for key in [&fixture.key, &escrow] {
        assert_eq!(
            read_all(fixture.vault.open_entry(&entry, &identities_of(key)).unwrap()),
            b"both"
        );
    }
    assert_eq!(entry.sidecar().unwrap().recipients.len(), 2);
}

#[test]
fn an_entry_says_whether_a_passphrase_opens_it() {
    let fixture = Fixture::new();
    let for_key = fixture.seal(TAKEN, b"key");
    let recipients = Recipients::passphrase("correct horse".into());
    let with_passphrase = seal(&fixture.vault, &recipients, TAKEN, b"passphrase");
    assert!(!for_key.is_passphrase_sealed().unwrap());
    assert!(with_passphrase.is_passphrase_sealed().unwrap());
    fs_err::remove_file(for_key.path()).unwrap();
    assert!(for_key.is_passphrase_sealed().is_err());
}

#[test]
fn ssh_keys_open_what_was_sealed_for_them() {
    let fixture = Fixture::new();
    for kind in ["ed25519", "rsa"] {
        let Some((path, public)) = ssh_key(fixture.directory.path(), kind, "") else {
            return;
        };
        let mut recipients = Recipients::new();
        recipients.add(&public).unwrap();
        let entry = seal(&fixture.vault, &recipients, TAKEN, kind.as_bytes());
        let identities = Identities::load(&path).unwrap();
        let shown = |text: &str| text.split(' ').take(2).collect::<Vec<_>>().join(" ");
        assert_eq!(identities.fingerprints().next().unwrap().text, shown(public.trim()));
        assert_eq!(
            read_all(fixture.vault.open_entry(&entry, &identities).unwrap()),
            kind.as_bytes()
        );
    }
}

#[test]
fn an_encrypted_ssh_key_asks_once_and_only_when_needed() {
    let fixture = Fixture::new();
    let Some((path, public)) = ssh_key(fixture.directory.path(), "ed25519", "hunter2") else {
        return;
    };
    let mut recipients = fixture.recipients();
    recipients.add(&public).unwrap();
    let mine = seal(&fixture.vault, &recipients, TAKEN, b"mine");
    let other = fixture.seal(TAKEN, b"other");

    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let mut identities = Identities::new();
    identities.ask_with(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Some(SecretString::from("hunter2"))
    });
    identities.add_file(&path).unwrap();
    assert!(matches!(
        fixture.vault.open_entry(&other, &identities),
        Err(Error::NoIdentityMatched { .. })
    ));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(read_all(fixture.vault.open_entry(&mine, &identities).unwrap()), b"mine");
    assert_eq!(read_all(fixture.vault.open_entry(&mine, &identities).unwrap()), b"mine");
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    let mut mistaken = Identities::new();
    mistaken.ask_with(|_| Some(SecretString::from("hunter3")));
    mistaken.add_file(&path).unwrap();
    let error = fixture.vault.open_entry(&mine, &mistaken).unwrap_err();
    assert!(matches!(&error, Error::WrongPassphrase { path: key } if *key == path));
    assert!(!format!("{error} {error:?} {mistaken:?}").contains("hunter"));
    // A wrong passphrase for one key does not keep the next one from its turn.
    mistaken.add_file(fixture.keys_file()).unwrap();
    assert_eq!(read_all(fixture.vault.open_entry(&mine, &mistaken).unwrap()), b"mine");
}

#[test]
fn a_passphrase_opens_and_a_wrong_one_is_told_apart() {
    let fixture = Fixture::new();
    let recipients = Recipients::passphrase(SecretString::from("hunter2"));
    let entry = seal(&fixture.vault, &recipients, TAKEN, b"by heart");
    assert_eq!(entry.sidecar().unwrap().recipients[0].recipient, "passphrase");
    let mut right = Identities::new();
    right.add_passphrase(SecretString::from("hunter2"));
    assert_eq!(read_all(fixture.vault.open_entry(&entry, &right).unwrap()), b"by heart");
    let mut wrong = Identities::new();
    wrong.add_passphrase(SecretString::from("hunter3"));
    let error = fixture.vault.open_entry(&entry, &wrong).unwrap_err();
    assert!(matches!(error, Error::NoIdentityMatched { .. }), "{error:?}");
    assert!(!format!("{error} {error:?} {wrong:?} {recipients:?}").contains("hunter"));
    assert!(matches!(
        fixture.vault.verify(&entry, &fixture.identities(), Depth::Quick),
        Err(Error::NoIdentityMatched { .. })
    ));
}

#[test]
fn no_key_and_wrong_key_are_different_errors() {
    let fixture = Fixture::new();
    let entry = fixture.seal(TAKEN, b"x");
    let none = fixture.vault.open_entry(&entry, &Identities::new()).unwrap_err();
    assert!(matches!(none, Error::NoIdentity { skipped: 0, .. }));
    let stranger = identities_of(&age::x25519::Identity::generate());
    let wrong = fixture.vault.verify(&entry, &stranger, Depth::Quick).unwrap_err();
    assert!(matches!(wrong, Error::NoIdentityMatched { tried: 1, .. }));
    assert!(wrong.hint().unwrap().contains(&fixture.key.to_public().to_string()));
    // Without the sidecar nobody can say for whom it was.
    assert!(
        matches!(open_file(entry.path(), &stranger), Err(Error::NoIdentityMatched { sealed_for, .. }) if sealed_for.is_empty())
    );
}

#[test]
fn a_keys_file_with_an_unknown_line_still_opens() {
    let fixture = Fixture::new();
    let entry = fixture.seal(TAKEN, b"x");
    let path = fixture.keys_file();
    let key = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, format!("# created by hand\nAGE-SECRET-KEY-PQ-1QQQ\n{key}\n")).unwrap();
    let identities = Identities::load(&path).unwrap();
    assert_eq!(identities.notes().len(), 1);
    assert!(
        identities.notes()[0]
            .to_string()
            .contains("keys.txt, line 2: a post-quantum identity, which only a plugin can use")
    );
    fixture.vault.verify(&entry, &identities, Depth::Full).unwrap();

    fs_err::write(&path, "AGE-SECRET-KEY-PQ-1QQQ\n").unwrap();
    let useless = Identities::load(&path).unwrap();
    let error = fixture.vault.open_entry(&entry, &useless).unwrap_err();
    assert!(matches!(error, Error::NoIdentity { skipped: 1, .. }));
}

#[test]
fn an_encrypted_keys_file_opens_with_its_passphrase() {
    use std::io::Write as _;
    let fixture = Fixture::new();
    let entry = fixture.seal(TAKEN, b"x");
    let clear = fs_err::read(fixture.keys_file()).unwrap();
    let path = fixture.path().join("keys.age");
    let mut writer = age::Encryptor::with_user_passphrase(SecretString::from("hunter2"))
        .wrap_output(fs_err::File::create(&path).unwrap())
        .unwrap();
    writer.write_all(&clear).unwrap();
    writer.finish().unwrap();

    let mut identities = Identities::new();
    identities.ask_with(|_| Some(SecretString::from("hunter2")));
    identities.add_file(&path).unwrap();
    fixture.vault.verify(&entry, &identities, Depth::Quick).unwrap();
    identities.ask_with(|_| Some(SecretString::from("hunter3")));
    assert!(matches!(identities.add_file(&path), Err(Error::WrongPassphrase { .. })));
}

#[test]
fn a_recipients_file_is_all_or_nothing() {
    let fixture = Fixture::new();
    let path = fixture.path().join("team.txt");
    let key = fixture.key.to_public();
    fs_err::write(&path, format!("# team\n{key}\nage1typo\n")).unwrap();
    let mut recipients = Recipients::new();
    let error = recipients.add_file(&path).unwrap_err().to_string();
    assert!(error.contains("team.txt, line 3: "), "{error}");
    assert!(recipients.is_empty());
    fs_err::write(&path, format!("# team\n{key}\n")).unwrap();
    recipients.add_file(&path).unwrap();
    assert_eq!(recipients.len(), 1);
    let lock = lock(&fixture.vault);
    fixture.vault.begin(&lock, &recipients, at(TAKEN)).unwrap();
}
