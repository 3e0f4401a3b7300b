//! The same entry in another vault: on a disk that is carried away, or on a share.

use std::io::{self, BufReader};

use rustix::fs::{Advice, fadvise};
use tempfile::NamedTempFile;

use crate::digest::Tally;
use crate::entry::Entry;
use crate::name::Stamp;
use crate::progress::{Stage, Watch};
use crate::sidecar::Sidecar;
use crate::vault::Vault;
use crate::verify::compare_hash;
use crate::{Error, Result, digest, durable, fault, prune};

/// One read call.
const BUFFER: usize = 256 * 1024;

/// Copies the sealed file and its sidecar, unless they are there.
pub(crate) fn copy_to(entry: &Entry, to: &Vault) -> Result<Entry> {
    let stamp =
        entry.stamp().ok_or_else(|| Error::ForeignEntry { path: entry.path().to_owned() })?;
    fetch(entry, stamp, to)
}

/// The same for an entry that is no vault's, and has the name of this one.
pub(crate) fn fetch(entry: &Entry, stamp: Stamp, to: &Vault) -> Result<Entry> {
    to.check_trust(entry)?;
    let sidecar = entry.require_sidecar()?;
    if !sidecar.belongs_to(to.names(), stamp) {
        return Err(Error::ForeignEntry { path: entry.path().to_owned() });
    }
    prune::finish(to, &to.catalogue_lock()?)?;
    let path = to.directory().join(to.names().entry(stamp));
    if path.symlink_metadata().is_ok() {
        return there_already(to, stamp, sidecar);
    }
    let file = durable::temporary(to.directory(), &to.names().temporary_entry(stamp))?;
    // As when sealing: a temporary file that can be locked has no writer any more.
    file.as_file().lock()?;
    write(entry, &file, (sidecar, stamp), to.watch())?;
    let _catalogue = to.catalogue_lock()?;
    // As when sealing: a crash before the file has its name leaves a sidecar that is a leftover. One that is proven never is.
    let proven = sidecar.for_elsewhere();
    put_sidecar(to, stamp, &proven.unproven())?;
    if !durable::publish(file.into_temp_path(), &path)? {
        return Err(Error::Changed { path });
    }
    durable::sync_directory(to.directory())?;
    put_sidecar(to, stamp, &proven)?;
    Entry::read(to, stamp)
}

/// Returns the entry of this name if it is the same file, after noting what was proven of the
/// original since. A different file is an error.
fn there_already(to: &Vault, stamp: Stamp, sidecar: &Sidecar) -> Result<Entry> {
    let _catalogue = to.catalogue_lock()?;
    let present = Entry::read(to, stamp)?;
    let known = present.sidecar().filter(|known| {
        present.sealed_bytes() == sidecar.sealed_bytes && known.sha256 == sidecar.sha256
    });
    let Some(known) = known else {
        return Err(Error::Changed { path: present.path().to_owned() });
    };
    let mut learnt = known.clone();
    learnt.learn(sidecar);
    if learnt == *known {
        return Ok(present);
    }
    put_sidecar(to, stamp, &learnt)?;
    Entry::read(to, stamp)
}

fn put_sidecar(to: &Vault, stamp: Stamp, sidecar: &Sidecar) -> Result<()> {
    let path = to.directory().join(to.names().sidecar(stamp));
    sidecar.rewrite(&path, &to.names().temporary_sidecar(stamp))
}

/// Writes the file, makes it durable, and reads it again, from the disk as far as the kernel lets
/// go of what it has in memory.
fn write(
    from: &Entry,
    to: &NamedTempFile,
    (sidecar, stamp): (&Sidecar, Stamp),
    watch: &Watch,
) -> Result<()> {
    let (id, bytes) = (stamp.to_string(), from.sealed_bytes());
    let stage = if from.is_remote() { Stage::Fetch } else { Stage::Copy };
    let source = watch.reading(from.place().open()?, stage, &id, bytes);
    let mut source = BufReader::with_capacity(BUFFER, source);
    let mut tally = Tally::new(to.as_file())?;
    fault::point()?;
    io::copy(&mut source, &mut tally).map_err(Error::of_carried)?;
    let (file, _, sha256) = tally.into_parts();
    compare_hash(from.path(), sidecar, sha256)?;
    fault::point()?;
    file.sync_all()?;
    // Some file systems know no such advice; then what is compared comes from memory.
    let _ = fadvise(file, 0, None, Advice::DontNeed);
    let found = digest::of_watched_file(to.path(), watch, Stage::Compare, &id)?;
    compare_hash(to.path(), sidecar, found)
}
