//! A small file system, for tests that fill a disk.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A mounted tmpfs of a fixed size; writing more to it fails with "no space left on device".
/// Unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs {
    directory: TempDir,
}

impl Tmpfs {
    /// Mounts a file system that holds `bytes` (rounded up to whole pages) and that every user may
    /// write to.
    ///
    /// `None` where this process may not mount: it is not root, or runs in a container without the
    /// right. Such a test should say that it was skipped.
    #[must_use]
    pub fn mount(bytes: u64) -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("testkit-tmpfs-").tempdir().ok()?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={bytes},mode=1777"))
            .arg("tmpfs")
            .arg(directory.path())
            .output()
            .ok()?;
        output.status.success().then_some(Self { directory })
    }

    /// Returns the mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily, because a failed test may have left a file open; the kernel frees it with the last one.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}
