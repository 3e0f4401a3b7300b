//! A directory with files of every kind.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use regularfile::Error;
use rustix::fs::{CWD, FileType, Mode, mknodat};

pub(crate) const LIMIT: u64 = 16;

pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs_err::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        path
    }

    pub(crate) fn directory(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs_err::create_dir(&path).unwrap();
        set_mode(&path, mode);
        path
    }

    pub(crate) fn link(&self, name: &str, to: impl AsRef<Path>) -> PathBuf {
        let path = self.path(name);
        fs_err::os::unix::fs::symlink(to, &path).unwrap();
        path
    }

    /// A pipe that nobody writes to: a plain `open` never returns.
    pub(crate) fn pipe(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }

    pub(crate) fn socket(&self, name: &str) -> (UnixListener, PathBuf) {
        let path = self.path(name);
        (UnixListener::bind(&path).unwrap(), path)
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs_err::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The refusal in a result.
pub(crate) fn refusal<T: std::fmt::Debug>(result: std::io::Result<T>) -> String {
    let error = result.unwrap_err();
    let refusal = Error::of(&error).unwrap_or_else(|| panic!("{error} is no refusal"));
    assert_eq!(regularfile::hint(&error).as_deref(), Some(refusal.hint()));
    refusal.to_string()
}
