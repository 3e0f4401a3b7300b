//! Free disk space, where it can honestly be known.

use std::path::Path;

use super::Preflight;
use crate::error::Result;

/// Bytes that a row takes beside its values: header, line pointer, alignment.
const ROW: u64 = 28;

impl Preflight<'_> {
    /// Compares what the backup needs with what the disk of the server has. That can only be asked
    /// on the machine of the server, and an address is no proof of being there: a forward has one
    /// of this machine, too.
    pub(super) async fn check_space(&mut self) -> Result<()> {
        const QUERY: &str =
            "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'";
        const STARTED: &str =
            "SELECT EXTRACT(EPOCH FROM pg_catalog.pg_postmaster_start_time())::int8";
        let session = &self.server.session;
        let rows = session.rows("asking for the data directory", QUERY, &[]).await?;
        let started: i64 = session.row("asking for the data directory", STARTED, &[]).await?.get(0);
        let directory: Option<String> = rows.first().map(|row| row.get(0));
        let free = directory.and_then(|directory| free_bytes(Path::new(&directory), started));
        let Some(free) = free else {
            self.plan.not_checked(
                "free disk space: the server is on another machine, or its data directory cannot be read",
            );
            return Ok(());
        };
        let (least, most) = self.needed();
        if free < least {
            self.plan.obstacle(
                format!("the server has {free} bytes of free disk space, and the rows alone are {least}"),
                "make room, for example by dropping a database that an earlier restore kept (NAME__before_…)",
            );
        } else if free < most {
            self.plan.warning(format!(
                "the server has {free} bytes of free disk space, and the database had {most}, with indexes"
            ));
        }
        Ok(())
    }

    /// Returns the least space for the restored rows, and the space of the whole database at its
    /// source.
    fn needed(&self) -> (u64, u64) {
        let census = &self.manifest.census;
        let tables = census.tables.iter().filter(|table| self.selection.holds_table(table));
        // Compression of long values may halve them and more.
        let rows: u64 = tables.map(|table| table.bytes / 3 + table.rows * ROW).sum();
        let large_objects =
            if self.selection.has_large_objects() { census.large_objects.bytes / 3 } else { 0 };
        let least = rows + large_objects;
        let most = match self.manifest.source.database_bytes {
            Some(bytes) if self.selection.is_whole() => bytes.max(least),
            _ => least * 3,
        };
        (least, most)
    }
}

/// The file has a few short lines.
const LARGEST: u64 = 64 * 1024;

/// Free bytes beside the data directory of the server that was started at this time, if that
/// directory is here.
fn free_bytes(directory: &Path, started: i64) -> Option<u64> {
    // The server said where that is, and it is not to be believed.
    let lock = regularfile::Options::read()
        .in_place()
        .to_string(directory.join("postmaster.pid"), LARGEST)
        .ok()?;
    // The third line is the time of the start, which two servers hardly share.
    let found: i64 = lock.lines().nth(2)?.trim().parse().ok()?;
    // The server rounds one of them down.
    if (found - started).abs() > 1 {
        return None;
    }
    let room = rustix::fs::statvfs(directory).ok()?;
    Some(room.f_bavail.saturating_mul(room.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directory_of_this_very_server_is_believed() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(free_bytes(directory.path(), 1000), None);
        fs_err::write(directory.path().join("postmaster.pid"), "42\n/data\n1000\n5432\n").unwrap();
        assert!(free_bytes(directory.path(), 1001).is_some());
        assert_eq!(free_bytes(directory.path(), 5000), None);
    }
}
