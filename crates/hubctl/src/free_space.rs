//! Room for a backup: the size of a database, and the free bytes of a directory.

use std::path::Path;

use anyhow::Context as _;
use pgsnap::Database;

/// Returns the size of a database on its server's disk, in bytes.
pub(crate) async fn database_size(database: &Database) -> anyhow::Result<u64> {
    let answer = pgsnap::query_scalar(
        database,
        "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())",
    )
    .await?;
    Ok(answer.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Returns the bytes that this user may still write into a directory's file system.
pub(crate) fn free_bytes(directory: &Path) -> anyhow::Result<u64> {
    let found = rustix::fs::statvfs(directory)
        .with_context(|| format!("the free space of {} is unknown", directory.display()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
