//! The free space of a directory.

use std::path::Path;

use anyhow::Context as _;

/// Returns the bytes that this user may still write into a directory's file system.
pub(crate) fn free_bytes(directory: &Path) -> anyhow::Result<u64> {
    let found = rustix::fs::statvfs(directory)
        .with_context(|| format!("the free space of {} is unknown", directory.display()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
