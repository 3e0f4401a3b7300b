//! Backups that are sealed with a passphrase, and key files that are.

use std::io::Write as _;

use age::secrecy::SecretString;

use crate::support::Home;

const PASSPHRASE: &str = "canary correct horse battery staple";

/// A home whose vault knows no key, only a passphrase file.
fn home_of_passphrase() -> Home {
    let home = Home::new();
    home.secret("passphrase", PASSPHRASE);
    home.configure("passphrase_file = \"passphrase\"\n", "");
    home
}

#[test]
fn a_passphrase_seals_verifies_and_opens() {
    let home = home_of_passphrase();
    let taken = home.json(0, "hubctl.backup.v1", &["backup"]);
    assert_eq!(taken["state"], "verified");
    assert_eq!(taken["recipients"][0], "passphrase");
    home.expect(0, &["verify", "--full", "-vv"]);
    home.expect(0, &["diff", "workstation", "latest"]);
    let doctor = home.expect(0, &["doctor"]);
    doctor.shows("only a passphrase").shows("a probe was sealed and opened again");
    home.expect(0, &["config", "show"]).shows("vault.passphrase_file");

    home.secret("wrong", "wrong");
    home.expect(1, &["verify", "--passphrase-file", "wrong"])
        .says("none of the 1 given identities opens")
        .says("hint: it was sealed with a passphrase");
    // A wrong passphrase is no damage.
    home.expect(0, &["backups"]).shows("verified");

    for name in home
        .vault()
        .into_iter()
        .map(|name| format!("vault/{name}"))
        .chain(["journal.jsonl".to_owned()])
    {
        let bytes = fs_err::read(home.path(&name)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"), "{name}");
    }
}

#[test]
fn public_keys_are_preferred_unless_the_passphrase_is_asked_for() {
    let home = Home::new();
    home.secret("passphrase", PASSPHRASE);
    let file = ["--passphrase-file", "passphrase"];
    let by_key = home.json(0, "hubctl.backup.v1", &[&["backup"][..], &file].concat());
    assert_eq!(by_key["recipients"].as_array().unwrap().len(), 2);
    let by_passphrase =
        home.json(0, "hubctl.backup.v1", &[&["backup", "--passphrase"][..], &file].concat());
    assert_eq!(by_passphrase["recipients"][0], "passphrase");
    home.expect(1, &["verify"]).says("none of the 1 given identities");
    home.expect(0, &[&["verify"][..], &file].concat());
    home.expect(2, &["backup", "--passphrase"])
        .says("there is no terminal to ask for the passphrase on");
    home.expect(2, &["backup", "--passphrase", "--recipient", "age1x"]);
}

#[test]
fn a_passphrase_opens_an_encrypted_key_file() {
    let home = Home::new();
    home.backup();
    home.secret("passphrase", PASSPHRASE);
    let key = fs_err::read(home.path("key.txt")).unwrap();
    let encryptor = age::Encryptor::with_user_passphrase(SecretString::from(PASSPHRASE.to_owned()));
    let file = fs_err::File::create(home.path("key.age")).unwrap();
    let mut sealed = encryptor.wrap_output(file).unwrap();
    sealed.write_all(&key).unwrap();
    sealed.finish().unwrap();

    let verify = ["verify", "--identity", "key.age"];
    home.expect(2, &verify).says("the file is encrypted and no passphrase was given for it");
    home.expect(0, &[&verify[..], &["--passphrase-file", "passphrase"]].concat())
        .shows("verified (");
    home.secret("wrong", "wrong");
    home.expect(1, &[&verify[..], &["--passphrase-file", "wrong"]].concat())
        .says("the passphrase does not open key.age");
}

#[test]
fn a_passphrase_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = home_of_passphrase();
    let open = std::fs::Permissions::from_mode(0o640);
    fs_err::set_permissions(home.path("passphrase"), open).unwrap();
    home.expect(2, &["backup"]).says("may be read by others (mode 640)").says("chmod 600");
    home.secret("passphrase", "");
    home.expect(2, &["backup"]).says("gives an empty passphrase");
}
