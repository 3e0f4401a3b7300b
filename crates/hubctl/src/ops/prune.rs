//! Remove the backups that the retention does not keep.

use backup::{Circumstances, Decision, Entry, Plan, Remote, Retention, TimeZone, Timestamp, Vault};
use journal::evidence;
use serde::Serialize;

use super::{Ops, Report};
use crate::damage::Damaged;
use crate::failure::Refusal;
use crate::settings::Settings;
use crate::store;
use crate::targets::{self, Opened};

/// The place to prune, and whether to remove anything.
#[derive(Debug, Clone, Default)]
pub struct PruneOrder {
    /// A target's name in the settings; the vault if `None`.
    pub target: Option<String>,
    /// Removes backups; without it the report is a plan.
    pub execute: bool,
}

/// A decision on every backup, planned or executed.
#[derive(Debug, Clone, Serialize)]
pub struct PruneReport {
    /// The directory of the vault, or the place of the target.
    pub vault: String,
    /// The service's name.
    pub service: String,
    /// True if the backups were removed, false if this is a plan.
    pub executed: bool,
    /// The number of backups to remove.
    pub removed: usize,
    /// The size of those in bytes.
    pub removed_bytes: u64,
    /// The decisions, one for each backup.
    pub decisions: Vec<PrunedBackup>,
}

impl Report for PruneReport {
    const SCHEMA: &'static str = "hubctl.prune.v1";
}

/// A backup, and the decision whether it is kept.
#[derive(Debug, Clone, Serialize)]
pub struct PrunedBackup {
    /// The backup's id.
    pub id: String,
    /// The sealed file.
    pub path: String,
    /// `foreign`, `sealed`, `verified` or `drilled`.
    pub state: &'static str,
    /// The time of its data, in RFC 3339.
    pub taken_at: Option<String>,
    /// The size of the sealed file in bytes.
    pub sealed_bytes: u64,
    /// True if the retention does not keep it.
    pub removed: bool,
    /// The reasons for which it is kept.
    pub reasons: Vec<String>,
}

impl PrunedBackup {
    fn of(decision: &Decision) -> Self {
        let entry = &decision.entry;
        Self {
            id: entry.id().to_owned(),
            path: entry.path().display().to_string(),
            state: entry.state().as_str(),
            taken_at: entry.taken_at().map(|at| at.to_string()),
            sealed_bytes: entry.sealed_bytes(),
            removed: decision.is_removal(),
            reasons: decision.reasons.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Plans which backups the retention keeps, and removes the others if ordered to.
///
/// Only verified backups count. The newest verified and the newest drilled backup are never
/// removed, nor is one that was never verified, is damaged, or is dated after now.
///
/// # Errors
/// A configuration without retention, vault or the target, a target that shows nothing, and a vault
/// or target that cannot be read. To execute also needs a journal that can be read and written:
/// without it, earlier findings of damage are unknown.
pub fn prune(ops: &Ops, order: PruneOrder) -> anyhow::Result<PruneReport> {
    let settings = ops.settings();
    let Some(retention) = &settings.retention else {
        return Err(Refusal::usage("no retention is configured")
            .hint("set [retention], such as daily = 7 and weekly = 5")
            .into());
    };
    let vault = store::open_vault(settings, None)?;
    let place = PruneTarget::open(settings, order.target.as_deref(), vault.clone())?;
    let plan = if order.execute {
        let act = ops.act(vault.service())?;
        act.end(place.execute(ops, &retention.value), |plan| evidence_of(&place, plan))?
    } else {
        let damaged = Damaged::read(settings, &**ops.console());
        place.plan(&retention.value, &damaged, ops.now())?
    };
    Ok(PruneReport {
        vault: place.shown(),
        service: vault.service().to_owned(),
        executed: order.execute,
        removed: plan.removals().count(),
        removed_bytes: plan.removals().map(Entry::sealed_bytes).sum(),
        decisions: plan.decisions.iter().map(PrunedBackup::of).collect(),
    })
}

fn evidence_of(place: &PruneTarget, plan: &Plan) -> evidence::Prune {
    let removed: Vec<String> = plan.removals().map(|entry| entry.id().to_owned()).collect();
    let kept = (plan.decisions.len() - removed.len()) as u64;
    evidence::Prune { place: place.shown(), removed, kept }
}

/// The vault or server whose backups are pruned.
enum PruneTarget {
    Vault(Vault),
    /// At a server; the lock of the vault here keeps a push away.
    Remote(Remote, Vault),
}

impl PruneTarget {
    fn open(settings: &Settings, target: Option<&str>, vault: Vault) -> anyhow::Result<Self> {
        let Some(name) = target else {
            return Ok(Self::Vault(vault));
        };
        match targets::open(settings, name, &vault)? {
            Opened::Folder(there) => Ok(Self::Vault(there)),
            Opened::Remote(there) if there.target().is_readable() => Ok(Self::Remote(there, vault)),
            Opened::Remote(_) => {
                let fact = format!("{name} shows nothing, so nothing can be removed there");
                let hint = "prune it with the account that owns the folder";
                Err(Refusal::usage(fact).hint(hint).into())
            }
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Vault(vault) => vault.directory().display().to_string(),
            Self::Remote(there, _) => there.target().place(),
        }
    }

    /// Under the lock nobody verifies, seals or pushes in between, and what is known to be damaged
    /// is known for certain.
    fn execute(&self, ops: &Ops, retention: &Retention) -> anyhow::Result<Plan> {
        let (Self::Vault(vault) | Self::Remote(_, vault)) = self;
        let lock = vault.lock()?;
        let plan = self.plan(retention, &Damaged::require(ops.settings())?, ops.now())?;
        match self {
            Self::Vault(vault) => vault.prune(&lock, &plan, ops.now())?,
            Self::Remote(there, _) => there.prune(&plan)?,
        }
        Ok(plan)
    }

    fn plan(
        &self,
        retention: &Retention,
        damaged: &Damaged,
        now: Timestamp,
    ) -> anyhow::Result<Plan> {
        let mut circumstances = Circumstances::at(now, TimeZone::system());
        let entries = match self {
            Self::Vault(vault) => vault.entries()?,
            Self::Remote(there, _) => there.entries()?,
        };
        let is_damaged = |entry: &&Entry| damaged.finding(entry.path()).is_some();
        let found = entries.iter().filter(is_damaged);
        circumstances.damaged = found.map(|entry| entry.id().to_owned()).collect();
        Ok(Plan::new(retention, entries, &circumstances)?)
    }
}
