//! The right to change a vault. The kernel ends both locks with the process that holds them,
//! however it ends.

use std::fmt;
use std::fs::TryLockError;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use regularfile::Options;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, fault};

/// The holder of a lock, by the lock file. It is for people to read; only the lock itself decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockOwner {
    /// The process id, on its host.
    pub pid: u32,
    /// The host's name.
    pub host: String,
    /// Since when.
    pub since: Timestamp,
}

impl LockOwner {
    fn this_process() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { pid: std::process::id(), host, since: Timestamp::now() }
    }
}

impl fmt::Display for LockOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {} since {:.0}", self.pid, self.host, self.since)
    }
}

/// The right to seal into a vault and to clean it: at most one per service at any time.
///
/// It ends when the value and every [`Sealing`](crate::Sealing) begun with it are dropped, or with
/// the process.
#[derive(Debug, Clone)]
pub struct VaultLock {
    file: Arc<fs_err::File>,
}

impl VaultLock {
    /// Takes the lock at once or says who has it.
    pub(crate) fn acquire(path: &Path, service: &str) -> Result<Self> {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = read_owner(&mut file);
                return Err(Error::Locked { service: service.to_owned(), owner });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        record_owner(&mut file)?;
        Ok(Self { file: Arc::new(file) })
    }

    pub(crate) fn is_at(&self, path: &Path) -> bool {
        self.file.path() == path
    }
}

/// Held for the milliseconds in which sidecars or the link change, so that a verification may run
/// beside a backup.
#[derive(Debug)]
pub(crate) struct CatalogueLock {
    _file: fs_err::File,
}

impl CatalogueLock {
    pub(crate) fn acquire(path: &Path) -> Result<Self> {
        let file = open(path)?;
        file.lock()?;
        Ok(Self { _file: file })
    }
}

/// Lock files are never deleted: whoever waits on a deleted one would hold a lock that nobody else
/// sees.
fn open(path: &Path) -> Result<fs_err::File> {
    fault::point()?;
    Ok(Options::update().or_create().open(path)?)
}

fn read_owner(file: &mut fs_err::File) -> Option<LockOwner> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// A second name of the file may be one that means something to somebody, so that it is locked and
/// not written.
fn record_owner(file: &mut fs_err::File) -> Result<()> {
    if file.metadata()?.nlink() != 1 {
        return Ok(());
    }
    let owner =
        serde_json::to_vec(&LockOwner::this_process()).expect("an owner has only plain fields");
    file.set_len(0)?;
    file.rewind()?;
    Ok(file.write_all(&owner)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_learns_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".hub.lock");
        let lock = VaultLock::acquire(&path, "hub").unwrap();
        let Err(Error::Locked { owner: Some(owner), .. }) = VaultLock::acquire(&path, "hub") else {
            panic!("the lock was given twice");
        };
        assert_eq!(owner.pid, std::process::id());
        drop(lock);
        VaultLock::acquire(&path, "hub").unwrap();
    }

    #[test]
    fn a_planted_name_is_not_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let [victim, link, second, pipe] = ["victim", ".link.lock", ".second.lock", ".pipe.lock"]
            .map(|name| directory.path().join(name));
        fs_err::write(&victim, "precious").unwrap();
        fs_err::os::unix::fs::symlink(&victim, &link).unwrap();
        fs_err::hard_link(&victim, &second).unwrap();
        testkit::pipe(&pipe);
        for planted in [&link, &pipe] {
            let refused = VaultLock::acquire(planted, "hub").unwrap_err();
            assert!(matches!(refused, Error::Io(_)), "{refused}");
            assert!(refused.hint().is_some());
            CatalogueLock::acquire(planted).unwrap_err();
        }
        // A copy of the vault made of hard links is harmless, and its lock still holds.
        let _lock = VaultLock::acquire(&second, "hub").unwrap();
        assert!(VaultLock::acquire(&second, "hub").is_err());
        assert_eq!(fs_err::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn an_unreadable_owner_does_not_hide_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".hub.lock");
        let _lock = VaultLock::acquire(&path, "hub").unwrap();
        fs_err::write(&path, "half a rec").unwrap();
        assert!(matches!(VaultLock::acquire(&path, "hub"), Err(Error::Locked { owner: None, .. })));
    }
}
