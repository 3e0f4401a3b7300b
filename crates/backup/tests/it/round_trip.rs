//! The payload comes out as it went in, for any payload, any way of writing and any way of reading.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use backup::{
    Depth, Error, Identities, Recipients, Sealing, SidecarFacts, State, Unsealed, Vault,
    VaultOptions,
};
use proptest::prelude::*;

use crate::support::{Fixture, at, identities_of, lock, payload, read_all};

#[test]
fn an_entry_reads_back_and_its_sidecar_is_right() {
    let fixture = Fixture::new();
    let clear = payload(200_000);
    let entry = fixture.seal("2026-11-21T16:12:00.5Z", &clear);
    assert_eq!(entry.id(), "20261121T161200Z");
    assert_eq!(
        fixture.names(),
        ["state-hub-20261121T161200Z.json", "state-hub-20261121T161200Z.sql.gz.age"]
    );

    let sidecar = entry.sidecar().unwrap();
    assert_eq!(entry.state(), State::Sealed);
    assert_eq!(entry.taken_at(), Some(at("2026-11-21T16:12:00.5Z")));
    assert_eq!(sidecar.clear_bytes, 200_000);
    assert_eq!(sidecar.sealed_bytes, fs_err::metadata(entry.path()).unwrap().len());
    assert_eq!(sidecar.recipients[0].recipient, fixture.key.to_public().to_string());
    assert_eq!(sidecar.recipients[0].kind, "X25519");
    assert_eq!(sidecar.recipients[0].stanzas.len(), 1);

    let identities = fixture.identities();
    let unsealed = fixture.vault.open_entry(&entry, &identities).unwrap();
    assert_eq!(unsealed.clear_len(), 200_000);
    assert!(read_all(unsealed) == clear);
    for depth in [Depth::Quick, Depth::Sealed, Depth::Full] {
        let verification = fixture.vault.verify(&entry, &identities, depth).unwrap();
        assert_eq!(verification.clear_bytes, (depth != Depth::Sealed).then_some(200_000));
        assert!(verification.sidecar);
    }
}

#[test]
fn files_and_directory_are_private() {
    let fixture = Fixture::new();
    let mut options = VaultOptions::default();
    options.create = true;
    let vault = Vault::open_with(fixture.path().join("a/b"), "hub", &options).unwrap();
    let entry = crate::support::seal(&vault, &fixture.recipients(), "2026-11-21T16:12:00Z", b"x");
    vault.mark_verified(&entry, at("2026-11-21T16:13:00Z")).unwrap();
    let mode =
        |path: &std::path::Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(vault.directory()), 0o700);
    let mut files = 0;
    for item in fs_err::read_dir(vault.directory()).unwrap() {
        assert_eq!(mode(&item.unwrap().path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 5);
}

#[test]
fn a_missing_directory_is_not_created_unasked() {
    let fixture = Fixture::new();
    let missing = fixture.path().join("missing");
    assert!(matches!(Vault::open(&missing, "hub"), Err(Error::NoVault { .. })));
    assert!(matches!(Vault::open(fixture.keys_file(), "hub"), Err(Error::NoVault { .. })));
    assert!(!missing.exists());
}

#[test]
fn a_dropped_sealing_leaves_nothing() {
    let fixture = Fixture::new();
    let lock = lock(&fixture.vault);
    let mut sealing =
        fixture.vault.begin(&lock, &fixture.recipients(), at("2026-11-21T16:12:00Z")).unwrap();
    sealing.write_all(&payload(300_000)).unwrap();
    assert!(fixture.names()[0].ends_with(".partial"));
    assert!(fixture.vault.leftovers().unwrap().is_empty(), "a living writer's file is no leftover");
    drop(sealing);
    assert_eq!(fixture.names(), [""; 0]);
}

#[test]
fn the_same_second_gets_the_next_number() {
    let fixture = Fixture::new();
    let first = fixture.seal("2026-11-21T16:12:00.1Z", b"one");
    let second = fixture.seal("2026-11-21T16:12:00.2Z", b"two");
    // A file that something else put there is not overwritten either.
    fs_err::write(fixture.path().join("state-hub-20261121T161200Z-3.sql.gz.age"), b"foreign")
        .unwrap();
    let fourth = fixture.seal("2026-11-21T16:12:00.3Z", b"four");
    assert_eq!(
        [first.id(), second.id(), fourth.id()],
        ["20261121T161200Z", "20261121T161200Z-2", "20261121T161200Z-4"]
    );
    let identities = fixture.identities();
    assert_eq!(read_all(fixture.vault.open_entry(&first, &identities).unwrap()), b"one");
    assert_eq!(read_all(fixture.vault.open_entry(&second, &identities).unwrap()), b"two");
    assert_eq!(fourth.sidecar().unwrap().file, "state-hub-20261121T161200Z-4.sql.gz.age");
}

#[test]
fn an_entry_may_be_open_many_times_in_many_threads() {
    let fixture = Fixture::new();
    let clear = payload(500_000);
    let entry = fixture.seal("2026-11-21T16:12:00Z", &clear);
    let first = fixture.vault.open_entry(&entry, &fixture.identities()).unwrap();
    std::thread::scope(|scope| {
        for part in 0..4_usize {
            let mut reader = first.reopen().unwrap();
            let clear = &clear;
            scope.spawn(move || {
                let from = part * 125_000;
                reader.seek(SeekFrom::Start(from as u64)).unwrap();
                let mut bytes = vec![0; 125_000];
                reader.read_exact(&mut bytes).unwrap();
                assert!(bytes == clear[from..from + 125_000]);
            });
        }
    });
    fs_err::remove_file(entry.path()).unwrap();
    fs_err::copy(fixture.seal("2026-11-22T16:12:00Z", &clear).path(), entry.path()).unwrap();
    assert!(matches!(first.reopen(), Err(Error::Changed { .. })));
}

#[test]
fn the_types_cross_threads() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Sealing>();
    send::<Unsealed>();
    send::<Error>();
    sync::<Vault>();
    sync::<Identities>();
    sync::<Recipients>();
    let shown = format!("{:?}", Fixture::new().identities());
    assert!(shown.contains("age1") && !shown.contains("SECRET"), "{shown}");
}

#[test]
fn no_recipient_no_file() {
    let fixture = Fixture::new();
    let lock = lock(&fixture.vault);
    let error =
        fixture.vault.begin(&lock, &Recipients::new(), at("2026-11-21T16:12:00Z")).unwrap_err();
    assert!(matches!(error, Error::NoRecipients));
    assert_eq!(fixture.names(), [""; 0]);
}

/// A step of reading.
#[derive(Debug, Clone)]
enum Step {
    Read(usize),
    To(u64),
    By(i64),
    End(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..100_000_usize).prop_map(Step::Read),
        (0..300_000_u64).prop_map(Step::To),
        (-70_000..70_000_i64).prop_map(Step::By),
        (-300_000..10_i64).prop_map(Step::End),
    ]
}

fn follow(steps: &[Step], unsealed: &mut Unsealed, clear: &[u8]) -> Result<(), TestCaseError> {
    let mut model = std::io::Cursor::new(clear);
    for step in steps {
        let target = match *step {
            Step::Read(length) => {
                let (mut expected, mut found) = (Vec::new(), Vec::new());
                model.by_ref().take(length as u64).read_to_end(&mut expected)?;
                unsealed.by_ref().take(length as u64).read_to_end(&mut found)?;
                prop_assert!(expected == found, "after {step:?}");
                continue;
            }
            Step::To(position) => SeekFrom::Start(position),
            Step::By(offset) => SeekFrom::Current(offset),
            Step::End(offset) => SeekFrom::End(offset),
        };
        prop_assert_eq!(model.seek(target).ok(), unsealed.seek(target).ok());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_writes_any_seeks(
        pieces in prop::collection::vec(prop_oneof![0..100_usize, 0..70_000_usize, Just(65_536)], 0..6),
        steps in prop::collection::vec(step(), 0..20),
    ) {
        let fixture = Fixture::new();
        let clear = payload(pieces.iter().sum());
        let lock = lock(&fixture.vault);
        let mut sealing = fixture.vault.begin(&lock, &fixture.recipients(), at("2026-11-21T16:12:00Z")).unwrap();
        let mut rest = clear.as_slice();
        for piece in pieces {
            let (now, later) = rest.split_at(piece);
            sealing.write_all(now).unwrap();
            sealing.flush().unwrap();
            rest = later;
        }
        prop_assert_eq!(sealing.clear_bytes(), clear.len() as u64);
        let entry = sealing.commit(SidecarFacts::new(at("2026-11-21T16:13:00Z"))).unwrap();
        let mut unsealed = fixture.vault.open_entry(&entry, &identities_of(&fixture.key)).unwrap();
        prop_assert_eq!(unsealed.clear_len(), clear.len() as u64);
        follow(&steps, &mut unsealed, &clear)?;
    }
}
