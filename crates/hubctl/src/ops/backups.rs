//! List the backups of the vault or of a target.

use backup::{Entry, SentCopy, Sidecar};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{Ops, Report};
use crate::damage::Damaged;
use crate::human::age;
use crate::store;
use crate::targets;

/// The place whose backups are listed.
#[derive(Debug, Clone, Default)]
pub struct BackupsOrder {
    /// A target's name in the settings; the vault if `None`.
    pub target: Option<String>,
}

/// The backups of the vault or of a target.
#[derive(Debug, Clone, Serialize)]
pub struct BackupsReport {
    /// The directory of the vault, or the place of the target.
    pub vault: String,
    /// The service's name.
    pub service: String,
    /// The backups, newest first.
    pub backups: Vec<ListedBackup>,
}

impl Report for BackupsReport {
    const SCHEMA: &'static str = "hubctl.backups.v1";
}

/// A backup in the list.
#[derive(Debug, Clone, Serialize)]
pub struct ListedBackup {
    /// The backup's id.
    pub id: String,
    /// The sealed file.
    pub path: String,
    /// `foreign`, `sealed`, `verified`, `drilled` or `damaged`.
    pub state: &'static str,
    /// The time of its data, in RFC 3339.
    pub taken_at: Option<String>,
    /// The age of its data; `None` if the data is of the future.
    pub age_seconds: Option<u64>,
    /// The size of the sealed file in bytes.
    pub sealed_bytes: u64,
    /// The number of rows.
    pub rows: Option<u64>,
    /// The number of tables.
    pub tables: Option<u64>,
    /// The database's name.
    pub database: Option<String>,
    /// The time of its verification, in RFC 3339.
    pub verified_at: Option<String>,
    /// The time of its newest drill, in RFC 3339.
    pub drilled_at: Option<String>,
    /// The public keys that open it.
    pub recipients: Vec<String>,
    /// The targets that hold a copy of it, as far as the vault knows.
    pub copies: Vec<ListedCopy>,
    /// The reason why it does not count: damage, an invalid sidecar, or suspicious contents.
    pub problem: Option<String>,
}

/// A copy of a backup at a target.
#[derive(Debug, Clone, Serialize)]
pub struct ListedCopy {
    /// The target's name in the settings.
    pub target: String,
    /// The time at which it was sent, in RFC 3339.
    pub sent_at: String,
    /// The time at which it was read back, in RFC 3339.
    pub proven_at: Option<String>,
}

/// Lists the backups of the vault or of a target, and warns of leftovers and of backups that do not
/// count.
///
/// # Errors
/// A configuration without a vault or the target, and a vault or target that cannot be read.
pub fn backups(ops: &Ops, order: BackupsOrder) -> anyhow::Result<BackupsReport> {
    let settings = ops.settings();
    let vault = store::open_vault(settings, None)?;
    let damaged = Damaged::read(settings, &**ops.console());
    let now = ops.now();
    let (place, entries) = match &order.target {
        Some(name) => {
            let target = targets::find(settings, name)?;
            let opened = targets::open(settings, name, &vault)?;
            (target.place(), opened.entries(name, &vault)?)
        }
        None => (vault.directory().display().to_string(), vault.entries()?),
    };
    let listed = BackupsReport {
        vault: place,
        service: vault.service().to_owned(),
        backups: entries.iter().map(|entry| ListedBackup::of(entry, &damaged, now)).collect(),
    };
    for leftover in vault.leftovers()? {
        let path = leftover.path.display();
        ops.warn(format_args!("leftover of an interrupted run: {path}"));
    }
    for problem in listed.backups.iter().filter_map(|backup| backup.problem.as_ref()) {
        ops.warn(problem);
    }
    if listed.backups.is_empty() {
        ops.say(format_args!("there is no backup of `{}` in {}", listed.service, listed.vault));
    }
    Ok(listed)
}

impl ListedCopy {
    /// The copies of this very file: one of an earlier file of the same name counts for nothing.
    fn of(sidecar: &Sidecar) -> Vec<Self> {
        let same = |(_, copy): &(_, &SentCopy)| copy.sha256 == sidecar.sha256;
        let copies = sidecar.copies.iter().filter(same);
        let copies = copies.map(|(target, copy)| Self {
            target: target.clone(),
            sent_at: copy.sent_at.to_string(),
            proven_at: copy.proven_at.map(|at| at.to_string()),
        });
        copies.collect()
    }
}

impl ListedBackup {
    fn of(entry: &Entry, damaged: &Damaged, now: Timestamp) -> Self {
        let finding = damaged.finding(entry.path());
        let sidecar = entry.sidecar();
        let fact = |name: &str| sidecar.and_then(|sidecar| sidecar.payload.get(name));
        let time = |time: Timestamp| time.to_string();
        let recipients = sidecar.into_iter().flat_map(|sidecar| &sidecar.recipients);
        Self {
            id: entry.id().to_owned(),
            path: entry.path().display().to_string(),
            state: finding.map_or(entry.state().as_str(), |_| "damaged"),
            taken_at: entry.taken_at().map(time),
            age_seconds: entry
                .taken_at()
                .and_then(|taken| age(taken, now))
                .map(|age| age.as_secs()),
            sealed_bytes: entry.sealed_bytes(),
            rows: fact("rows").and_then(Value::as_u64),
            tables: fact("tables").and_then(Value::as_u64),
            database: fact("database").and_then(Value::as_str).map(str::to_owned),
            verified_at: sidecar.and_then(|sidecar| sidecar.verified_at).map(time),
            drilled_at: sidecar.and_then(|sidecar| sidecar.drilled_at).map(time),
            recipients: recipients.map(|each| each.recipient.clone()).collect(),
            copies: sidecar.map(ListedCopy::of).unwrap_or_default(),
            problem: finding
                .map(|finding| format!("{} was found damaged {finding}", entry.id()))
                .or_else(|| entry.sidecar_error().map(ToString::to_string))
                .or_else(|| suspicion(entry)),
        }
    }
}

/// Returns what a backup found suspicious, unless the entry was verified since.
fn suspicion(entry: &Entry) -> Option<String> {
    let sidecar = entry.sidecar().filter(|_| !entry.is_verified())?;
    let anomalies = sidecar.payload.get("suspicious")?.as_array()?;
    let anomalies: Vec<&str> = anomalies.iter().filter_map(Value::as_str).collect();
    Some(format!("{} is suspicious: {}", entry.id(), anomalies.join("; ")))
}
