//! From one set of keys to another.

use std::sync::{Arc, Mutex};

use backup::{Depth, Error, Progress, Proof, Recipients, Remote, Stage, State, Vault};
use testkit::Cloud;

use crate::support::{Fixture, at, identities_of, lock, payload, read_all};
use crate::targets::{cloud_target, limits};

const NOW: &str = "2026-12-10T00:00:00Z";

#[test]
fn the_same_payload_is_sealed_for_others_and_what_was_proven_stays() {
    let fixture = Fixture::new();
    let bytes = payload(200_000);
    let old = fixture.seal("2026-11-20T00:00:00Z", &bytes);
    let old = fixture.vault.mark_verified(&old, at("2026-12-02T00:00:00Z")).unwrap();
    let old = fixture.vault.mark_drilled(&old, at("2026-12-03T00:00:00Z")).unwrap();
    let next = age::x25519::Identity::generate();
    let mut recipients = Recipients::new();
    recipients.add(&next.to_public().to_string()).unwrap();
    let mut both = fixture.identities();
    both.add_text(&next.to_string(), "next");

    let lock = lock(&fixture.vault);
    let new = fixture.vault.rekey(&lock, &old, &both, &recipients, at(NOW)).unwrap();
    assert_eq!((new.id(), new.state()), ("20261120T000000Z-2", State::Drilled));
    assert!(!old.path().exists());
    assert_eq!(fixture.vault.entries().unwrap().len(), 1);
    assert_eq!(fixture.vault.find("latest").unwrap().id(), new.id());
    assert!(fixture.vault.leftovers().unwrap().is_empty());
    let only_next = identities_of(&next);
    fixture.vault.verify(&new, &only_next, Depth::Full).unwrap();
    assert_eq!(read_all(fixture.vault.open_entry(&new, &only_next).unwrap()), bytes);
    let refused = fixture.vault.verify(&new, &fixture.identities(), Depth::Quick);
    assert!(matches!(refused, Err(Error::NoIdentityMatched { .. })));
}

#[test]
fn what_cannot_be_opened_again_does_not_take_the_old_ones_place() {
    let fixture = Fixture::new();
    let old = fixture.seal("2026-11-20T00:00:00Z", b"x");
    let old = fixture.vault.mark_verified(&old, at("2026-12-02T00:00:00Z")).unwrap();
    let before = fixture.names();
    let mut recipients = Recipients::new();
    let stranger = age::x25519::Identity::generate();
    recipients.add(&stranger.to_public().to_string()).unwrap();
    let lock = lock(&fixture.vault);
    let refused = fixture.vault.rekey(&lock, &old, &fixture.identities(), &recipients, at(NOW));
    assert!(matches!(refused, Err(Error::NotProvable { tried: 1, .. })), "{refused:?}");
    assert!(refused.unwrap_err().hint().unwrap().contains("age1"));
    assert_eq!(fixture.names(), before);
    assert!(fixture.vault.leftovers().unwrap().is_empty());
}

/// The progress that was reported, in order.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<(Stage, String, u64, u64)>>);

impl Progress for Told {
    fn begin(&self, stage: Stage, id: &str, bytes: u64) {
        let mut told = self.0.lock().unwrap();
        told.push((stage, id.to_owned(), bytes, 0));
    }

    fn advance(&self, bytes: u64) {
        let mut told = self.0.lock().unwrap();
        told.last_mut().unwrap().3 += bytes;
    }
}

impl Told {
    /// The stages and ids; each passed as many bytes as it promised.
    fn take(&self) -> Vec<(Stage, String)> {
        let told = std::mem::take(&mut *self.0.lock().unwrap());
        let check = |(stage, id, promised, passed)| {
            assert_eq!(promised, passed, "{stage} {id}");
            (stage, id)
        };
        told.into_iter().map(check).collect()
    }
}

#[test]
fn whole_files_on_their_way_tell_how_far_they_are() {
    let fixture = Fixture::new();
    let told = Arc::new(Told::default());
    let vault = fixture.vault.clone().watched_by(told.clone());
    let entry = fixture.seal("2026-11-20T00:00:00Z", &payload(300_000));
    let entry = vault.mark_verified(&entry, at(NOW)).unwrap();
    let id = |stage| (stage, entry.id().to_owned());
    assert_eq!(told.take(), [id(Stage::Check)]);

    let cloud = Cloud::start().unwrap();
    let remote = Remote::new("cloud", cloud_target(&cloud, limits()), &vault);
    let there = remote.listing().unwrap();
    let pushed = remote.push(&vault, &entry, &there, at(NOW)).unwrap();
    assert_eq!(told.take(), [id(Stage::Check), id(Stage::Send)]);
    let proof = Proof::Whole;
    remote.prove(&vault, &pushed.entry, proof, at(NOW)).unwrap();
    assert_eq!(told.take(), [id(Stage::Compare)]);

    let elsewhere = tempfile::tempdir().unwrap();
    let other = Vault::open(elsewhere.path(), "state-hub").unwrap();
    let other = other.watched_by(told.clone());
    let fetched = remote.find("latest").unwrap();
    remote.pull(&fetched, &other, &lock(&other)).unwrap();
    assert_eq!(told.take(), [id(Stage::Fetch), id(Stage::Compare)]);

    let held = lock(&vault);
    let (identities, recipients) = (fixture.identities(), fixture.recipients());
    let new = vault.rekey(&held, &pushed.entry, &identities, &recipients, at(NOW));
    let new = (new.unwrap().id().to_owned(),);
    let anew = |stage| (stage, new.0.clone());
    assert_eq!(told.take(), [id(Stage::Seal), anew(Stage::Compare), anew(Stage::Check)]);
}

#[test]
fn a_file_from_elsewhere_is_not_rekeyed() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"x");
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.age");
    fs_err::copy(entry.path(), &copy).unwrap();
    let copy = fixture.vault.find(copy.to_str().unwrap()).unwrap();
    let before = fixture.names();
    let lock = lock(&fixture.vault);
    let refused =
        fixture.vault.rekey(&lock, &copy, &fixture.identities(), &fixture.recipients(), at(NOW));
    assert!(matches!(refused, Err(Error::ForeignEntry { .. })), "{refused:?}");
    assert_eq!(fixture.names(), before);
}

#[test]
fn keys_change_more_than_once() {
    let fixture = Fixture::new();
    let bytes = payload(70_000);
    let mut entry = fixture.seal("2026-11-20T00:00:00Z", &bytes);
    entry = fixture.vault.mark_verified(&entry, at("2026-12-02T00:00:00Z")).unwrap();
    let mut identities = fixture.identities();
    let lock = lock(&fixture.vault);
    for number in 2..5 {
        let next = age::x25519::Identity::generate();
        let mut recipients = Recipients::new();
        recipients.add(&next.to_public().to_string()).unwrap();
        identities.add_text(&next.to_string(), "next");
        entry = fixture.vault.rekey(&lock, &entry, &identities, &recipients, at(NOW)).unwrap();
        // A name never comes back with other bytes.
        assert_eq!(entry.id(), format!("20261120T000000Z-{number}"));
        assert_eq!(fixture.vault.entries().unwrap().len(), 1);
        assert_eq!(fixture.vault.find("latest").unwrap().id(), entry.id());
        assert_eq!(read_all(fixture.vault.open_entry(&entry, &identities).unwrap()), bytes);
    }
}

#[test]
fn a_name_whose_removal_was_begun_is_not_given_again() {
    let fixture = Fixture::new();
    let old = fixture.seal("2026-11-20T00:00:00Z", b"old");
    fixture.seal("2026-11-21T00:00:00Z", b"other");
    let intent = serde_json::json!({
        "format": "backup-pruning/1", "service": "state-hub", "begun_at": NOW, "entries": [old.id()],
    });
    let path = fixture.path().join(".state-hub.sql.gz.age.pruning");
    fs_err::write(&path, intent.to_string()).unwrap();
    let new = fixture.seal("2026-11-20T00:00:00Z", b"new");
    assert!(!path.exists());
    let opened = fixture.vault.open_entry(&new, &fixture.identities()).unwrap();
    assert_eq!(read_all(opened), b"new");
    assert_eq!(fixture.vault.entries().unwrap().len(), 2);
}
