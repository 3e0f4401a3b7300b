//! One runner at a time. The kernel ends the lock with the process that holds it, however it ends.

use std::fmt;
use std::fs::TryLockError;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use regularfile::Options;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The holder of a lock, as the lock file tells. It is for people to read; the lock itself decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Owner {
    /// The process id, on its host.
    pub pid: u32,
    /// The name of the host.
    pub host: String,
    /// The beginning of its work.
    pub since: Timestamp,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {} since {:.0}", self.pid, self.host, self.since)
    }
}

/// The right to run a runbook with one journal.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: fs_err::File,
}

impl Lock {
    /// Takes the lock beside a journal at once or says who has it.
    pub(crate) fn acquire(journal: &Path, now: Timestamp) -> Result<Self, Error> {
        let mut file =
            Options::update().or_create().trusted_for_root().open(path_beside(journal))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { owner: read_owner(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let owner = Owner { pid: std::process::id(), host: host(), since: now };
        write_owner(&mut file, &owner)?;
        Ok(Self { _file: file })
    }
}

/// The name of this machine.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The file is never deleted: a runner that opened a deleted one would hold a lock that no other
/// runner sees.
fn path_beside(journal: &Path) -> PathBuf {
    let name = journal.file_name().unwrap_or_default().to_string_lossy();
    regularfile::parent(journal).join(format!(".{name}.runbook.lock"))
}

fn read_owner(file: &mut fs_err::File) -> Option<Owner> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// A file with a second name may mean something elsewhere: it is locked, and not written.
fn write_owner(file: &mut fs_err::File, owner: &Owner) -> Result<(), Error> {
    if file.metadata()?.nlink() != 1 {
        return Ok(());
    }
    let text = serde_json::to_vec(owner).expect("an owner has only plain fields");
    file.set_len(0)?;
    file.rewind()?;
    Ok(file.write_all(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(journal: &Path) -> Result<Lock, Error> {
        Lock::acquire(journal, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_second_runner_learns_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let journal = directory.path().join("journal.jsonl");
        let lock = taken(&journal).unwrap();
        let error = taken(&journal).unwrap_err();
        let said = format!("another runner is at work: process {} on ", std::process::id());
        assert!(error.to_string().starts_with(&said), "{error}");
        assert!(error.is_retryable() && error.hint().is_some());
        drop(lock);
        taken(&journal).unwrap();
    }

    #[test]
    fn a_planted_name_is_not_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let [journal, victim] = ["journal.jsonl", "victim"].map(|name| directory.path().join(name));
        fs_err::write(&victim, "precious").unwrap();
        let lock = path_beside(&journal);
        fs_err::os::unix::fs::symlink(&victim, &lock).unwrap();
        assert!(matches!(taken(&journal), Err(Error::Io(_))));
        fs_err::remove_file(&lock).unwrap();
        fs_err::hard_link(&victim, &lock).unwrap();
        let _lock = taken(&journal).unwrap();
        assert!(matches!(taken(&journal), Err(Error::Locked { owner: None })));
        assert_eq!(fs_err::read_to_string(&victim).unwrap(), "precious");
    }
}
