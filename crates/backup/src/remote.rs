//! A service's backups at a target: sent, proven, listed, opened and fetched.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::copying;
use crate::entry::Entry;
use crate::latest;
use crate::name::{Names, Stamp};
use crate::sidecar::Sidecar;
use crate::target::{Content, Ranges, Receipt, RemoteFile, Target, TargetFailure, Upload};
use crate::unsealed::{HEADER_ONLY, SEALED_CHUNK};
use crate::vault::{Vault, VaultOptions};
use crate::{Error, Result, VaultLock, digest, find};

/// No sidecar is longer.
const LONGEST_SIDECAR: u64 = 16 << 20;

/// What is known of an entry's copy at a target. It is recorded in the entry's own sidecar, by the name of the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SentCopy {
    /// When the target had taken it.
    pub sent_at: Timestamp,
    /// The length that was sent.
    pub bytes: u64,
    /// The SHA-256 of what was sent: that of the entry.
    pub sha256: String,
    /// What the target answered, in the words of its protocol.
    pub answer: String,
    /// Whether the target computed the hash of what it stored, and it was this one.
    pub hash_confirmed: bool,
    /// SHA-256 of the sidecar that was sent, to know when it is out of date.
    pub sidecar_sha256: String,
    /// When it was last read back, and was the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_at: Option<Timestamp>,
    /// How much of it was read back then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

impl SentCopy {
    fn new(sidecar: &Sidecar, receipt: Receipt, at: Timestamp) -> Self {
        Self {
            sent_at: at,
            bytes: sidecar.sealed_bytes,
            sha256: sidecar.sha256.clone(),
            answer: receipt.answer,
            hash_confirmed: receipt.is_hash_confirmed,
            sidecar_sha256: String::new(),
            proven_at: None,
            proof: None,
            unknown: Map::new(),
        }
    }
}

/// How much of a copy is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Proof {
    /// The header and the last chunk, byte by byte, in two requests.
    Ends,
    /// All of it, by its SHA-256.
    Whole,
}

/// What [`Remote::push`] did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pushed {
    /// The entry with what is recorded of it now.
    pub entry: Entry,
    /// Whether the sealed file was sent; otherwise it was there.
    pub is_sent: bool,
}

/// One service's backups at a target.
///
/// The files have the names that they have in the vault, so that a folder that is synchronised or downloaded *is* a vault.
#[derive(Debug, Clone)]
pub struct Remote {
    name: String,
    target: Arc<dyn Target>,
    names: Names,
}

impl Remote {
    /// The backups of `service` at a target, which people call `name`.
    ///
    /// # Errors
    /// [`Error::InvalidService`] for a name other than `[a-z0-9][a-z0-9._-]*`.
    pub fn new(name: &str, target: Arc<dyn Target>, service: &str) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            target,
            names: Names::new(service, &VaultOptions::default().suffix)?,
        })
    }

    /// The target.
    pub fn target(&self) -> &dyn Target {
        &*self.target
    }

    /// Every entry, newest data first, with its sidecar, which is one request each.
    ///
    /// # Errors
    /// [`Error::Target`].
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let listing = self.listing()?;
        let stamps: Vec<Stamp> = listing.stamps().collect();
        let mut entries = Vec::new();
        for stamp in stamps {
            entries.push(self.entry(&listing, stamp)?);
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.order()));
        Ok(entries)
    }

    /// Finds one entry by what a person calls it: `latest` for the newest verified one, an id or the unique beginning of one, or the
    /// name of its file.
    ///
    /// # Errors
    /// [`Error::NothingVerified`], [`Error::Ambiguous`], [`Error::NoSuchEntry`], [`Error::Target`].
    pub fn find(&self, spec: &str) -> Result<Entry> {
        let listing = self.listing()?;
        if spec == "latest" {
            return self.newest_verified(&listing);
        }
        if let Some(stamp) = self.names.parse_entry(spec)
            && listing.has(stamp)
        {
            return self.entry(&listing, stamp);
        }
        let ids: Vec<(String, Stamp)> = listing
            .stamps()
            .map(|stamp| (stamp.to_string(), stamp))
            .collect();
        match find::unique(&ids, spec)? {
            Some(stamp) => self.entry(&listing, stamp),
            None => Err(Error::NoSuchEntry {
                spec: format!("{}:{spec}", self.name),
            }),
        }
    }

    /// The newest verified entry, with no more sidecars read than needed.
    fn newest_verified(&self, listing: &Listing) -> Result<Entry> {
        let mut stamps: Vec<Stamp> = listing.stamps().collect();
        stamps.sort_unstable_by(|one, other| other.cmp(one));
        for stamp in &stamps {
            let entry = self.entry(listing, *stamp)?;
            if entry.is_verified() {
                return Ok(entry);
            }
        }
        Err(Error::NothingVerified {
            service: self.names.service().to_owned(),
            entries: stamps.len(),
        })
    }

    /// Sends an entry of the vault unless it is there, and its sidecar unless the one there is the same; records that, and reads both ends of
    /// the sealed file back where the target can be read.
    ///
    /// The sealed file comes first: a copy without its sidecar restores, a sidecar without its file does not.
    ///
    /// # Errors
    /// [`Error::Target`], with [`TargetFailure::Taken`] or [`TargetFailure::Differs`] where the target has something else of that name;
    /// [`Error::HashDiffers`] where the entry is not what was sealed; those of [`Vault::mark_verified`] about entries that changed.
    pub fn push(
        &self,
        vault: &Vault,
        entry: &Entry,
        there: &Listing,
        at: Timestamp,
    ) -> Result<Pushed> {
        let (stamp, sidecar) = (self.stamp(entry)?, entry.require_sidecar()?);
        let known = sidecar.copies.get(&self.name);
        let known = known.filter(|copy| copy.sha256 == sidecar.sha256);
        let is_there = self.is_there(entry, known, there.length(stamp))?;
        let mut copy = match known {
            Some(known) if is_there => known.clone(),
            // It was sent by somebody who did not record it: an interrupted run, or a vault that was lost since.
            _ if is_there => SentCopy::new(sidecar, self.found(entry)?, at),
            _ => SentCopy::new(sidecar, self.send(entry, sidecar)?, at),
        };
        let has_sidecar = there.has_sidecar(stamp) || (is_there && !self.target.is_readable());
        self.send_sidecar(&mut copy, sidecar, stamp, has_sidecar)?;
        let mut entry = match known {
            Some(known) if *known == copy => entry.clone(),
            _ => latest::record_copy(vault, entry, &self.name, copy.clone())?,
        };
        if self.target.is_readable() && copy.proof.is_none() {
            entry = self.prove(vault, &entry, Proof::Ends, at)?;
        }
        Ok(Pushed {
            entry,
            is_sent: !is_there,
        })
    }

    /// Whether the sealed file has been brought there.
    fn is_there(
        &self,
        entry: &Entry,
        known: Option<&SentCopy>,
        length: Option<u64>,
    ) -> Result<bool> {
        match length {
            Some(length) if length == entry.sealed_bytes() => Ok(true),
            Some(length) => Err(self.differs(entry, entry.sealed_bytes(), length)),
            // What cannot be listed is where it was sent.
            None => Ok(!self.target.is_readable() && known.is_some()),
        }
    }

    /// Sends the sidecar unless the one there is the same. A place that shows nothing keeps its first: a second would lie beside it.
    fn send_sidecar(
        &self,
        copy: &mut SentCopy,
        sidecar: &Sidecar,
        stamp: Stamp,
        is_there: bool,
    ) -> Result<()> {
        let bytes = sidecar.for_elsewhere().to_bytes();
        let sha256 = digest::of_bytes(&bytes);
        let is_current = is_there && copy.sidecar_sha256 == sha256;
        if is_current || (is_there && !self.target.is_readable()) {
            return Ok(());
        }
        self.target.put(&Upload {
            name: &self.names.sidecar(stamp),
            content: Content::Bytes(&bytes),
            bytes: bytes.len() as u64,
            sha256: &sha256,
            replace: self.target.is_readable(),
        })?;
        copy.sidecar_sha256 = sha256;
        Ok(())
    }

    /// Reads a copy back, compares it with the entry of the vault, and records that.
    ///
    /// # Errors
    /// [`Error::Target`], with [`TargetFailure::Differs`] where it is not the same: then nothing is recorded.
    pub fn prove(
        &self,
        vault: &Vault,
        entry: &Entry,
        proof: Proof,
        at: Timestamp,
    ) -> Result<Entry> {
        let sidecar = entry.require_sidecar()?;
        match proof {
            Proof::Ends => self.compare_ends(entry)?,
            Proof::Whole => {
                let name = self.names.entry(self.stamp(entry)?);
                let source = Ranges::new(Arc::clone(&self.target), &name, sidecar.sealed_bytes);
                let actual = digest::of_reader(source).map_err(unwrapped)?;
                if actual != sidecar.sha256 {
                    return Err(self.differs(entry, &sidecar.sha256, actual));
                }
            }
        }
        let Some(mut copy) = sidecar.copies.get(&self.name).cloned() else {
            return Ok(entry.clone());
        };
        copy.proven_at = Some(at);
        copy.proof = copy.proof.max(Some(proof));
        latest::record_copy(vault, entry, &self.name, copy)
    }

    /// Fetches an entry into a vault of the same service, whose lock this is, and compares it with the recorded hash before it gets its name.
    ///
    /// # Errors
    /// Those of [`Vault::copy_to`], and [`Error::Target`].
    pub fn pull(&self, entry: &Entry, to: &Vault, lock: &VaultLock) -> Result<Entry> {
        to.check_lock(lock)?;
        let stamp = self.names.parse_entry(&file_name(entry));
        let stamp = stamp.ok_or_else(|| foreign(entry))?;
        copying::fetch(entry, stamp, to)
    }

    /// What is there now.
    ///
    /// # Errors
    /// [`Error::Target`]. A place that shows nothing has an empty listing.
    pub fn listing(&self) -> Result<Listing> {
        if !self.target.is_readable() {
            return Ok(Listing::default());
        }
        Ok(Listing::of(&self.names, self.target.list()?))
    }

    /// Removes what interrupted uploads of this service left there, and says what it was. Nobody else may be uploading to that place.
    ///
    /// # Errors
    /// [`Error::Target`].
    pub fn clean(&self, there: &Listing) -> Result<Vec<String>> {
        for name in &there.partial {
            self.target.remove(name)?;
        }
        Ok(there.partial.clone())
    }

    fn send(&self, entry: &Entry, sidecar: &Sidecar) -> Result<Receipt> {
        // What is sent is what was sealed: read once more here, since not every target can be read back.
        crate::verify::check_hash(entry.path(), sidecar)?;
        self.target.put(&Upload {
            name: &sidecar.file,
            content: Content::File(entry.path()),
            bytes: sidecar.sealed_bytes,
            sha256: &sidecar.sha256,
            replace: false,
        })
    }

    /// A copy that is there though nobody recorded it: all of it is compared.
    fn found(&self, entry: &Entry) -> Result<Receipt> {
        let sidecar = entry.require_sidecar()?;
        let source = Ranges::new(
            Arc::clone(&self.target),
            &sidecar.file,
            sidecar.sealed_bytes,
        );
        let actual = digest::of_reader(source).map_err(unwrapped)?;
        if actual != sidecar.sha256 {
            return Err(self.differs(entry, &sidecar.sha256, actual));
        }
        Ok(Receipt {
            answer: "found".to_owned(),
            is_hash_confirmed: false,
        })
    }

    /// The header and the last chunk, byte by byte.
    fn compare_ends(&self, entry: &Entry) -> Result<()> {
        let length = entry.sealed_bytes();
        let name = file_name(entry);
        let begin = 0..length.min(HEADER_ONLY as u64);
        let end = length.saturating_sub(SEALED_CHUNK)..length;
        for range in [begin, end] {
            let mut here = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
            let mut file = fs_err::File::open(entry.path())?;
            file.seek(SeekFrom::Start(range.start))?;
            file.read_exact(&mut here)?;
            if self.target.read(&name, range.clone())? != here {
                let bytes = format!("the bytes {} to {}", range.start, range.end);
                return Err(self.differs(entry, bytes, "others"));
            }
        }
        Ok(())
    }

    fn entry(&self, listing: &Listing, stamp: Stamp) -> Result<Entry> {
        let bytes = listing.length(stamp).unwrap_or_default();
        let sidecar = match listing.sidecars.get(&stamp) {
            Some(length) if *length <= LONGEST_SIDECAR => {
                Some(self.target.read(&self.names.sidecar(stamp), 0..*length)?)
            }
            _ => None,
        };
        let name = self.names.entry(stamp);
        let path = PathBuf::from(format!("{}:{name}", self.name));
        let source = Ranges::new(Arc::clone(&self.target), &name, bytes);
        let named = (&self.names, stamp);
        Ok(Entry::remote(path, named, source, sidecar))
    }

    fn stamp(&self, entry: &Entry) -> Result<Stamp> {
        let stamp = entry.stamp().ok_or_else(|| foreign(entry))?;
        if entry.require_sidecar()?.belongs_to(&self.names, stamp) {
            Ok(stamp)
        } else {
            Err(foreign(entry))
        }
    }

    fn differs(
        &self,
        entry: &Entry,
        expected: impl std::fmt::Display,
        actual: impl std::fmt::Display,
    ) -> Error {
        crate::target::failed(
            &*self.target,
            format!("compare {}", file_name(entry)),
            TargetFailure::Differs {
                expected: expected.to_string(),
                actual: actual.to_string(),
            },
        )
    }
}

fn foreign(entry: &Entry) -> Error {
    Error::ForeignEntry {
        path: entry.path().to_owned(),
    }
}

/// The name of the sealed file, without the name of the target.
fn file_name(entry: &Entry) -> String {
    let name = entry.path().file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    name.rsplit(':').next().unwrap_or_default().to_owned()
}

fn unwrapped(error: io::Error) -> Error {
    crate::verify::unwrapped(error)
}

/// What a target has of one service, by a look at the names.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    sealed: BTreeMap<Stamp, u64>,
    sidecars: BTreeMap<Stamp, u64>,
    partial: Vec<String>,
}

impl Listing {
    fn of(names: &Names, files: Vec<RemoteFile>) -> Self {
        let mut listing = Self::default();
        for file in files {
            if let Some(stamp) = names.parse_entry(&file.name) {
                listing.sealed.insert(stamp, file.bytes);
            } else if let Some(stamp) = names.parse_sidecar(&file.name) {
                listing.sidecars.insert(stamp, file.bytes);
            } else if names.is_partial_upload(&file.name) {
                listing.partial.push(file.name);
            }
        }
        listing
    }

    /// The ids of the entries.
    pub fn ids(&self) -> Vec<String> {
        self.stamps().map(|stamp| stamp.to_string()).collect()
    }

    fn stamps(&self) -> impl Iterator<Item = Stamp> {
        self.sealed.keys().copied()
    }

    fn has(&self, stamp: Stamp) -> bool {
        self.sealed.contains_key(&stamp)
    }

    fn has_sidecar(&self, stamp: Stamp) -> bool {
        self.sidecars.contains_key(&stamp)
    }

    fn length(&self, stamp: Stamp) -> Option<u64> {
        self.sealed.get(&stamp).copied()
    }
}
