//! One command at a time works on a cluster.

use std::fs::TryLockError;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use rustix::io::FdFlags;

use super::layout::Layout;

/// The directory of a cluster is the lock, so that there is no file to leave behind.
#[derive(Debug)]
pub(super) struct Lock {
    directory: fs_err::File,
}

impl Lock {
    /// None where there is no directory.
    pub(super) fn take(layout: &Layout) -> anyhow::Result<Option<Self>> {
        while layout.root().exists() {
            let directory = fs_err::File::open(layout.root())?;
            match directory.file().try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    eprintln!(
                        "cluster: waiting for another command on {} …",
                        layout.root().display()
                    );
                    directory.file().lock().context("could not lock the directory")?;
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).context("could not lock the directory");
                }
            }
            // Whom we waited for may have removed it, and somebody else made another one.
            let locked = directory.metadata()?.ino();
            if fs_err::metadata(layout.root()).is_ok_and(|there| there.ino() == locked) {
                return Ok(Some(Self { directory }));
            }
        }
        Ok(None)
    }

    /// Lets the programs that we start from now on hold the lock as well, or not. Programs that
    /// work for us have to: when we are killed they still run, and `down` must not look before they
    /// are done.
    pub(super) fn share(&self, with_children: bool) -> anyhow::Result<()> {
        let flags = if with_children { FdFlags::empty() } else { FdFlags::CLOEXEC };
        Ok(rustix::io::fcntl_setfd(self.directory.file(), flags)?)
    }
}
