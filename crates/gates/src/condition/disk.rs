//! `disk`: there is room in a file system.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Judge;
use super::look::{Judged, Look};
use crate::evidence::Read;
use crate::size::Size;
use crate::verdict::{Subject, Verdict};

/// So much is free below a directory, for a user without privileges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Disk {
    /// A directory in the file system.
    pub path: String,
    /// The required free space, such as `20GB`.
    pub free: Size,
}

impl Disk {
    /// So much room below a directory.
    pub fn new(path: impl Into<String>, free: Size) -> Self {
        Self { path: path.into(), free }
    }

    fn room(&self) -> Read {
        Read::Disk { path: self.path.clone() }
    }
}

impl Judge for Disk {
    fn reads(&self) -> Vec<Read> {
        vec![self.room()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.room();
        let room = look.found(&read)?;
        let number = |name: &str| room.get(name).and_then(Value::as_u64);
        let path = &self.path;
        let Some(free) = number("free_bytes") else {
            return Ok(Verdict::unknown(format!("how much is free below {path} is not known")));
        };
        let reason = format!("{} free below {path} ({} required)", Size::of(free), self.free);
        // Small files need inodes, which run out on their own.
        let verdict =
            if number("free_files") == Some(0) && number("files").is_some_and(|files| files > 0) {
                Verdict::fail(format!("no inode is free below {path}"))
                    .with_hint("remove small files: there is room for bytes, but for no file")
            } else if free >= self.free.bytes() {
                Verdict::pass(reason)
            } else {
                Verdict::fail(reason).with_hint("make room, or name another directory")
            };
        let is_enough = verdict.answer == crate::Answer::Pass;
        Ok(verdict
            .about(Subject::named("directory", path))
            .with_evidence(json!({ "enough": is_enough }))
            .with_measured(room.clone())
            .against(json!({ "free_bytes": self.free.bytes() })))
    }
}
