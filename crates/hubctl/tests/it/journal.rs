//! The journal is held against what backups took along, and is rotated.

use crate::support::Home;

#[test]
fn a_backup_takes_the_head_of_the_journal_along() {
    let home = Home::new();
    home.append("[targets.stick]\nfolder = \"stick\"\n");
    fs_err::create_dir(home.path("stick")).unwrap();
    // The first backup has no journal to speak of.
    home.backup();
    home.expect(1, &["journal", "verify", "--against", "latest"]).says("keeps no head");
    home.expect(0, &["drill"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let taken = home.json(0, "hubctl.backup.v1", &["backup"]);
    let head = taken["anchor"].as_str().unwrap().to_owned();
    assert!(head.starts_with("2:"), "{head}");
    home.expect(0, &["push"]);

    for against in ["latest", "stick:latest", taken["path"].as_str().unwrap()] {
        let verified =
            home.json(0, "hubctl.journal-verify.v1", &["journal", "verify", "--against", against]);
        assert_eq!(verified["against"], *head);
    }

    // A head that somebody only typed is not one, and a backup that nobody vouches for keeps none.
    home.expect(2, &["journal", "verify", "--against", "2:abc"]).says("journal head");
    let sidecar = taken["path"].as_str().unwrap().replace(".sql.gz.age", ".json");
    let good = fs_err::read_to_string(&sidecar).unwrap();
    fs_err::write(&sidecar, good.replace("\"state\"", "\"states\"")).unwrap();
    home.expect(1, &["journal", "verify", "--against", taken["id"].as_str().unwrap()]);
    fs_err::write(&sidecar, good).unwrap();

    // Somebody leaves the drill out, and chains the rest anew.
    let records = home.journal("backup");
    fs_err::remove_file(home.path("journal.jsonl")).unwrap();
    let forged = journal::Journal::open(home.path("journal.jsonl")).unwrap();
    for record in records {
        let new = journal::NewRecord::new(record.at, record.kind, record.outcome, record.subject);
        forged.append(new.with_evidence(record.evidence)).unwrap();
    }
    home.expect(0, &["journal", "verify"]);
    home.expect(1, &["journal", "verify", "--against", "stick:latest"]).says("was rewritten");
}

#[test]
fn a_rotated_journal_is_listed_verified_and_examined_as_one() {
    let home = Home::new();
    home.expect(2, &["journal", "rotate"]).says("no journal");
    home.backup();
    home.expect(0, &["verify"]);
    let rotated = home.json(0, "hubctl.journal-rotate.v1", &["journal", "rotate"]);
    assert_eq!(rotated["records"], 2);
    let again = home.json(0, "hubctl.journal-rotate.v1", &["journal", "rotate"]);
    assert_eq!(again["part"], serde_json::Value::Null);

    home.expect(0, &["journal"]).shows("rotated").shows("verify");
    home.expect(0, &["journal", "verify"]).says("3 records");
    home.expect(0, &["doctor"]).shows("3 records");
    let part = rotated["part"].as_str().unwrap();
    let closed = fs_err::read(part).unwrap();
    fs_err::remove_file(part).unwrap();
    home.expect(1, &["journal", "verify"]).says("the records before 3 are missing");
    home.expect(1, &["doctor"]).shows("the records before 3 are missing");
    // Parts without their journal are no new one.
    fs_err::write(part, closed).unwrap();
    home.expect(0, &["journal", "verify"]);
    fs_err::remove_file(home.path("journal.jsonl")).unwrap();
    home.expect(2, &["verify"]).says("no journal");
    home.expect(2, &["backup"]).says("no journal");
}
