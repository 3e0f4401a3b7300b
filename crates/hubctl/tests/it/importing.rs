//! Sealed dumps of other tools in the catalogue.

use crate::support::Home;

/// A gzipped plain dump, sealed with the stock tool's library for the key of a home.
fn seal(home: &Home, to: &str, text: &str) {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let mut recipients = backup::Recipients::new();
    let key = fs_err::read_to_string(home.path("key.txt")).unwrap();
    let key: age::x25519::Identity = key.trim().parse().unwrap();
    recipients.add(&key.to_public().to_string()).unwrap();
    let sealed = recipients.seal(&gzip.finish().unwrap()).unwrap();
    fs_err::write(home.path(to), sealed).unwrap();
}

#[test]
fn a_folder_of_foreign_dumps_is_catalogued_and_left_as_it_is() {
    let home = Home::new();
    fs_err::create_dir(home.path("old")).unwrap();
    seal(&home, "old/state-hub-20260301T020000Z.sql.gz.age", "one");
    seal(&home, "old/custodian_2026-03-02.sql.gz.age", "two");
    seal(&home, "old/nameless.sql.gz.age", "three");
    seal(&home, "vault/state-hub-20260228T020000Z.sql.gz.age", "zero");
    fs_err::write(home.path("old/broken-20260303.sql.gz.age"), "age-encryption.org/v1\nhalf")
        .unwrap();
    fs_err::write(home.path("old/readme.txt"), "not a backup").unwrap();
    fs_err::os::unix::fs::symlink("nameless.sql.gz.age", home.path("old/latest.sql.gz.age"))
        .unwrap();
    let names = |directory: &str| {
        let read = fs_err::read_dir(home.path(directory)).unwrap();
        let mut names: Vec<_> = read.map(|item| item.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let (old, vault) = (names("old"), names("vault"));

    let plan = home.json(1, "hubctl.import.v1", &["import", "old"]);
    assert_eq!(plan["files"].as_array().unwrap().len(), 4);
    assert_eq!((names("old"), names("vault")), (old.clone(), vault));

    let done = home.expect(1, &["import", "old", "--execute"]);
    done.shows("imported as 20260301T020000Z")
        .says("no time stands in the name of old/nameless.sql.gz.age")
        .says("they are sealed, not verified");
    assert_eq!(names("old"), old);
    home.json(0, "hubctl.import.v1", &["import", "vault", "--execute"]);
    let listed = home.json(0, "hubctl.backups.v1", &["backups"]);
    let listed = listed["backups"].as_array().unwrap();
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().all(|backup| backup["state"] == "sealed"), "{listed:?}");

    // Again there is nothing to do, but what does not open still does not.
    let again = home.json(1, "hubctl.import.v1", &["import", "old", "--execute"]);
    let there = again["files"].as_array().unwrap().iter();
    assert_eq!(there.filter(|file| file["there"] == true).count(), 3);
    fs_err::remove_file(home.path("old/broken-20260303.sql.gz.age")).unwrap();
    home.expect(0, &["import", "old", "--execute"]);
    assert_eq!(home.journal("import").len(), 4);
    home.expect(2, &["import", "nowhere"]).says("cannot be read");
}
