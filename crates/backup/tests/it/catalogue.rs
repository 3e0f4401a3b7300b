//! Listing, finding, marking, and the link.

use std::path::Path;

use backup::{Entry, Error, State, Timestamp, Vault, VaultOptions};
use serde_json::{Value, json};

use crate::support::{Fixture, at, read_all, seal};

const VERIFIED: &str = "2026-12-02T00:00:00Z";

fn link_target(vault: &Vault) -> Option<String> {
    fs_err::read_link(vault.latest_link()).ok().map(|path| path.to_str().unwrap().to_owned())
}

fn sidecar_of(fixture: &Fixture, id: &str) -> std::path::PathBuf {
    fixture.path().join(format!("state-hub-{id}.json"))
}

#[test]
fn the_newest_data_comes_first_and_other_services_do_not_show() {
    let fixture = Fixture::new();
    for time in [
        "2026-11-20T00:00:00Z",
        "2026-11-22T00:00:00Z",
        "2026-11-21T00:00:00.9Z",
        "2026-11-21T00:00:00.1Z",
    ] {
        fixture.seal(time, b"x");
    }
    let dev = Vault::open(fixture.path(), "state-hub-dev").unwrap();
    seal(&dev, &fixture.recipients(), "2026-11-25T00:00:00Z", b"dev");
    let mut other = VaultOptions::default();
    other.suffix = ".tar.age".to_owned();
    let other = Vault::open_with(fixture.path(), "state-hub", &other).unwrap();
    seal(&other, &fixture.recipients(), "2026-11-26T00:00:00Z", b"tar");
    for name in
        ["state-hub-20261121T161200Z.sql.gz.age.bak", "state-hub-2026.sql.gz.age", "notes.txt"]
    {
        fs_err::write(fixture.path().join(name), b"x").unwrap();
    }
    fs_err::create_dir(fixture.path().join("state-hub-20270101T000000Z.sql.gz.age")).unwrap();

    let ids = |vault: &Vault| {
        vault.entries().unwrap().iter().map(|entry| entry.id().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        ids(&fixture.vault),
        ["20261122T000000Z", "20261121T000000Z", "20261121T000000Z-2", "20261120T000000Z"]
    );
    assert_eq!(ids(&dev), ["20261125T000000Z"]);
    assert_eq!(ids(&other), ["20261126T000000Z"]);
    assert!(fixture.vault.leftovers().unwrap().is_empty());
}

#[test]
fn services_and_ids_are_known_by_the_names_of_files_alone() {
    let fixture = Fixture::new();
    assert_eq!(Vault::services(fixture.path()).unwrap(), [""; 0]);
    for time in ["2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z", "2026-11-22T00:00:00Z"] {
        fixture.seal(time, b"x");
    }
    let dev = Vault::open(fixture.path(), "state-hub-dev").unwrap();
    seal(&dev, &fixture.recipients(), "2026-11-25T00:00:00Z", b"dev");
    for name in ["holiday.sql.gz.age", "notes.txt", ".hub-20261121T161200Z.Ab3.partial"] {
        fs_err::write(fixture.path().join(name), b"x").unwrap();
    }
    fs_err::write(sidecar_of(&fixture, "20261120T000000Z"), b"not a sidecar").unwrap();
    assert_eq!(Vault::services(fixture.path()).unwrap(), ["state-hub", "state-hub-dev"]);
    assert_eq!(
        fixture.vault.ids().unwrap(),
        ["20261122T000000Z-2", "20261122T000000Z", "20261120T000000Z"]
    );
    assert_eq!(dev.ids().unwrap(), ["20261125T000000Z"]);
    let missing = Vault::services(fixture.path().join("missing")).unwrap_err();
    assert!(matches!(missing, Error::NoVault { .. }), "{missing}");
}

#[test]
fn the_link_moves_only_forward_and_only_to_verified_files() {
    let fixture = Fixture::new();
    let vault = &fixture.vault;
    let old = fixture.seal("2026-11-20T00:00:00Z", b"old");
    let middle = fixture.seal("2026-11-21T00:00:00Z", b"middle");
    let new = fixture.seal("2026-11-22T00:00:00Z", b"new");
    assert!(matches!(vault.find("latest"), Err(Error::NothingVerified { entries: 3, .. })));
    assert_eq!(link_target(vault), None);

    let middle = vault.mark_verified(&middle, at(VERIFIED)).unwrap();
    assert_eq!(middle.state(), State::Verified);
    assert_eq!(middle.sidecar().unwrap().verified_at, Some(at(VERIFIED)));
    assert_eq!(link_target(vault).unwrap(), "state-hub-20261121T000000Z.sql.gz.age");
    vault.mark_verified(&old, at(VERIFIED)).unwrap();
    assert_eq!(vault.find("latest").unwrap().id(), middle.id());
    assert_eq!(link_target(vault).unwrap(), "state-hub-20261121T000000Z.sql.gz.age");
    vault.mark_verified(&new, at(VERIFIED)).unwrap();
    assert_eq!(vault.find("latest").unwrap().id(), new.id());
    assert_eq!(link_target(vault).unwrap(), "state-hub-20261122T000000Z.sql.gz.age");
    assert_eq!(
        read_all(fs_err::File::open(vault.latest_link()).unwrap()),
        fs_err::read(new.path()).unwrap()
    );

    // A link that a crash left behind, or that someone moved, is put right by the next mark of any entry.
    fs_err::remove_file(vault.latest_link()).unwrap();
    fs_err::os::unix::fs::symlink(old.path().file_name().unwrap(), vault.latest_link()).unwrap();
    vault.mark_verified(&old, at(VERIFIED)).unwrap();
    assert_eq!(link_target(vault).unwrap(), "state-hub-20261122T000000Z.sql.gz.age");

    // A link whose target is gone gives way to any verified entry.
    fs_err::remove_file(new.path()).unwrap();
    assert_eq!(vault.find("latest").unwrap().id(), middle.id());
    vault.mark_verified(&middle, at(VERIFIED)).unwrap();
    assert_eq!(link_target(vault).unwrap(), "state-hub-20261121T000000Z.sql.gz.age");
}

#[test]
fn a_file_that_changed_is_not_marked() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"payload");
    let good = fs_err::read(entry.path()).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs_err::write(entry.path(), &bad).unwrap();
    assert!(matches!(
        fixture.vault.mark_verified(&entry, at(VERIFIED)),
        Err(Error::HashDiffers { .. })
    ));
    fs_err::write(entry.path(), &good[..good.len() - 1]).unwrap();
    assert!(matches!(
        fixture.vault.mark_verified(&entry, at(VERIFIED)),
        Err(Error::Truncated { .. })
    ));
    fs_err::write(entry.path(), &good).unwrap();
    let sidecar = sidecar_of(&fixture, entry.id());
    let text = fs_err::read_to_string(&sidecar).unwrap();
    fs_err::write(&sidecar, text.replace(&entry.sidecar().unwrap().sha256, &"0".repeat(64)))
        .unwrap();
    assert!(matches!(
        fixture.vault.mark_verified(&entry, at(VERIFIED)),
        Err(Error::Changed { .. })
    ));
    assert_eq!(link_target(&fixture.vault), None);
    fs_err::write(&sidecar, text).unwrap();
    fixture.vault.mark_verified(&entry, at(VERIFIED)).unwrap();
    // Truncated later: it is not `latest` any more, although its sidecar says verified.
    fs_err::write(entry.path(), &good[..good.len() - 1]).unwrap();
    assert!(matches!(fixture.vault.find("latest"), Err(Error::NothingVerified { .. })));
}

#[test]
fn a_regular_file_in_the_place_of_the_link_is_not_overwritten() {
    let fixture = Fixture::new();
    fs_err::write(fixture.vault.latest_link(), b"the only backup of last year").unwrap();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"x");
    assert!(matches!(
        fixture.vault.mark_verified(&entry, at(VERIFIED)),
        Err(Error::LatestIsNotALink { .. })
    ));
    assert_eq!(fs_err::read(fixture.vault.latest_link()).unwrap(), b"the only backup of last year");
}

#[test]
fn a_drill_needs_a_verification() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"x");
    let drilled_at: Timestamp = at("2026-12-03T00:00:00Z");
    assert!(matches!(
        fixture.vault.mark_drilled(&entry, drilled_at),
        Err(Error::NotVerified { .. })
    ));
    fixture.vault.mark_verified(&entry, at(VERIFIED)).unwrap();
    let drilled = fixture.vault.mark_drilled(&entry, drilled_at).unwrap();
    assert_eq!(
        (drilled.state(), drilled.sidecar().unwrap().drilled_at),
        (State::Drilled, Some(drilled_at))
    );
    let again = fixture.vault.mark_verified(&drilled, at("2026-12-04T00:00:00Z")).unwrap();
    assert_eq!(again.state(), State::Drilled);
}

#[test]
fn entries_are_found_by_id_prefix_name_and_path() {
    let fixture = Fixture::new();
    let vault = &fixture.vault;
    let first = fixture.seal("2026-11-20T00:00:00Z", b"1");
    fixture.seal("2026-11-20T00:00:00Z", b"2");
    fixture.seal("2026-12-20T00:00:00Z", b"3");
    assert_eq!(vault.find("20261120T000000Z").unwrap().id(), "20261120T000000Z");
    assert_eq!(vault.find("20261120T000000Z-2").unwrap().id(), "20261120T000000Z-2");
    assert_eq!(vault.find("202612").unwrap().id(), "20261220T000000Z");
    let Err(Error::Ambiguous { candidates, .. }) = vault.find("2026") else {
        panic!("a prefix of three was unique")
    };
    assert_eq!(candidates, ["20261220T000000Z", "20261120T000000Z-2", "20261120T000000Z"]);
    for missing in ["2027", "", "/nowhere/x.age", "latest2"] {
        assert!(matches!(vault.find(missing), Err(Error::NoSuchEntry { .. })), "{missing}");
    }
    assert_eq!(
        vault.find("state-hub-20261220T000000Z.sql.gz.age").unwrap().id(),
        "20261220T000000Z"
    );
    assert_eq!(vault.find(first.path().to_str().unwrap()).unwrap().id(), first.id());
    vault.mark_verified(&first, at(VERIFIED)).unwrap();
    assert_eq!(vault.find(vault.latest_link().to_str().unwrap()).unwrap().state(), State::Verified);
}

#[test]
fn a_path_may_lead_out_of_the_vault() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"copied");
    let usb = tempfile::tempdir().unwrap();
    let copy = usb.path().join(entry.path().file_name().unwrap());
    fs_err::copy(entry.path(), &copy).unwrap();
    let alone = fixture.vault.find(copy.to_str().unwrap()).unwrap();
    assert_eq!((alone.state(), alone.taken_at()), (State::Foreign, None));
    fs_err::copy(
        sidecar_of(&fixture, entry.id()),
        copy.with_file_name("state-hub-20261120T000000Z.json"),
    )
    .unwrap();
    let described = fixture.vault.find(copy.to_str().unwrap()).unwrap();
    assert_eq!((described.state(), described.taken_at()), (State::Sealed, entry.taken_at()));
    assert_eq!(
        read_all(fixture.vault.open_entry(&described, &fixture.identities()).unwrap()),
        b"copied"
    );
    assert!(matches!(
        fixture.vault.mark_verified(&described, at(VERIFIED)),
        Err(Error::ForeignEntry { .. })
    ));
}

#[test]
fn an_entry_without_or_with_a_strange_sidecar_is_still_listed() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"x");
    let path = sidecar_of(&fixture, entry.id());
    let good = fs_err::read(&path).unwrap();
    let list = || fixture.vault.entries().unwrap().remove(0);

    fs_err::remove_file(&path).unwrap();
    assert_eq!((list().state(), list().taken_at()), (State::Foreign, entry.taken_at()));
    assert!(matches!(
        fixture.vault.mark_verified(&list(), at(VERIFIED)),
        Err(Error::NoSidecar { .. })
    ));

    let mut newer: Value = serde_json::from_slice(&good).unwrap();
    newer["format"] = json!("backup-sidecar/9");
    let wrong_file = String::from_utf8(good.clone())
        .unwrap()
        .replace("20261120T000000Z.sql", "20261121T000000Z.sql");
    for bad in [newer.to_string(), wrong_file, "{".to_owned()] {
        fs_err::write(&path, bad).unwrap();
        let listed = list();
        assert_eq!(listed.state(), State::Foreign);
        assert!(listed.sidecar_error().is_some());
        let verified = fixture.vault.verify(&listed, &fixture.identities(), backup::Depth::Quick);
        assert!(matches!(
            verified,
            Err(Error::UnknownSidecarVersion { .. } | Error::InvalidSidecar { .. })
        ));
        assert_eq!(
            read_all(fixture.vault.open_entry(&listed, &fixture.identities()).unwrap()),
            b"x"
        );
    }
}

#[test]
fn what_a_newer_program_recorded_survives_marking() {
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"x");
    let path = sidecar_of(&fixture, entry.id());
    let mut value: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    value["sent_to"] = json!(["elsewhere"]);
    fs_err::write(&path, value.to_string()).unwrap();
    fixture.vault.mark_verified(&entry, at(VERIFIED)).unwrap();
    let marked: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    assert_eq!(marked["sent_to"], json!(["elsewhere"]));
    assert_eq!(marked["state"], json!("verified"));
}

#[test]
fn a_sidecar_holds_no_private_key() {
    use age::secrecy::ExposeSecret as _;
    let fixture = Fixture::new();
    let entry = fixture.seal("2026-11-20T00:00:00Z", b"canary in clear");
    let secret = fixture.key.to_string();
    for item in fs_err::read_dir(fixture.path()).unwrap() {
        let bytes = fs_err::read(item.unwrap().path()).unwrap();
        for needle in [secret.expose_secret().as_bytes(), b"canary in clear"] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle));
        }
    }
    assert!(Path::new(entry.path()).is_absolute());
}

#[test]
fn the_newest_of_a_second_is_told_by_its_sidecar() {
    let fixture = Fixture::new();
    let later = fixture.seal("2026-11-21T00:00:00.9Z", b"x");
    let earlier = fixture.seal("2026-11-21T00:00:00.1Z", b"x");
    assert!(earlier.id().ends_with("-2"));
    for entry in [&later, &earlier] {
        fixture.vault.mark_verified(entry, at(VERIFIED)).unwrap();
    }
    fixture.seal("2026-11-22T00:00:00Z", b"not verified");
    let newest = fixture.vault.newest(Entry::is_verified).unwrap();
    assert_eq!(newest.unwrap().id(), later.id());
    assert_eq!(fixture.vault.find("latest").unwrap().id(), later.id());
    assert!(fixture.vault.newest(|_| false).unwrap().is_none());
}

#[test]
fn many_entries_are_read_side_by_side_and_stay_in_order() {
    let fixture = Fixture::new();
    let first = fixture.seal("2026-01-01T00:00:00Z", b"x");
    let sidecar = fs_err::read_to_string(sidecar_of(&fixture, first.id())).unwrap();
    let sealed = fs_err::read(first.path()).unwrap();
    for minute in 1..1500 {
        let taken = at("2026-01-01T00:00:00Z") + std::time::Duration::from_secs(minute * 60);
        let id = taken.strftime("%Y%m%dT%H%M%SZ").to_string();
        let name = first.path().with_file_name(format!("state-hub-{id}.sql.gz.age"));
        fs_err::write(name, &sealed).unwrap();
        let text =
            sidecar.replace(first.id(), &id).replace("2026-01-01T00:00:00Z", &taken.to_string());
        fs_err::write(sidecar_of(&fixture, &id), text).unwrap();
    }
    let entries = fixture.vault.entries().unwrap();
    assert_eq!(entries.len(), 1500);
    assert!(entries.is_sorted_by(|one, other| one.taken_at() > other.taken_at()));
    assert!(entries.iter().all(|entry| entry.state() == State::Sealed));
}
