//! A vault in a temporary directory, its keys, and payloads.

use std::io::{Read, Write as _};
use std::path::Path;
use std::time::Duration;

use age::secrecy::ExposeSecret as _;
use backup::{Entry, Error, Identities, Recipients, SidecarFacts, Timestamp, Vault, VaultLock};
use tempfile::TempDir;

pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    pub(crate) key: age::x25519::Identity,
    pub(crate) vault: Vault,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let vault = Vault::open(directory.path(), "state-hub").unwrap();
        Self { key: age::x25519::Identity::generate(), vault, directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.vault.directory()
    }

    pub(crate) fn recipients(&self) -> Recipients {
        let mut recipients = Recipients::new();
        recipients.add(&self.key.to_public().to_string()).unwrap();
        recipients
    }

    pub(crate) fn identities(&self) -> Identities {
        identities_of(&self.key)
    }

    pub(crate) fn keys_file(&self) -> std::path::PathBuf {
        let path = self.path().join("keys.txt");
        fs_err::write(&path, self.key.to_string().expose_secret()).unwrap();
        path
    }

    pub(crate) fn seal(&self, taken_at: &str, payload: &[u8]) -> Entry {
        seal(&self.vault, &self.recipients(), taken_at, payload)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let read = fs_err::read_dir(self.path()).unwrap();
        let mut names: Vec<_> =
            read.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with("lock"));
        names.sort();
        names
    }
}

pub(crate) fn identities_of(key: &age::x25519::Identity) -> Identities {
    let mut identities = Identities::new();
    identities.add_text(&key.to_string(), "generated");
    identities
}

/// The anchor of every entry of the tests, which is signed with it.
const ANCHOR: &str = "12:of-a-journal";

pub(crate) fn seal(
    vault: &Vault,
    recipients: &Recipients,
    taken_at: &str,
    payload: &[u8],
) -> Entry {
    let lock = lock(vault);
    let mut sealing = vault.begin(&lock, recipients, at(taken_at)).unwrap();
    sealing.write_all(payload).unwrap();
    sealing
        .commit(SidecarFacts::new(at("2026-12-01T00:00:00Z")).anchor(Some(ANCHOR.to_owned())))
        .unwrap()
}

/// Takes the lock. A process that another test is just starting holds a copy of every lock of this
/// one, until it is that other program.
pub(crate) fn lock(vault: &Vault) -> VaultLock {
    for _ in 0..100 {
        match vault.lock() {
            Err(Error::Locked { .. }) => std::thread::sleep(Duration::from_millis(10)),
            lock => return lock.unwrap(),
        }
    }
    vault.lock().unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn payload(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn read_all(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}
