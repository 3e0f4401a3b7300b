//! Sealing for others what is sealed already: without clear text on any disk, and without a moment
//! in which no copy opens.

use std::io::{self, BufReader, Read, Write};

use jiff::Timestamp;

use crate::digest::Tally;
use crate::entry::Entry;
use crate::lock::VaultLock;
use crate::progress::Stage;
use crate::sidecar::{SidecarFacts, State};
use crate::vault::Vault;
use crate::{Error, Identities, Recipients, Result, latest, prune};

/// One read call.
const BUFFER: usize = 64 * 1024;

/// Seals an entry anew, reads that again, lets it take the old one's place, and removes the old
/// one.
pub(crate) fn rekey(
    vault: &Vault,
    lock: &VaultLock,
    old: &Entry,
    keys: (&Identities, &Recipients),
    at: Timestamp,
) -> Result<Entry> {
    let (identities, recipients) = keys;
    latest::reread(vault, old)?;
    recipients.require_opened_by(identities)?;
    let sidecar = old.require_sidecar()?;
    let clear = vault.open_entry(old, identities)?;
    let stamp = old.stamp().expect("an entry of this vault has a stamp");
    let mut sealing = vault.begin(lock, recipients, sidecar.taken_at)?.after(stamp);
    let (watch, bytes) = (vault.watch(), sidecar.clear_bytes);
    let clear = watch.reading(clear, Stage::Seal, old.id(), bytes);
    let payload = copy(clear, &mut sealing)?;
    let new = sealing.commit(
        SidecarFacts::new(at).payload(sidecar.payload.clone()).anchor(sidecar.anchor.clone()),
    )?;
    let proven = prove(vault, &new, identities, &payload)
        .and_then(|()| carry_over(vault, new.clone(), old, at));
    match proven {
        Ok(new) => {
            prune::remove(vault, old, at)?;
            Ok(new)
        }
        Err(error) => {
            // It is worth nothing here, and the old one is as good as it was. One that cannot be removed is listed, and counts for nothing.
            let _ = prune::remove(vault, &new, at);
            Err(error)
        }
    }
}

/// The new file opens with what is at hand, and holds the same bytes.
fn prove(vault: &Vault, new: &Entry, identities: &Identities, payload: &str) -> Result<()> {
    let clear = vault.open_entry(new, identities)?;
    let bytes = clear.clear_len();
    let clear = vault.watch().reading(clear, Stage::Compare, new.id(), bytes);
    let found = copy(clear, &mut io::sink())?;
    if found == payload { Ok(()) } else { Err(Error::Changed { path: new.path().to_owned() }) }
}

/// Carries the proof over: it holds for the same payload.
fn carry_over(vault: &Vault, new: Entry, old: &Entry, at: Timestamp) -> Result<Entry> {
    let drilled_at = old.sidecar().and_then(|sidecar| sidecar.drilled_at);
    if !old.is_verified() {
        return Ok(new);
    }
    let new = vault.mark_verified(&new, at)?;
    match drilled_at.filter(|_| old.state() == State::Drilled) {
        Some(drilled_at) => vault.mark_drilled(&new, drilled_at),
        None => Ok(new),
    }
}

/// Copies everything, and returns its SHA-256.
fn copy(from: impl Read, to: &mut impl Write) -> Result<String> {
    let mut tally = Tally::new(to)?;
    io::copy(&mut BufReader::with_capacity(BUFFER, from), &mut tally).map_err(Error::of_carried)?;
    let (_, _, sha256) = tally.into_parts();
    Ok(sha256)
}
