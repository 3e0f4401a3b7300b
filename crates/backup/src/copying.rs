//! The same entry in another vault: on a disk that is carried away, or on a share.

use std::io::{self, BufReader};
use std::path::Path;

use rustix::fs::{Advice, fadvise};
use tempfile::NamedTempFile;

use crate::digest::Tally;
use crate::entry::Entry;
use crate::sidecar::Sidecar;
use crate::vault::Vault;
use crate::verify::{check_hash, compare_hash};
use crate::{Error, Result, durable, fault, prune};

/// One read call.
const BUFFER: usize = 256 * 1024;

/// Copies the sealed file and its sidecar, unless they are there.
pub(crate) fn copy_to(entry: &Entry, to: &Vault) -> Result<Entry> {
    let foreign = || Error::ForeignEntry {
        path: entry.path().to_owned(),
    };
    let sidecar = entry.require_sidecar()?;
    let stamp = entry.stamp().ok_or_else(foreign)?;
    if !sidecar.belongs_to(to.names(), stamp) {
        return Err(foreign());
    }
    prune::finish(to, &to.catalogue_lock()?)?;
    let path = to.directory().join(to.names().entry(stamp));
    if path.symlink_metadata().is_ok() {
        let present = Entry::read(to.directory(), to.names(), stamp)?;
        return there_already(to, present, sidecar);
    }
    let file = durable::temporary(to.directory(), &to.names().temporary_entry(stamp))?;
    // As when sealing: a temporary file that can be locked has no writer any more.
    file.as_file().lock()?;
    write(entry.path(), &file, sidecar)?;
    let _catalogue = to.catalogue_lock()?;
    let beside = to.directory().join(to.names().sidecar(stamp));
    let temporary = to.names().temporary_sidecar(stamp);
    // As when sealing: a crash before the file has its name leaves a sidecar that is a leftover. One that is proven never is.
    sidecar.unproven().rewrite(&beside, &temporary)?;
    if !durable::publish(file.into_temp_path(), &path)? {
        return Err(Error::Changed { path });
    }
    durable::sync_directory(to.directory())?;
    sidecar.rewrite(&beside, &temporary)?;
    Entry::read(to.directory(), to.names(), stamp)
}

/// What has the name is the same file, or nothing is done. A crash may have kept it from what is proven of it.
fn there_already(to: &Vault, present: Entry, sidecar: &Sidecar) -> Result<Entry> {
    let is_same = present.sealed_bytes() == sidecar.sealed_bytes
        && present
            .sidecar()
            .is_some_and(|present| present.sha256 == sidecar.sha256);
    if is_same && present.state() >= sidecar.state() {
        return Ok(present);
    }
    if let Some(stamp) = present.stamp().filter(|_| is_same) {
        let _catalogue = to.catalogue_lock()?;
        let beside = to.directory().join(to.names().sidecar(stamp));
        sidecar.rewrite(&beside, &to.names().temporary_sidecar(stamp))?;
        return Entry::read(to.directory(), to.names(), stamp);
    }
    Err(Error::Changed {
        path: present.path().to_owned(),
    })
}

/// Writes the file, makes it durable, and reads it again, from the disk as far as the kernel lets go of what it has in memory.
fn write(from: &Path, to: &NamedTempFile, sidecar: &Sidecar) -> Result<()> {
    let mut source = BufReader::with_capacity(BUFFER, fs_err::File::open(from)?);
    let mut tally = Tally::new(to.as_file());
    fault::point()?;
    io::copy(&mut source, &mut tally)?;
    let (file, _, sha256) = tally.into_parts();
    compare_hash(from, sidecar, sha256)?;
    fault::point()?;
    file.sync_all()?;
    // Some file systems know no such advice; then what is compared comes from memory.
    let _ = fadvise(file, 0, None, Advice::DontNeed);
    check_hash(to.path(), sidecar)
}
