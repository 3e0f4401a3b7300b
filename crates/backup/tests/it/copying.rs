//! Copies in another vault.

use backup::{Depth, Entry, Error, LeftoverKind, Proof, Receipt, State, Vault};

use crate::support::{Fixture, at, lock, payload, seal};

#[test]
fn a_copy_is_the_same_file_with_what_is_known_of_it() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", &payload(100_000));
    let entry = fixture.vault.mark_verified(&entry, at("2026-12-02T00:00:00Z")).unwrap();
    let away = tempfile::tempdir().unwrap();
    let away = Vault::open(away.path(), "state-hub").unwrap();
    let lock = lock(&away);
    let copy = fixture.vault.copy_to(&entry, &away, &lock).unwrap();
    assert_eq!(copy.state(), State::Verified);
    assert_eq!(fs_err::read(copy.path()).unwrap(), fs_err::read(entry.path()).unwrap());
    away.verify(&copy, &fixture.identities(), Depth::Full).unwrap();
    assert_eq!(away.find("latest").unwrap().id(), entry.id());

    // Again is no more.
    let before = fs_err::metadata(copy.path()).unwrap().modified().unwrap();
    fixture.vault.copy_to(&entry, &away, &lock).unwrap();
    assert_eq!(fs_err::metadata(copy.path()).unwrap().modified().unwrap(), before);
    assert!(away.leftovers().unwrap().is_empty());
}

#[test]
fn what_is_damaged_or_of_another_service_is_not_copied() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", &payload(100_000));
    let away = tempfile::tempdir().unwrap();
    let other = Vault::open(away.path(), "other").unwrap();
    let refused = fixture.vault.copy_to(&entry, &other, &lock(&other));
    assert!(matches!(refused, Err(Error::ForeignEntry { .. })), "{refused:?}");

    let mut bytes = fs_err::read(entry.path()).unwrap();
    bytes[50_000] ^= 1;
    fs_err::write(entry.path(), bytes).unwrap();
    let same = Vault::open(away.path(), "state-hub").unwrap();
    let lock = lock(&same);
    let refused = fixture.vault.copy_to(&entry, &same, &lock);
    assert!(matches!(refused, Err(Error::HashDiffers { .. })), "{refused:?}");
    assert!(same.entries().unwrap().is_empty() && same.leftovers().unwrap().is_empty());
    let mine = crate::support::lock(&fixture.vault);
    let refused = fixture.vault.copy_to(&entry, &same, &mine);
    assert!(matches!(refused, Err(Error::ForeignLock)), "{refused:?}");
}

#[test]
fn another_file_of_the_same_length_is_not_taken_for_a_copy() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"ours");
    let away = tempfile::tempdir().unwrap();
    let away = Vault::open(away.path(), "state-hub").unwrap();
    let theirs = loop {
        // What age adds to a header that nobody needs has any length.
        let theirs = seal(&away, &fixture.recipients(), "2026-11-20T00:00:00Z", b"hers");
        if theirs.sealed_bytes() == entry.sealed_bytes() {
            break theirs;
        }
        fs_err::remove_file(theirs.path()).unwrap();
        fs_err::remove_file(
            theirs.path().with_extension("").with_extension("").with_extension("json"),
        )
        .unwrap();
    };
    let refused = fixture.vault.copy_to(&entry, &away, &lock(&away));
    assert!(matches!(refused, Err(Error::Changed { .. })), "{refused:?}");
    away.verify(&theirs, &fixture.identities(), Depth::Full).unwrap();
}

#[test]
fn another_file_of_the_name_stays_and_half_a_copy_is_made_whole() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"ours");
    let away = tempfile::tempdir().unwrap();
    let away = Vault::open(away.path(), "state-hub").unwrap();
    let theirs = seal(&away, &fixture.recipients(), "2026-11-20T00:00:00Z", b"theirs");
    let lock = lock(&away);
    let refused = fixture.vault.copy_to(&entry, &away, &lock);
    assert!(matches!(refused, Err(Error::Changed { .. })), "{refused:?}");
    away.verify(&theirs, &fixture.identities(), Depth::Full).unwrap();

    // As a crash leaves it: the sidecar has its name, and the file not yet.
    fs_err::remove_file(theirs.path()).unwrap();
    assert_eq!(away.leftovers().unwrap()[0].kind, LeftoverKind::OrphanSidecar);
    let copy = fixture.vault.copy_to(&entry, &away, &lock).unwrap();
    away.verify(&copy, &fixture.identities(), Depth::Full).unwrap();
    assert!(away.leftovers().unwrap().is_empty());
}

#[test]
fn a_copy_learns_what_was_proven_after_it() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-21T16:12:00Z", b"payload");
    let elsewhere = tempfile::tempdir().unwrap();
    let to = Vault::open(elsewhere.path(), "state-hub").unwrap();
    let lock = lock(&to);
    let copy = fixture.vault.copy_to(&entry, &to, &lock).unwrap();
    assert_eq!(copy.state(), State::Sealed);
    let entry = fixture.vault.mark_verified(&entry, at("2026-12-01T00:00:00Z")).unwrap();
    let copy = fixture.vault.copy_to(&entry, &to, &lock).unwrap();
    assert_eq!(copy.sidecar(), entry.sidecar());
    // What is proven there and not here stays.
    let drilled = to.mark_drilled(&copy, at("2026-12-02T00:00:00Z")).unwrap();
    let again = fixture.vault.copy_to(&entry, &to, &lock).unwrap();
    assert_eq!(again.sidecar(), drilled.sidecar());
}

#[test]
fn a_copy_on_a_disk_is_recorded_as_one_at_a_server_is() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"x");
    let receipt = |answer: &str| Receipt { answer: answer.to_owned(), is_hash_confirmed: false };
    let record = |entry: &Entry, answer, proof, when| {
        let vault = &fixture.vault;
        let recorded = vault.record_copy(entry, "disk", receipt(answer), proof, at(when));
        recorded.unwrap()
    };
    let sent = "2026-12-01T00:00:00Z";
    let entry = record(&entry, "copied", None, sent);
    let copy = &entry.sidecar().unwrap().copies["disk"];
    assert_eq!((copy.sent_at, copy.proven_at), (at(sent), None));
    let proven = "2026-12-02T00:00:00Z";
    let entry = record(&entry, "found", Some(Proof::Whole), proven);
    let copy = &entry.sidecar().unwrap().copies["disk"];
    assert_eq!((copy.sent_at, copy.proven_at), (at(sent), Some(at(proven))));
    assert_eq!((copy.answer.as_str(), copy.proof), ("copied", Some(Proof::Whole)));
    // What adds nothing writes nothing.
    let before = fs_err::metadata(fixture.path().join("state-hub-20261120T000000Z.json")).unwrap();
    record(&entry, "found", None, "2026-12-03T00:00:00Z");
    let after = fs_err::metadata(fixture.path().join("state-hub-20261120T000000Z.json")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
}
