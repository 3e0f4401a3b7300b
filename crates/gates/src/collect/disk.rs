//! The room in a file system.

use rustix::fs::statvfs;
use serde_json::{Value, json};

use crate::evidence::Absence;

/// What a user without privileges may still write.
pub(super) fn room(path: &str) -> Result<Value, Absence> {
    let room = statvfs(path).map_err(|error| Absence::failed(format!("{path}: {error}")))?;
    Ok(json!({
        "free_bytes": room.f_bavail.saturating_mul(room.f_frsize),
        "total_bytes": room.f_blocks.saturating_mul(room.f_frsize),
        "free_files": room.f_favail,
        "files": room.f_files,
    }))
}
