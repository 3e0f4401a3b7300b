//! Sending an entry, and reading its copy back.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Listing, Proof, Remote, SentCopy, file_name};
use crate::entry::Entry;
use crate::name::Stamp;
use crate::progress::Stage;
use crate::sidecar::Sidecar;
use crate::target::{Content, Ranges, Receipt, Upload};
use crate::unsealed::{HEADER_ONLY, SEALED_CHUNK};
use crate::vault::Vault;
use crate::verify::check_hash;
use crate::{Error, Result, digest, latest};

/// The result of [`Remote::push`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pushed {
    /// The entry with what is recorded of it now.
    pub entry: Entry,
    /// True if the sealed file was sent; otherwise it was there.
    pub is_sent: bool,
}

impl Remote {
    /// Sends an entry of the vault unless it is there, and its sidecar unless the one there is the
    /// same; records that, and reads both ends of the sealed file back where the target can be
    /// read.
    ///
    /// The sealed file comes first: a copy without its sidecar restores, a sidecar without its file
    /// does not.
    ///
    /// # Errors
    /// [`Error::Target`], with [`TargetFailure::Taken`](crate::TargetFailure::Taken) or
    /// [`Differs`](crate::TargetFailure::Differs) where the target has something else of that name;
    /// [`Error::HashDiffers`] where the entry is not what was sealed; those of
    /// [`Vault::mark_verified`] about entries that changed.
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
        Ok(Pushed { entry, is_sent: !is_there })
    }

    /// Returns true if the sealed file has been brought there.
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

    /// Sends the sidecar unless the one there is the same. A place that shows nothing keeps its
    /// first: a second would lie beside it.
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
            name: &self.names().sidecar(stamp),
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
    /// [`Error::Target`], with [`TargetFailure::Differs`](crate::TargetFailure::Differs) where it
    /// is not the same: then nothing is recorded.
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
                let name = self.names().entry(self.stamp(entry)?);
                let source = Ranges::new(Arc::clone(&self.target), &name, sidecar.sealed_bytes);
                self.compare(entry, source)?;
            }
        }
        match sidecar.copies.get(&self.name) {
            Some(copy) => {
                let copy = copy.clone().proven(Some(proof), at);
                latest::record_copy(vault, entry, &self.name, copy)
            }
            None => Ok(entry.clone()),
        }
    }

    fn send(&self, entry: &Entry, sidecar: &Sidecar) -> Result<Receipt> {
        // What is sent is what was sealed: read once more here, since not every target can be read back.
        check_hash(entry, self.vault.watch())?;
        let path = entry.path();
        let content = match self.vault.watch().progress() {
            Some(progress) => {
                progress.begin(Stage::Send, entry.id(), sidecar.sealed_bytes);
                Content::Watched(path, progress)
            }
            None => Content::File(path),
        };
        self.target.put(&Upload {
            name: &sidecar.file,
            content,
            bytes: sidecar.sealed_bytes,
            sha256: &sidecar.sha256,
            replace: false,
        })
    }

    /// A copy that is there though nobody recorded it: all of it is compared.
    fn found(&self, entry: &Entry) -> Result<Receipt> {
        let sidecar = entry.require_sidecar()?;
        let source = Ranges::new(Arc::clone(&self.target), &sidecar.file, sidecar.sealed_bytes);
        self.compare(entry, source)?;
        Ok(Receipt { answer: "found".to_owned(), is_hash_confirmed: false })
    }

    /// All of a copy, by its hash.
    fn compare(&self, entry: &Entry, source: Ranges) -> Result<()> {
        let sidecar = entry.require_sidecar()?;
        let watch = self.vault.watch();
        let source = watch.reading(source, Stage::Compare, entry.id(), sidecar.sealed_bytes);
        let actual = digest::of_reader(source).map_err(Error::of_carried)?;
        if actual == sidecar.sha256 {
            return Ok(());
        }
        Err(self.differs(entry, &sidecar.sha256, actual))
    }

    /// The header and the last chunk, byte by byte.
    fn compare_ends(&self, entry: &Entry) -> Result<()> {
        let length = entry.sealed_bytes();
        let name = file_name(entry);
        let begin = 0..length.min(HEADER_ONLY as u64);
        let end = length.saturating_sub(SEALED_CHUNK)..length;
        for range in [begin, end] {
            let mut here = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
            let mut file = regularfile::open(entry.path())?;
            file.seek(SeekFrom::Start(range.start))?;
            file.read_exact(&mut here)?;
            if self.target.read(&name, range.clone())? != here {
                let bytes = format!("the bytes {} to {}", range.start, range.end);
                return Err(self.differs(entry, bytes, "others"));
            }
        }
        Ok(())
    }
}
