//! The user a scratch server runs as.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};

/// No list of users is larger.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The user the server runs as, where we are root.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerUser {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl ServerUser {
    /// `None` if we are an ordinary user: the server then runs as ourselves.
    pub(super) fn find() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let path = Path::new("/etc/passwd");
        let passwd =
            regularfile::read_to_string(path, LARGEST).map_err(|error| Error::file(path, error))?;
        let user = ["postgres", "nobody"].iter().find_map(|name| {
            let fields: Vec<&str> = passwd
                .lines()
                .map(|line| line.split(':').collect::<Vec<_>>())
                .find(|fields| fields[0] == *name)?;
            Some(Self { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
        });
        user.map(Some).ok_or_else(|| Error::Scratch {
            reason: "PostgreSQL refuses to run as root, and there is no user postgres or nobody"
                .into(),
        })
    }

    pub(super) fn apply(user: Option<Self>, command: &mut Command) {
        if let Some(user) = user {
            command.uid(user.uid).gid(user.gid);
        }
    }
}
