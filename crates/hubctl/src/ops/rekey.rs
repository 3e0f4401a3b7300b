//! Seal backups anew for the present recipients.

use std::collections::BTreeSet;

use backup::{Depth, Entry, Identities, Recipients, State, Vault};
use journal::evidence;
use serde::Serialize;

use super::{Console, Ops, Report, blocking};
use crate::damage::Damaged;
use crate::keys;
use crate::settings::Settings;
use crate::store;

/// The backups to seal anew, and whether to do it.
#[derive(Debug, Clone, Default)]
pub struct RekeyOrder {
    /// A backup's id, path or `latest`; every backup if `None`.
    pub entry: Option<String>,
    /// Seals the backups; without it the report is a plan.
    pub execute: bool,
}

/// The backups that were not sealed for exactly the configured recipients.
#[derive(Debug, Clone, Serialize)]
pub struct RekeyReport {
    /// True if the backups were sealed anew, false if this is a plan.
    pub executed: bool,
    /// The public keys that backups are sealed for now.
    pub recipients: Vec<String>,
    /// The backups that were sealed for others, and what became of each.
    pub backups: Vec<RekeyedBackup>,
}

impl Report for RekeyReport {
    const SCHEMA: &'static str = "hubctl.rekey.v1";
}

impl RekeyReport {
    /// Returns true if no backup has an error.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.backups.iter().all(|backup| backup.error.is_none())
    }

    fn evidence(&self) -> evidence::Rekey {
        let backups = self.backups.iter().cloned().map(|backup| evidence::Rekeyed {
            id: backup.id,
            from: backup.from,
            new_id: backup.new_id,
            error: backup.error,
        });
        evidence::Rekey { recipients: self.recipients.clone(), backups: backups.collect() }
    }
}

/// A backup that is sealed for other recipients than the configured ones.
#[derive(Debug, Clone, Serialize)]
pub struct RekeyedBackup {
    /// The backup's id.
    pub id: String,
    /// The public keys that it was sealed for.
    pub from: Vec<String>,
    /// The id of the backup in its place.
    pub new_id: Option<String>,
    /// The reason why it was not sealed anew.
    pub error: Option<String>,
}

/// Finds the backups that are not sealed for exactly the configured recipients, and seals them anew
/// if ordered to.
///
/// Each is opened, sealed, read again and compared, and takes the old file's place. No clear text
/// touches a disk. One that fails does not stop the others: it is in the report with its error.
///
/// # Errors
/// A configuration without vault or recipient, an unknown backup, and a vault that cannot be read.
/// To execute also needs an identity that opens what is sealed anew, and a journal.
pub async fn rekey(ops: &Ops, order: RekeyOrder) -> anyhow::Result<RekeyReport> {
    let (settings, console) = (ops.settings(), ops.console());
    let passphrase = keys::passphrase(settings, &**console)?;
    let recipients = keys::recipients(settings, passphrase.as_ref())?;
    let identities = keys::identities(settings, passphrase, console)?;
    let (vault, mut entries) = chosen(settings, order.entry.as_deref())?;
    let present = Present::new(settings, &recipients, &**console)?;
    entries.retain(|entry| !present.is_sealed_for(&vault, entry));
    let damaged = Damaged::read(settings, &**console);
    let mut report = RekeyReport {
        executed: order.execute,
        recipients: names(&recipients).collect(),
        backups: entries.iter().map(|entry| RekeyedBackup::planned(entry, &damaged)).collect(),
    };
    if !entries.is_empty() {
        // Whoever cannot open what is sealed anew would seal everything for nothing.
        let provable = recipients.require_opened_by(&identities);
        if order.execute {
            provable?;
            execute(ops, vault, entries, (identities, recipients), &mut report).await?;
        } else if let Err(error) = provable {
            ops.warn(format_args!("--execute would be refused: {error}"));
            error.hint().iter().for_each(|hint| ops.hint(hint));
        }
    }
    for backup in &report.backups {
        if let Some(error) = &backup.error {
            ops.warn(format_args!("{} is not sealed anew: {error}", backup.id));
        }
    }
    Ok(report)
}

/// The ordered backup, or all of them.
fn chosen(settings: &Settings, entry: Option<&str>) -> anyhow::Result<(Vault, Vec<Entry>)> {
    if let Some(spec) = entry {
        let (vault, entry) = store::find_entry(settings, spec)?;
        return Ok((vault, vec![entry]));
    }
    let vault = store::open_vault(settings, None)?;
    let entries = vault.entries()?;
    Ok((vault, entries))
}

/// Seals the entries anew, which are those of the report, and records it.
async fn execute(
    ops: &Ops,
    vault: Vault,
    entries: Vec<Entry>,
    (identities, recipients): (Identities, Recipients),
    report: &mut RekeyReport,
) -> anyhow::Result<()> {
    let lock = vault.lock()?;
    let act = ops.act(vault.service())?;
    let mut backups = std::mem::take(&mut report.backups);
    let progress = ops.console().batch();
    progress.expect(entries.len());
    let vault = vault.watched_by(progress.clone());
    let clock = ops.clone();
    report.backups = blocking(move || {
        for (backup, entry) in backups.iter_mut().zip(&entries) {
            progress.next();
            if backup.error.is_some() {
                continue;
            }
            match vault.rekey(&lock, entry, &identities, &recipients, clock.now()) {
                Ok(new) => backup.new_id = Some(new.id().to_owned()),
                Err(error) => backup.error = Some(error.to_string()),
            }
        }
        progress.end();
        backups
    })
    .await;
    act.answer(report.is_done(), &report.evidence())
}

impl RekeyedBackup {
    fn planned(entry: &Entry, damaged: &Damaged) -> Self {
        let finding = damaged.finding(entry.path());
        Self {
            id: entry.id().to_owned(),
            from: sealed_for(entry).into_iter().collect(),
            new_id: None,
            // Sealed anew it would be another file, of which the journal knows no damage.
            error: finding.map(|finding| format!("it was found damaged {finding}")),
        }
    }
}

/// The recipients that every backup is to be sealed for.
struct Present {
    names: BTreeSet<String>,
    /// One passphrase looks like another; only trying tells.
    passphrase: Option<Identities>,
}

impl Present {
    fn new(
        settings: &Settings,
        recipients: &Recipients,
        console: &dyn Console,
    ) -> anyhow::Result<Self> {
        let mut passphrase = None;
        if keys::is_passphrase(recipients)
            && let Some(secret) = keys::passphrase(settings, console)?
        {
            let mut identities = Identities::new();
            identities.add_passphrase(secret);
            passphrase = Some(identities);
        }
        Ok(Self { names: names(recipients).collect(), passphrase })
    }

    /// A file without a sidecar does not say whom it was sealed for, and is left alone.
    fn is_sealed_for(&self, vault: &Vault, entry: &Entry) -> bool {
        let opens = |identities| vault.verify(entry, identities, Depth::Quick).is_ok();
        entry.state() == State::Foreign
            || sealed_for(entry) == self.names && self.passphrase.as_ref().is_none_or(opens)
    }
}

fn names(recipients: &Recipients) -> impl Iterator<Item = String> {
    recipients.fingerprints().map(|each| each.text.clone())
}

fn sealed_for(entry: &Entry) -> BTreeSet<String> {
    let sidecar = entry.sidecar().into_iter();
    let recipients = sidecar.flat_map(|sidecar| &sidecar.recipients);
    recipients.map(|each| each.recipient.clone()).collect()
}
