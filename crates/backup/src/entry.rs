//! One backup, as the vault lists it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::name::Stamp;
use crate::sealed_file::SealedLocation;
use crate::sidecar::{Sidecar, State, invalid};
use crate::signature::Trust;
use crate::target::Ranges;
use crate::vault::Vault;
use crate::{Error, Result};

/// A sealed file and what is known about it.
///
/// It is a snapshot: [`Vault::mark_verified`](crate::Vault::mark_verified) and
/// [`Vault::mark_drilled`](crate::Vault::mark_drilled) return the entry as it is after them.
#[derive(Debug, Clone)]
pub struct Entry {
    path: PathBuf,
    id: String,
    stamp: Option<Stamp>,
    sealed_bytes: u64,
    facts: Facts,
    /// The remote source, if it is not a file of this machine.
    remote: Option<Ranges>,
}

#[derive(Debug, Clone)]
enum Facts {
    Known(Box<Sidecar>),
    Absent,
    Unusable(Arc<Error>),
}

impl Facts {
    /// The same, or why nobody may rely on them.
    fn trusted(self, trust: &Trust, path: &Path) -> Self {
        let checked = match &self {
            Self::Known(sidecar) => trust.check(path, Some(sidecar)),
            Self::Absent => trust.check(path, None),
            Self::Unusable(_) => Ok(()),
        };
        match checked {
            Ok(()) => self,
            Err(error) => Self::Unusable(Arc::new(error)),
        }
    }
}

impl Entry {
    /// Reads the entry `stamp` of a vault's directory.
    pub(crate) fn read(vault: &Vault, stamp: Stamp) -> Result<Self> {
        let (directory, names) = (vault.directory(), vault.names());
        let path = directory.join(names.entry(stamp));
        let sidecar = directory.join(names.sidecar(stamp));
        let facts = match Sidecar::read(&sidecar) {
            Ok(Some(known)) if known.belongs_to(names, stamp) => Facts::Known(Box::new(known)),
            Ok(Some(_)) => {
                Facts::Unusable(Arc::new(invalid(&sidecar, "it describes another file")))
            }
            Ok(None) => Facts::Absent,
            Err(error) => Facts::Unusable(Arc::new(error)),
        };
        Ok(Self {
            sealed_bytes: length(&path)?,
            facts: facts.trusted(vault.trust(), &path),
            path,
            id: stamp.to_string(),
            stamp: Some(stamp),
            remote: None,
        })
    }

    /// An entry at a target; `sidecar` is the content of its sidecar there, or the reason why it
    /// cannot be read.
    pub(crate) fn remote(
        path: PathBuf,
        (vault, stamp): (&Vault, Stamp),
        source: Ranges,
        sidecar: Result<Option<Vec<u8>>, String>,
    ) -> Self {
        let unreadable = |reason| Error::SidecarUnreadable { path: path.clone(), reason };
        let sidecar = sidecar.map_err(unreadable);
        let facts = match sidecar.and_then(|bytes| {
            let parsed = bytes.map(|bytes| Sidecar::parse(&path, &bytes));
            parsed.transpose().map(Option::flatten)
        }) {
            Ok(Some(known)) if known.belongs_to(vault.names(), stamp) => {
                Facts::Known(Box::new(known))
            }
            Ok(Some(_)) => Facts::Unusable(Arc::new(invalid(&path, "it describes another file"))),
            Ok(None) => Facts::Absent,
            Err(error) => Facts::Unusable(Arc::new(error)),
        };
        Self {
            facts: facts.trusted(vault.trust(), &path),
            path,
            id: stamp.to_string(),
            // It is no entry of a vault here.
            stamp: None,
            sealed_bytes: source.length(),
            remote: Some(source),
        }
    }

    /// Reads a sealed file outside the vault, with the sidecar beside it if there is one for it.
    pub(crate) fn outside(path: &Path, vault: &Vault) -> Result<Self> {
        let sealed_bytes = length(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = name
            .strip_suffix(vault.names().suffix())
            .map(|stem| path.with_file_name(format!("{stem}.json")));
        let facts = match beside.map(|sidecar| Sidecar::read(&sidecar)) {
            Some(Ok(Some(known))) if known.file == name => Facts::Known(Box::new(known)),
            Some(Err(error)) => Facts::Unusable(Arc::new(error)),
            _ => Facts::Absent,
        };
        Ok(Self {
            path: path.to_owned(),
            id: name,
            stamp: None,
            sealed_bytes,
            facts: facts.trusted(vault.trust(), path),
            remote: None,
        })
    }

    /// The sealed file. For an entry at a target it is `TARGET:NAME`, which is no path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true if it lies at a target, and not on this machine.
    pub fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    pub(crate) fn place(&self) -> SealedLocation {
        match &self.remote {
            Some(source) => SealedLocation::There(source.clone()),
            None => SealedLocation::Here(self.path.clone()),
        }
    }

    /// The length of the sealed file now.
    pub(crate) fn current_length(&self) -> Result<u64> {
        match &self.remote {
            Some(source) => Ok(source.length()),
            None => Ok(fs_err::metadata(&self.path)?.len()),
        }
    }

    /// Returns the entry's id within its vault: `20261121T161200Z`, or `20261121T161200Z-2` for the
    /// second of the same second. For a file outside the vault it is the file's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The time whose data it holds: from the sidecar, else from the name; `None` for a file
    /// outside the vault without a sidecar.
    pub fn taken_at(&self) -> Option<Timestamp> {
        self.sidecar().map(|sidecar| sidecar.taken_at).or_else(|| self.stamp.map(Stamp::second))
    }

    /// The length of the sealed file on disk, in bytes.
    pub fn sealed_bytes(&self) -> u64 {
        self.sealed_bytes
    }

    /// The recorded facts, where there are any that this library can read.
    pub fn sidecar(&self) -> Option<&Sidecar> {
        match &self.facts {
            Facts::Known(sidecar) => Some(sidecar),
            Facts::Absent | Facts::Unusable(_) => None,
        }
    }

    /// Returns the reason why there are none although there is a sidecar.
    pub fn sidecar_error(&self) -> Option<&Error> {
        match &self.facts {
            Facts::Unusable(error) => Some(error),
            Facts::Known(_) | Facts::Absent => None,
        }
    }

    /// Returns its state, according to its sidecar.
    pub fn state(&self) -> State {
        self.sidecar().map_or(State::Foreign, Sidecar::state)
    }

    /// Returns true if it is recorded as verified and still has the recorded length.
    pub fn is_verified(&self) -> bool {
        self.sidecar().is_some_and(|sidecar| {
            sidecar.state() >= State::Verified && sidecar.sealed_bytes == self.sealed_bytes
        })
    }

    /// Returns whether a passphrase opens it, which is then the only recipient. It reads the
    /// beginning of the header.
    ///
    /// # Errors
    /// The sealed file cannot be read.
    pub fn is_passphrase_sealed(&self) -> Result<bool> {
        /// Longer than the version and the type of the first recipient.
        const BEGINNING: u64 = 256;
        let mut beginning = Vec::new();
        self.place().open()?.take(BEGINNING).read_to_end(&mut beginning)?;
        let mut lines = beginning.split(|byte| *byte == b'\n');
        Ok(lines.nth(1).is_some_and(|line| line.starts_with(b"-> scrypt ")))
    }

    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Sorts by the time of the data, then by name.
    pub(crate) fn order(&self) -> (Option<Timestamp>, Option<Stamp>) {
        (self.taken_at(), self.stamp)
    }

    /// The facts, or why they cannot be had.
    pub(crate) fn require_sidecar(&self) -> Result<&Sidecar> {
        match &self.facts {
            Facts::Known(sidecar) => Ok(sidecar),
            Facts::Absent => Err(Error::NoSidecar { path: self.path.clone() }),
            Facts::Unusable(error) => Err(match &**error {
                Error::UnknownSidecarVersion { path, found } => {
                    Error::UnknownSidecarVersion { path: path.clone(), found: found.clone() }
                }
                Error::SidecarUnreadable { path, reason } => {
                    Error::SidecarUnreadable { path: path.clone(), reason: reason.clone() }
                }
                Error::Untrusted { path, reason } => {
                    Error::Untrusted { path: path.clone(), reason: reason.clone() }
                }
                other => invalid(&self.path, other.to_string()),
            }),
        }
    }
}

/// The length of a regular file; a link or directory in its place is no entry.
fn length(path: &Path) -> Result<u64> {
    let metadata = fs_err::metadata(path)?;
    if !metadata.is_file() {
        return Err(Error::NotAge { path: path.to_owned(), armored: false });
    }
    Ok(metadata.len())
}
