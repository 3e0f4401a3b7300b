//! The proven state of an entry, and the link that follows the proof.

use std::path::Path;

use jiff::Timestamp;

use crate::entry::Entry;
use crate::lock::CatalogueLock;
use crate::remote::SentCopy;
use crate::sidecar::{Sidecar, State};
use crate::vault::Vault;
use crate::{Error, Result, durable, verify};

/// Records a verification and lets the link follow.
pub(crate) fn mark_verified(vault: &Vault, entry: &Entry, at: Timestamp) -> Result<Entry> {
    // The slow part runs without the catalogue lock; nothing ever writes into a finished entry.
    if entry.stamp().is_none() {
        return Err(Error::ForeignEntry { path: entry.path().to_owned() });
    }
    verify::check_size(entry.path(), entry.current_length()?, Some(entry.require_sidecar()?))?;
    verify::check_hash(entry, vault.watch())?;
    let catalogue = vault.catalogue_lock()?;
    let marked = update(vault, entry, |sidecar| sidecar.verify_at(at))?;
    advance(vault, &catalogue)?;
    Ok(marked)
}

/// Records a drill.
pub(crate) fn mark_drilled(vault: &Vault, entry: &Entry, at: Timestamp) -> Result<Entry> {
    let _catalogue: CatalogueLock = vault.catalogue_lock()?;
    let current = reread(vault, entry)?;
    if current.state() < State::Verified {
        return Err(Error::NotVerified { id: entry.id().to_owned() });
    }
    update(vault, entry, |sidecar| sidecar.drill_at(at))
}

/// Records what is known of the copy at a target.
pub(crate) fn record_copy(
    vault: &Vault,
    entry: &Entry,
    target: &str,
    copy: SentCopy,
) -> Result<Entry> {
    let _catalogue: CatalogueLock = vault.catalogue_lock()?;
    update(vault, entry, |sidecar| {
        sidecar.copies.insert(target.to_owned(), copy);
    })
}

fn update(vault: &Vault, entry: &Entry, change: impl FnOnce(&mut Sidecar)) -> Result<Entry> {
    let current = reread(vault, entry)?;
    let stamp = current.stamp().expect("an entry that was read from the vault has a stamp");
    let mut sidecar = current.require_sidecar()?.clone();
    change(&mut sidecar);
    let names = vault.names();
    sidecar
        .rewrite(&vault.directory().join(names.sidecar(stamp)), &names.temporary_sidecar(stamp))?;
    reread(vault, entry)
}

/// The entry as it is now, if it still is the one that the caller means.
pub(crate) fn reread(vault: &Vault, entry: &Entry) -> Result<Entry> {
    let foreign = || Error::ForeignEntry { path: entry.path().to_owned() };
    let stamp = entry.stamp().ok_or_else(foreign)?;
    if entry.path() != vault.directory().join(vault.names().entry(stamp)) {
        return Err(foreign());
    }
    let current = Entry::read(vault, stamp)?;
    let (was, is) = (entry.require_sidecar()?, current.require_sidecar()?);
    let same = was.sha256 == is.sha256
        && was.sealed_bytes == is.sealed_bytes
        && current.sealed_bytes() == is.sealed_bytes;
    same.then_some(current).ok_or_else(|| Error::Changed { path: entry.path().to_owned() })
}

/// Points the link at the newest verified entry, also where a crash kept an earlier run from doing
/// so.
pub(crate) fn advance(vault: &Vault, _catalogue: &CatalogueLock) -> Result<()> {
    let link = vault.latest_link();
    if link.symlink_metadata().is_ok_and(|metadata| !metadata.is_symlink()) {
        return Err(Error::LatestIsNotALink { path: link });
    }
    let newest = vault.newest(Entry::is_verified)?;
    let Some(stamp) = newest.as_ref().and_then(Entry::stamp) else {
        return Ok(());
    };
    let name = vault.names().entry(stamp);
    if fs_err::read_link(&link).is_ok_and(|target| target == Path::new(&name)) {
        return Ok(());
    }
    durable::relink(&link, &vault.names().temporary_latest(), &name)
}
