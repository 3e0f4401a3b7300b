//! Writing one entry: encrypt, count and hash in one pass, and publish it as a whole or not at all.

use std::fmt;
use std::io::{self, BufWriter, Write};

use age::stream::StreamWriter;
use jiff::Timestamp;
use tempfile::TempPath;

use crate::digest::Tally;
use crate::entry::Entry;
use crate::lock::{CatalogueLock, VaultLock};
use crate::name::Stamp;
use crate::sidecar::{SealedFor, Sidecar, SidecarFacts, Streamed};
use crate::stanza::Recording;
use crate::vault::Vault;
use crate::{Error, Recipients, Result, durable, fault, prune};

/// Keeps the small writes of the age header together; whole chunks pass by it.
const BUFFER: usize = 32 * 1024;

type Sink = StreamWriter<Tally<BufWriter<fs_err::File>>>;

/// An entry that is being written.
///
/// The payload is written into it in clear and reaches the disk sealed. Until
/// [`commit`](Self::commit) there is only a temporary file, which is removed when this value is
/// dropped; after a crash it is among [`Vault::leftovers`].
pub struct Sealing {
    vault: Vault,
    stamp: Stamp,
    taken_at: Timestamp,
    sink: Sink,
    // Dropped after the sink, and before the lock: nobody may clean what is still being written.
    temporary: TempPath,
    recipients: Vec<SealedFor>,
    clear_bytes: u64,
    broken: bool,
    _lock: VaultLock,
}

impl Sealing {
    pub(crate) fn begin(
        vault: Vault,
        lock: VaultLock,
        recipients: &Recipients,
        taken_at: Timestamp,
    ) -> Result<Self> {
        let stamp = Stamp::new(taken_at)?;
        let (encryptor, recipients) = wrap(recipients)?;
        let file = durable::temporary(vault.directory(), &vault.names().temporary_entry(stamp))?;
        // The kernel drops this lock with the process: a temporary file that can be locked has no writer any more.
        file.as_file().lock()?;
        let (file, temporary) = file.into_parts();
        let file = fs_err::File::from_parts(file, temporary.to_path_buf());
        let sink = encryptor.wrap_output(Tally::new(BufWriter::with_capacity(BUFFER, file))?)?;
        Ok(Self {
            vault,
            stamp,
            taken_at,
            sink,
            temporary,
            recipients,
            clear_bytes: 0,
            broken: false,
            _lock: lock,
        })
    }

    /// Lets the entry have a name that comes after this one, also where names before it are free.
    pub(crate) fn after(mut self, stamp: Stamp) -> Self {
        self.stamp = self.stamp.max(stamp.next());
        self
    }

    /// Returns the number of bytes of clear text written so far.
    pub fn clear_bytes(&self) -> u64 {
        self.clear_bytes
    }

    /// Finishes the file, makes it durable and gives it its name; returns the entry, in the state
    /// `sealed`.
    ///
    /// The order is: finish the age stream, `fsync` the file, create the sidecar, `fsync` the
    /// directory, name the file, `fsync` the directory. The sidecar comes first, and creating it
    /// claims the name: a crash before the last step leaves a sidecar without a file, which is no
    /// entry but a leftover; a crash after it leaves the entry complete. Neither step ever replaces
    /// a file: where the second is taken, the name gets `-2`, `-3` and so on.
    ///
    /// # Errors
    /// [`Error::Signing`] among others. Nothing is published, except that an error in the very last
    /// `fsync` comes after the entry got its name.
    pub fn commit(self, facts: SidecarFacts) -> Result<Entry> {
        if self.broken {
            return Err(Error::SealingBroken);
        }
        let (buffer, sealed_bytes, sha256) = self.sink.finish()?.into_parts();
        let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
        fault::point()?;
        file.sync_all()?;
        let streamed = Streamed {
            taken_at: self.taken_at,
            clear_bytes: self.clear_bytes,
            sealed_bytes,
            sha256,
            recipients: self.recipients,
        };
        let sidecar = Sidecar::new(self.vault.service(), String::new(), streamed, facts);
        let entry = publish(&self.vault, self.stamp, self.temporary, sidecar)?;
        tracing::info!(sealed_bytes, "sealed {}", entry.path().display());
        Ok(entry)
    }
}

impl Write for Sealing {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::Error::other(Error::SealingBroken));
        }
        // A chunk that failed half-way cannot be taken back from the ciphertext, so the first error is final.
        self.broken = true;
        fault::point()?;
        let n = self.sink.write(buf)?;
        self.broken = false;
        self.clear_bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealing")
            .field("temporary", &self.temporary)
            .field("clear_bytes", &self.clear_bytes)
            .finish_non_exhaustive()
    }
}

fn wrap(recipients: &Recipients) -> Result<(age::Encryptor, Vec<SealedFor>)> {
    let recording: Vec<_> =
        recipients.members().map(|(_, recipient)| Recording::new(recipient)).collect();
    let encryptor = age::Encryptor::with_recipients(recording.iter().map(|each| each as _))
        .map_err(Error::of_sealing)?;
    let sealed_for = recipients.fingerprints().zip(recording);
    let sealed_for = sealed_for
        .map(|(fingerprint, recording)| {
            SealedFor::new(fingerprint.kind, fingerprint.text.clone(), recording.into_hashes())
        })
        .collect();
    Ok((encryptor, sealed_for))
}

/// Finds the first free name, signs for it, and claims it.
pub(crate) fn publish(
    vault: &Vault,
    first: Stamp,
    mut temporary: TempPath,
    mut sidecar: Sidecar,
) -> Result<Entry> {
    let mut stamp = first;
    // A name whose removal was begun is not free before that is finished.
    prune::finish(vault, &vault.catalogue_lock()?)?;
    loop {
        let names = vault.names();
        let is_taken = |name: String| vault.directory().join(name).symlink_metadata().is_ok();
        if !is_taken(names.entry(stamp)) && !is_taken(names.sidecar(stamp)) {
            sidecar.file = names.entry(stamp);
            // Somebody may have to touch a key: nobody waits for the catalogue meanwhile.
            vault.trust().sign(&mut sidecar)?;
            match claim(vault, stamp, temporary, &sidecar)? {
                Ok(entry) => return Ok(entry),
                Err(unnamed) => temporary = unnamed,
            }
        }
        stamp = stamp.next();
    }
}

/// Claims a name with the sidecar, then names the file; gives the file back where the name is
/// taken.
fn claim(
    vault: &Vault,
    stamp: Stamp,
    temporary: TempPath,
    sidecar: &Sidecar,
) -> Result<Result<Entry, TempPath>> {
    let catalogue: CatalogueLock = vault.catalogue_lock()?;
    prune::finish(vault, &catalogue)?;
    let names = vault.names();
    let file = vault.directory().join(names.entry(stamp));
    let beside = vault.directory().join(names.sidecar(stamp));
    let is_free = file.symlink_metadata().is_err();
    let bytes = sidecar.to_bytes();
    if !is_free || !durable::create(&beside, &names.temporary_sidecar(stamp), &bytes)? {
        return Ok(Err(temporary));
    }
    fault::point()?;
    match temporary.persist_noclobber(&file) {
        Ok(()) => {
            durable::sync_directory(vault.directory())?;
            Entry::read(vault, stamp).map(Ok)
        }
        Err(error) => {
            fs_err::remove_file(&beside)?;
            if error.error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error.error.into());
            }
            Ok(Err(error.path))
        }
    }
}
