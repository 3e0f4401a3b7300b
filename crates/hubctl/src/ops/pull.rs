//! Fetch backups from a target into the vault.

use backup::{Entry, Vault};
use journal::evidence;
use serde::Serialize;

use super::{Batch, Ops, Report, blocking};
use crate::store::{self, LATEST};
use crate::targets::{self, Opened};

/// The target to fetch from, and the backups to fetch.
#[derive(Debug, Clone, Default)]
pub struct PullOrder {
    /// A target's name in the settings.
    pub target: String,
    /// The backups, each by its id or the beginning of one; `latest` if empty.
    pub backups: Vec<String>,
    /// Fetches every verified backup, whatever `backups` names.
    pub all: bool,
}

/// The backups that were fetched.
#[derive(Debug, Clone, Serialize)]
pub struct PullReport {
    /// The target's name in the settings.
    pub target: String,
    /// The directory of the vault.
    pub vault: String,
    /// The ids of the backups that were fetched now.
    pub fetched: Vec<String>,
    /// The size of those in bytes.
    pub bytes: u64,
    /// The number of ordered backups that were in the vault before.
    pub here: usize,
}

impl Report for PullReport {
    const SCHEMA: &'static str = "hubctl.pull.v1";
}

/// Fetches backups from a target into the vault.
///
/// Each is compared with its recorded hash before it gets its name. A backup that the vault has is
/// not fetched again.
///
/// # Errors
/// A configuration without a vault or the target, a backup that the target does not have or that
/// differs from its recorded hash, and a journal that cannot be written. The backups fetched before
/// the failure stay in the vault.
pub async fn pull(ops: &Ops, order: PullOrder) -> anyhow::Result<PullReport> {
    let settings = ops.settings();
    let vault = store::open_vault(settings, None)?;
    let opened = targets::open(settings, &order.target, &vault)?;
    let act = ops.act(&order.target)?;
    let progress = ops.console().batch();
    let vault = vault.watched_by(progress.clone());
    let report = blocking(move || {
        let report = fetch(order, &opened, &vault, &*progress);
        progress.end();
        report
    })
    .await;
    act.end(report, |report| evidence::Pull {
        target: report.target.clone(),
        fetched: report.fetched.clone(),
        bytes: report.bytes,
    })
}

fn fetch(
    order: PullOrder,
    opened: &Opened,
    vault: &Vault,
    progress: &dyn Batch,
) -> anyhow::Result<PullReport> {
    let lock = vault.lock()?;
    let here = vault.entries()?;
    let entries = wanted(&order, opened, vault)?;
    let mut report = PullReport {
        target: order.target,
        vault: vault.directory().display().to_string(),
        fetched: Vec::new(),
        bytes: 0,
        here: 0,
    };
    progress.expect(entries.len());
    for entry in &entries {
        progress.next();
        let fetched = opened.fetch(entry, vault, &lock)?;
        if here.iter().any(|here| here.id() == fetched.id()) {
            report.here += 1;
        } else {
            report.fetched.push(fetched.id().to_owned());
            report.bytes += fetched.sealed_bytes();
        }
    }
    vault.advance_latest()?;
    Ok(report)
}

/// The ordered backups at the target.
fn wanted(order: &PullOrder, opened: &Opened, vault: &Vault) -> Result<Vec<Entry>, backup::Error> {
    if order.all {
        let mut entries = opened.entries(&order.target, vault)?;
        entries.retain(Entry::is_verified);
        return Ok(entries);
    }
    if order.backups.is_empty() {
        return Ok(vec![opened.find(LATEST)?]);
    }
    order.backups.iter().map(|spec| opened.find(spec)).collect()
}
