//! Proving an entry, as deep as the caller wants to pay for.

use std::io::{self, Read as _};
use std::path::Path;

use crate::entry::Entry;
use crate::progress::{Stage, Watch};
use crate::sidecar::Sidecar;
use crate::unsealed::{Expected, HEADER_ONLY, READ_AHEAD, Unsealed};
use crate::{Error, Identities, Result, digest};

/// One read call of a full verification.
const BUFFER: usize = 64 * 1024;

/// The part of an entry that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Depth {
    /// The header and the last chunk, whatever the size of the file. Proves: an identity opens it,
    /// the header is untouched and still holds every stanza that the sidecar records, nothing is
    /// missing at the end, the length is the recorded one. Does not prove the chunks between.
    Quick,
    /// The SHA-256 of the whole file against the sidecar. Needs no identity. Proves that every bit
    /// is the one that was written; not that anybody can open it.
    Sealed,
    /// Decrypts everything. Proves all of `Quick`, and that every byte of the payload is authentic.
    Full,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// The depth.
    pub depth: Depth,
    /// The length of the sealed file in bytes.
    pub sealed_bytes: u64,
    /// The proven length of the payload in bytes; `None` for [`Depth::Sealed`].
    pub clear_bytes: Option<u64>,
    /// True if the facts were compared with a sidecar. Without one, a complete file that someone
    /// sealed for the same public keys is as good as the true one.
    pub sidecar: bool,
}

pub(crate) fn verify(
    entry: &Entry,
    identities: &Identities,
    depth: Depth,
    watch: &Watch,
) -> Result<Verification> {
    let sidecar = usable_sidecar(entry)?;
    let sealed_bytes = entry.current_length()?;
    check_size(entry.path(), sealed_bytes, sidecar)?;
    let clear_bytes = match depth {
        Depth::Quick => Some(open_checked(entry, identities, HEADER_ONLY)?.clear_len()),
        Depth::Sealed => {
            let sidecar = entry.require_sidecar()?;
            let source = entry.place().open()?;
            let source = watch.reading(source, Stage::Compare, entry.id(), sealed_bytes);
            let actual = digest::of_reader(source).map_err(Error::of_carried)?;
            compare_hash(entry.path(), sidecar, actual)?;
            None
        }
        Depth::Full => Some(read_everything(open_checked(entry, identities, READ_AHEAD)?)?),
    };
    Ok(Verification { depth, sealed_bytes, clear_bytes, sidecar: sidecar.is_some() })
}

/// Opens an entry and holds it against its sidecar, where it has one.
pub(crate) fn open_entry(entry: &Entry, identities: &Identities) -> Result<Unsealed> {
    let sealed_bytes = entry.current_length()?;
    check_size(entry.path(), sealed_bytes, entry.sidecar())?;
    open_checked(entry, identities, READ_AHEAD)
}

/// A verification must not pass because the facts it should compare with cannot be read.
fn usable_sidecar(entry: &Entry) -> Result<Option<&Sidecar>> {
    match entry.sidecar_error() {
        Some(_) => entry.require_sidecar().map(Some),
        None => Ok(entry.sidecar()),
    }
}

fn open_checked(entry: &Entry, identities: &Identities, ahead: usize) -> Result<Unsealed> {
    let expected = entry.sidecar().map_or_else(Expected::default, |sidecar| Expected {
        stanzas: sidecar.stanzas().collect(),
        clear_bytes: Some(sidecar.clear_bytes),
        sealed_for: sidecar.public_recipients(),
    });
    Unsealed::open(entry.place(), entry.path(), identities, &expected, ahead)
}

pub(crate) fn check_size(path: &Path, actual: u64, sidecar: Option<&Sidecar>) -> Result<()> {
    let path = || path.to_owned();
    if actual == 0 {
        return Err(Error::Empty { path: path() });
    }
    match sidecar.map(|sidecar| sidecar.sealed_bytes) {
        Some(expected) if actual < expected => {
            Err(Error::Truncated { path: path(), expected: Some(expected), actual })
        }
        Some(expected) if actual > expected => {
            Err(Error::SizeDiffers { path: path(), expected, actual })
        }
        _ => Ok(()),
    }
}

/// Reads an entry of a vault, and holds its hash against the recorded one.
pub(crate) fn check_hash(entry: &Entry, watch: &Watch) -> Result<()> {
    let sidecar = entry.require_sidecar()?;
    let path = entry.path();
    let actual = digest::of_watched_file(path, watch, Stage::Check, entry.id())?;
    compare_hash(path, sidecar, actual)
}

/// Holds the hash of a file against the recorded one.
pub(crate) fn compare_hash(path: &Path, sidecar: &Sidecar, actual: String) -> Result<()> {
    if actual == sidecar.sha256 {
        return Ok(());
    }
    Err(Error::HashDiffers { path: path.to_owned(), expected: sidecar.sha256.clone(), actual })
}

/// Reads to the end, and returns how much that was.
pub(crate) fn read_everything(mut unsealed: Unsealed) -> Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut read = 0;
    loop {
        match unsealed.read(&mut buffer) {
            Ok(0) => return Ok(read),
            Ok(n) => read += n as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::of_carried(error)),
        }
    }
}
