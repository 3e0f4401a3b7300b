//! Cataloguing what another tool sealed: a folder of `pg_dump | gzip | age`, say.

use std::io::{self, BufReader};
use std::path::Path;

use jiff::Timestamp;

use crate::digest::Tally;
use crate::entry::Entry;
use crate::name::Stamp;
use crate::sealing::publish;
use crate::sidecar::{Sidecar, SidecarFacts, Streamed};
use crate::vault::Vault;
use crate::verify::read_everything;
use crate::{Error, Identities, Result, digest, durable, fault, open_file};

/// One read call.
const BUFFER: usize = 256 * 1024;

pub(crate) fn import(
    vault: &Vault,
    path: &Path,
    identities: &Identities,
    taken_at: Timestamp,
    facts: SidecarFacts,
) -> Result<Entry> {
    match present(vault, path)? {
        Some(stamp) => adopt(vault, stamp, identities, facts),
        None => copy_in(vault, path, identities, taken_at, facts),
    }
}

/// The stamp of a file that lies where it belongs, under the name that it would get.
fn present(vault: &Vault, path: &Path) -> Result<Option<Stamp>> {
    let path = fs_err::canonicalize(path)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let stamp = name.and_then(|name| vault.names().parse_entry(name));
    Ok(stamp.filter(|_| path.parent() == Some(vault.directory())))
}

/// Writes the sidecar of a file that is in its place.
fn adopt(
    vault: &Vault,
    stamp: Stamp,
    identities: &Identities,
    facts: SidecarFacts,
) -> Result<Entry> {
    let path = vault.directory().join(vault.names().entry(stamp));
    let clear_bytes = read_everything(open_file(&path, identities)?)?;
    let streamed = Streamed {
        taken_at: stamp.second(),
        clear_bytes,
        sealed_bytes: fs_err::metadata(&path)?.len(),
        sha256: digest::of_file(&path)?,
        recipients: Vec::new(),
    };
    let mut sidecar = Sidecar::new(vault.service(), vault.names().entry(stamp), streamed, facts);
    vault.trust().sign(&mut sidecar)?;
    let beside = vault.directory().join(vault.names().sidecar(stamp));
    let _catalogue = vault.catalogue_lock()?;
    let temporary = vault.names().temporary_sidecar(stamp);
    if !durable::create(&beside, &temporary, &sidecar.to_bytes())? {
        return Err(Error::Changed { path });
    }
    Entry::read(vault, stamp)
}

/// Copies a file, and opens the copy: that is what has to open from now on.
fn copy_in(
    vault: &Vault,
    from: &Path,
    identities: &Identities,
    taken_at: Timestamp,
    facts: SidecarFacts,
) -> Result<Entry> {
    let stamp = Stamp::new(taken_at)?;
    let file = durable::temporary(vault.directory(), &vault.names().temporary_entry(stamp))?;
    // As when sealing: a temporary file that can be locked has no writer any more.
    file.as_file().lock()?;
    let mut source = BufReader::with_capacity(BUFFER, regularfile::open(from)?);
    let mut tally = Tally::new(file.as_file())?;
    fault::point()?;
    io::copy(&mut source, &mut tally)?;
    let (written, sealed_bytes, sha256) = tally.into_parts();
    fault::point()?;
    written.sync_all()?;
    // What is wrong is wrong with the file that somebody named, not with one of ours.
    let clear_bytes = read_everything(open_file(from, identities)?)?;
    let copied = read_everything(open_file(file.path(), identities)?)?;
    if copied != clear_bytes {
        return Err(Error::Changed { path: from.to_owned() });
    }
    let streamed = Streamed { taken_at, clear_bytes, sealed_bytes, sha256, recipients: Vec::new() };
    let sidecar = Sidecar::new(vault.service(), String::new(), streamed, facts);
    // The lock on the file lives until it has its name.
    let (_lock, temporary) = file.into_parts();
    publish(vault, stamp, temporary, sidecar)
}
