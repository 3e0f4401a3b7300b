//! The journal is held against what backups took along, and is rotated.

use crate::support::Home;

#[test]
fn a_backup_takes_the_head_of_the_journal_along() {
    let home = Home::new();
    home.append("[targets.stick]\nfolder = \"stick\"\n");
    fs_err::create_dir(home.path("stick")).unwrap();
    // The first backup has no journal to speak of.
    home.backup();
    home.expect(2, &["journal", "verify", "--against", "latest"])
        .says("keeps no head");
    home.expect(0, &["drill"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let taken = home.json(0, "hubctl.backup.v1", &["backup"]);
    let head = taken["payload"]["journal"].as_str().unwrap().to_owned();
    assert!(head.starts_with("2:"), "{head}");
    home.expect(0, &["push"]);

    for against in ["latest", "stick:latest", taken["path"].as_str().unwrap()] {
        let verified = home.json(
            0,
            "hubctl.journal-verify.v1",
            &["journal", "verify", "--against", against],
        );
        assert_eq!(verified["against"], *head);
    }

    // Somebody leaves the drill out, and chains the rest anew.
    let records = home.journal("backup");
    fs_err::remove_file(home.path("journal.jsonl")).unwrap();
    let forged = gates::Journal::open(home.path("journal.jsonl")).unwrap();
    for record in records {
        let new = gates::NewRecord::new(record.at, record.kind, record.outcome, record.subject);
        forged.append(new.with_evidence(record.evidence)).unwrap();
    }
    home.expect(0, &["journal", "verify"]);
    home.expect(1, &["journal", "verify", "--against", "stick:latest"])
        .says("was rewritten");
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

    home.expect(0, &["journal"])
        .shows("rotated")
        .shows("verify");
    home.expect(0, &["journal", "verify"]).says("3 records");
    // Fresh data is still known, and so is what was found damaged.
    home.expect(0, &["doctor"]).shows("3 records");
    fs_err::remove_file(rotated["part"].as_str().unwrap()).unwrap();
    home.expect(1, &["journal", "verify"])
        .says("stands where record 1 belongs");
    home.expect(1, &["doctor"]).shows("stands where record 1");
}
