//! A full disk fails the run, leaves nothing behind, and does not disturb what was there.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use backup::{Depth, Error, SidecarFacts, Vault};

use crate::support::{Fixture, at, lock, payload};

/// A tmpfs that is unmounted with the value.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        let option = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        testkit::skip("a tmpfs cannot be mounted here (it takes root)");
        None
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().unwrap();
    }
}

#[test]
fn a_full_disk_publishes_nothing() {
    let fixture = Fixture::new();
    let directory = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(directory.path(), "1m") else {
        return;
    };
    let vault = Vault::open(directory.path(), "hub").unwrap();
    let good = crate::support::seal(
        &vault,
        &fixture.recipients(),
        "2026-11-20T00:00:00Z",
        &payload(100_000),
    );
    vault.mark_verified(&good, at("2026-11-20T01:00:00Z")).unwrap();

    let lock = lock(&vault);
    let mut sealing =
        vault.begin(&lock, &fixture.recipients(), at("2026-11-21T00:00:00Z")).unwrap();
    let error = sealing.write_all(&payload(2_000_000)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert!(error.to_string().contains(".partial"), "{error}");
    // A caller that ignores the error gets it again and cannot publish the stump.
    assert!(sealing.write_all(b"more").is_err());
    assert!(matches!(
        sealing.commit(SidecarFacts::new(at("2026-11-21T00:00:01Z"))),
        Err(Error::SealingBroken)
    ));

    assert_eq!(vault.entries().unwrap().len(), 1);
    assert!(vault.leftovers().unwrap().is_empty());
    assert_eq!(vault.find("latest").unwrap().id(), good.id());
    vault.verify(&good, &fixture.identities(), Depth::Full).unwrap();
    // The space came back with the temporary file.
    drop(lock);
    crate::support::seal(&vault, &fixture.recipients(), "2026-11-22T00:00:00Z", &payload(400_000));
}

#[test]
fn a_disk_that_fills_up_in_the_last_step_publishes_nothing() {
    let fixture = Fixture::new();
    let directory = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(directory.path(), "512k") else {
        return;
    };
    let vault = Vault::open(directory.path(), "hub").unwrap();
    let lock = lock(&vault);
    let mut sealing =
        vault.begin(&lock, &fixture.recipients(), at("2026-11-21T00:00:00Z")).unwrap();
    sealing.write_all(&payload(200_000)).unwrap();
    // Whatever room is left after the file itself is taken by something else, down to the last page.
    let mut filler = fs_err::File::create(directory.path().join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    let error = sealing.commit(SidecarFacts::new(at("2026-11-21T00:00:01Z"))).unwrap_err();
    assert!(
        matches!(&error, Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull),
        "{error:?}"
    );
    assert!(vault.entries().unwrap().is_empty() && vault.leftovers().unwrap().is_empty());
}
