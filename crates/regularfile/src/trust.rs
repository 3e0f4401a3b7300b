//! The users who may change a file, and the target of its path.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;

const ROOT: u32 = 0;
const BY_GROUP: u32 = 0o020;
const BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;
const PERMISSIONS: u32 = 0o7777;
/// As many links as the kernel follows.
const LINKS: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// This user and root.
    Ours,
    /// For root, also the owner of the file.
    AnyOwnerForRoot,
}

/// Requires that nobody else may change the open file, a directory above it, or a link on the way.
pub(crate) fn require(path: &Path, opened: &Metadata, trust: Trust) -> io::Result<()> {
    let user = rustix::process::geteuid().as_raw();
    let mut owners = vec![ROOT, user];
    if user == ROOT && trust == Trust::AnyOwnerForRoot {
        owners.push(opened.uid());
    }
    let judge = Judge { owners };
    judge.require(path, opened)?;
    let reached = judge.walk(&std::path::absolute(path)?)?;
    if (reached.dev(), reached.ino()) == (opened.dev(), opened.ino()) {
        return Ok(());
    }
    Err(Error::Replaced { path: path.to_owned() }.into())
}

/// Requires that nobody else may read the open file.
pub(crate) fn require_private(path: &Path, opened: &Metadata) -> Result<(), Error> {
    let is_roots = opened.uid() == ROOT;
    let is_shared = opened.gid() != ROOT || !rustix::process::geteuid().is_root();
    // Machines share the key of a certificate among services, and Kubernetes a secret with a pod, by a group.
    let others = if is_roots && is_shared { 0o037 } else { 0o077 };
    if opened.mode() & others == 0 {
        return Ok(());
    }
    Err(Error::Exposed { path: path.to_owned(), mode: opened.mode() & 0o777 })
}

struct Judge {
    owners: Vec<u32>,
}

impl Judge {
    fn require(&self, path: &Path, found: &Metadata) -> Result<(), Error> {
        if !self.owners.contains(&found.uid()) {
            return Err(Error::Foreign { path: path.to_owned(), uid: found.uid() });
        }
        // The mode of a link means nothing, and in a sticky directory only owners rename and remove.
        let is_sticky = found.is_dir() && found.mode() & STICKY != 0;
        if found.is_symlink() || is_sticky {
            return Ok(());
        }
        // A user's own group has the user's number, by convention.
        let is_own_group = self.owners.contains(&found.gid());
        let writers = if is_own_group { BY_OTHERS } else { BY_GROUP | BY_OTHERS };
        if found.mode() & writers == 0 {
            return Ok(());
        }
        Err(Error::Writable { path: path.to_owned(), mode: found.mode() & PERMISSIONS })
    }

    /// Follows an absolute path by hand, and judges everything on the way. Returns what it leads
    /// to.
    fn walk(&self, path: &Path) -> io::Result<Metadata> {
        let mut here = PathBuf::from("/");
        let mut found = fs_err::symlink_metadata(&here)?;
        self.require(&here, &found)?;
        let mut ahead: VecDeque<OsString> = steps(path).collect();
        let mut links = 0;
        while let Some(step) = ahead.pop_front() {
            if step == ".." {
                here.pop();
                continue;
            }
            let next = here.join(step);
            found = fs_err::symlink_metadata(&next)?;
            self.require(&next, &found)?;
            if !found.is_symlink() {
                here = next;
                continue;
            }
            links += 1;
            if LINKS < links {
                return Err(io::Error::other(format!(
                    "{} leads through too many symbolic links",
                    path.display()
                )));
            }
            let target = fs_err::read_link(&next)?;
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(step);
            }
        }
        // After a link that ends in `..` the last entry that was looked at is another one.
        fs_err::symlink_metadata(&here)
    }
}

/// The components of a path that lead somewhere else.
fn steps(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
