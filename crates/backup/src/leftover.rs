//! Leftovers of interrupted runs, told apart from files that living ones are writing.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use regularfile::Options;

use crate::lock::CatalogueLock;
use crate::name::Unfinished;
use crate::sidecar::{Sidecar, State};
use crate::vault::Vault;
use crate::{Result, durable, prune};

/// A file that no process is writing any more and that is not part of any entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// The file.
    pub path: PathBuf,
    /// The kind of the intended file.
    pub kind: LeftoverKind,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The intended file of a leftover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeftoverKind {
    /// The beginning of a sealed file whose writer is gone.
    PartialEntry,
    /// The temporary file of a sidecar.
    PartialSidecar,
    /// The temporary form of the `latest` link.
    PartialLink,
    /// A complete sidecar in the state `sealed` whose sealed file never got its name.
    OrphanSidecar,
    /// A file of an entry whose removal was begun, or what says so.
    Removal,
}

/// All leftovers, by name. The caller holds the catalogue lock, so no sidecar or link is being
/// written.
pub(crate) fn list(vault: &Vault, _catalogue: &CatalogueLock) -> Result<Vec<Leftover>> {
    let mut leftovers = Vec::new();
    let going = prune::files(vault)?;
    let paths = fs_err::read_dir(vault.directory())?.map(|item| Ok(item?.path()));
    let paths = paths.collect::<Result<BTreeSet<PathBuf>>>()?;
    for path in paths.iter().cloned() {
        let kind = if going.contains(&path) {
            LeftoverKind::Removal
        } else if let Some(kind) = classify(vault, &path, &paths)? {
            kind
        } else {
            continue;
        };
        match path.symlink_metadata() {
            Ok(metadata) => leftovers.push(Leftover { path, kind, bytes: metadata.len() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(leftovers)
}

/// Removes what [`list`] lists.
pub(crate) fn clean(vault: &Vault, catalogue: &CatalogueLock) -> Result<Vec<Leftover>> {
    let leftovers = list(vault, catalogue)?;
    prune::finish(vault, catalogue)?;
    let is_removal = |leftover: &&Leftover| leftover.kind == LeftoverKind::Removal;
    for leftover in leftovers.iter().filter(|leftover| !is_removal(leftover)) {
        durable::remove(&leftover.path)?;
    }
    if !leftovers.is_empty() {
        durable::sync_directory(vault.directory())?;
    }
    Ok(leftovers)
}

fn classify(
    vault: &Vault,
    path: &Path,
    beside: &BTreeSet<PathBuf>,
) -> Result<Option<LeftoverKind>> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    if let Some(stamp) = vault.names().parse_sidecar(name) {
        let has_file = beside.contains(&path.with_file_name(vault.names().entry(stamp)));
        let is_orphan = !has_file && is_orphan(vault, path);
        return Ok(is_orphan.then_some(LeftoverKind::OrphanSidecar));
    }
    Ok(match vault.names().parse_unfinished(name) {
        Some(Unfinished::Entry) if is_being_written(path)? => None,
        Some(Unfinished::Entry) => Some(LeftoverKind::PartialEntry),
        Some(Unfinished::Sidecar) => Some(LeftoverKind::PartialSidecar),
        Some(Unfinished::Link) => Some(LeftoverKind::PartialLink),
        None => None,
    })
}

/// A writer holds a lock on its file for as long as it lives.
fn is_being_written(path: &Path) -> Result<bool> {
    match Options::update().open(path) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Ok(false),
            Err(std::fs::TryLockError::WouldBlock) => Ok(true),
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        },
        // It got its final name, or was removed, just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        // A link or a pipe of such a name is nothing that a writer makes.
        Err(error) if regularfile::Error::of(&error).is_some() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A sidecar that was ever verified is kept: its file was published, and may only be away for a
/// while.
fn is_orphan(vault: &Vault, path: &Path) -> bool {
    let Ok(Some(sidecar)) = Sidecar::read(path) else {
        return false;
    };
    let file = vault.directory().join(&sidecar.file);
    let gone =
        matches!(file.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
    gone && sidecar.state() == State::Sealed && sidecar.service == vault.service()
}
