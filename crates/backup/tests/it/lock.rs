//! One run at a time, across processes; verification needs no lock.

use std::io::Write as _;

use backup::{Depth, Error, Vault};

use crate::crash::Child;
use crate::support::{Fixture, at};

#[test]
fn a_second_process_is_refused_until_the_first_dies() {
    let fixture = Fixture::new();
    let earlier = fixture.seal("2026-11-20T00:00:00Z", b"x");
    let mut child = Child::start(&fixture, "hold", 0);
    child.wait_for_line();
    let error = fixture.vault.lock().unwrap_err();
    let Error::Locked { service, owner: Some(owner) } = &error else { panic!("{error:?}") };
    assert_eq!((service.as_str(), owner.pid), ("state-hub", child.id()));
    assert!(error.is_retryable());
    assert!(error.to_string().contains(&format!("process {}", child.id())), "{error}");
    // Other services and readers go on.
    Vault::open(fixture.path(), "state-hub-dev").unwrap().lock().unwrap();
    fixture.vault.verify(&earlier, &fixture.identities(), Depth::Full).unwrap();
    fixture.vault.mark_verified(&earlier, at("2026-12-01T00:00:00Z")).unwrap();
    child.kill();
    fixture.vault.lock().unwrap();
}

#[test]
fn the_lock_lives_as_long_as_its_sealing() {
    let fixture = Fixture::new();
    let lock = fixture.vault.lock().unwrap();
    let mut sealing =
        fixture.vault.begin(&lock, &fixture.recipients(), at("2026-11-20T00:00:00Z")).unwrap();
    drop(lock);
    sealing.write_all(b"x").unwrap();
    assert!(matches!(fixture.vault.lock(), Err(Error::Locked { .. })));
    drop(sealing);
    fixture.vault.lock().unwrap();
}

#[test]
fn the_lock_of_another_vault_does_not_do() {
    let fixture = Fixture::new();
    let other = Vault::open(fixture.path(), "other").unwrap().lock().unwrap();
    let begun = fixture.vault.begin(&other, &fixture.recipients(), at("2026-11-20T00:00:00Z"));
    assert!(matches!(begun, Err(Error::ForeignLock)));
    assert!(matches!(fixture.vault.clean_leftovers(&other), Err(Error::ForeignLock)));
}

#[test]
fn what_is_planted_in_a_vault_is_neither_waited_for_nor_followed() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"x");
    // The names of an unfinished file, of the list of a removal, and of a sidecar.
    let unfinished = fixture.path().join(".state-hub-20261123T000000Z.Ab1.partial");
    testkit::pipe(&unfinished);
    let removed = fixture.vault.clean_leftovers(&fixture.vault.lock().unwrap()).unwrap();
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert!(!unfinished.exists());

    let pruning = fixture.path().join(".state-hub.sql.gz.age.pruning");
    testkit::pipe(&pruning);
    let error = fixture.vault.leftovers().unwrap_err();
    assert!(error.to_string().contains("is a pipe"), "{error}");
    assert!(error.hint().unwrap().starts_with("name a regular file"));
    fs_err::remove_file(&pruning).unwrap();

    let sidecar = fixture.path().join(format!("state-hub-{}.json", entry.id()));
    let elsewhere = fixture.path().join("elsewhere");
    fs_err::rename(&sidecar, &elsewhere).unwrap();
    fs_err::os::unix::fs::symlink(&elsewhere, &sidecar).unwrap();
    assert!(fixture.vault.entries().unwrap()[0].sidecar().is_none());
    fs_err::remove_file(&sidecar).unwrap();
    testkit::pipe(&sidecar);
    assert!(fixture.vault.entries().unwrap()[0].sidecar().is_none());
}
