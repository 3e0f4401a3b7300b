//! The keys at hand, and the backups that they open.

use backup::{Depth, Entry, Identities, Vault};
use serde::Serialize;

use crate::keys;
use crate::ops::{Ops, Report};
use crate::store;

/// The recipients and backups, compared with the keys on this machine.
#[derive(Debug, Clone, Serialize)]
pub struct KeysReport {
    /// The public keys that backups are sealed for from now on.
    pub recipients: Vec<RecipientKey>,
    /// The backups of the vault, newest first.
    pub backups: Vec<OpenedBackup>,
}

/// A public key that backups are sealed for from now on.
#[derive(Debug, Clone, Serialize)]
pub struct RecipientKey {
    /// The public key.
    pub recipient: String,
    /// True if its private key is on this machine.
    pub here: bool,
}

/// A backup that was opened with the keys on this machine, or was not.
#[derive(Debug, Clone, Serialize)]
pub struct OpenedBackup {
    /// The backup's id.
    pub id: String,
    /// The sealed file.
    pub path: String,
    /// True if a key on this machine opens it.
    pub opens: bool,
    /// The reason why it does not open.
    pub problem: Option<String>,
    /// The public keys it was sealed for whose private keys are elsewhere.
    pub absent: Vec<String>,
}

impl Report for KeysReport {
    const SCHEMA: &'static str = "hubctl.keys.v1";
}

/// Opens the header and the end of every backup with the keys on this machine.
///
/// Warns where no recipient's key is kept elsewhere.
///
/// # Errors
/// A configuration without vault or recipient, an identity that cannot be read, and a vault that
/// cannot be read. A backup that does not open is in the report.
pub fn check_keys(ops: &Ops) -> anyhow::Result<KeysReport> {
    let (settings, console) = (ops.settings(), ops.console());
    let passphrase = keys::passphrase(settings, &**console)?;
    let recipients = keys::recipients(settings, passphrase.as_ref())?;
    let identities = keys::identities(settings, passphrase, console)?;
    let held = keys::held(&identities);
    let vault = store::open_vault(settings, None)?;
    let entries = vault.entries()?;
    let recipients = recipients.fingerprints().map(|each| RecipientKey {
        here: keys::is_here(&held, &each.text),
        recipient: each.text.clone(),
    });
    let backups = entries.iter().map(|entry| open(&vault, entry, &identities, &held));
    let report = KeysReport { recipients: recipients.collect(), backups: backups.collect() };
    if report.recipients.iter().all(|recipient| recipient.here) {
        ops.warn(keys::NO_ESCROW);
        ops.hint(keys::ESCROW_HINT);
    }
    Ok(report)
}

fn open(vault: &Vault, entry: &Entry, identities: &Identities, held: &[String]) -> OpenedBackup {
    let problem = vault.verify(entry, identities, Depth::Quick).err();
    let recipients = entry.sidecar().map(|sidecar| sidecar.recipients.as_slice());
    let recipients = recipients.unwrap_or_default().iter();
    let absent = recipients.filter(|sealed| !keys::is_here(held, &sealed.recipient));
    OpenedBackup {
        id: entry.id().to_owned(),
        path: entry.path().display().to_string(),
        opens: problem.is_none(),
        problem: problem.map(|problem| problem.to_string()),
        absent: absent.map(|sealed| sealed.recipient.clone()).collect(),
    }
}
