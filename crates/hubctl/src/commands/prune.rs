//! `hubctl prune`.

use backup::{Circumstances, Decision, Entry, Plan, Remote, Retention, Timestamp, Vault};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::act::Act;
use crate::cli::options::{JournalOptions, VaultOptions};
use crate::context::Context;
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::printer::table;
use crate::settings::{Overrides, Settings};
use crate::store;
use crate::targets::{self, Opened};

/// Remove the backups that [retention] does not keep
///
/// Without --execute the plan is printed and nothing is removed: each backup with the reasons for
/// which it is kept. Only verified backups count; one that was never verified, is damaged, or is
/// dated after now takes no other's place, and is not removed either. The newest verified and the
/// newest drilled are never removed. Days and hours are those of this machine's time zone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl prune               what would go, and why the others stay
  hubctl prune --execute
  hubctl prune --target cloud
  hubctl prune --format json")]
pub(crate) struct PruneArgs {
    /// Remove them
    #[arg(long)]
    execute: bool,
    /// Prune what is at this target of the configuration instead
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Debug, Serialize)]
struct Pruned {
    vault: String,
    service: String,
    executed: bool,
    removed: usize,
    removed_bytes: u64,
    decisions: Vec<Decided>,
}

#[derive(Debug, Serialize)]
struct Decided {
    id: String,
    path: String,
    state: &'static str,
    taken_at: Option<String>,
    sealed_bytes: u64,
    removed: bool,
    reasons: Vec<String>,
}

impl Decided {
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

pub(crate) fn run(context: &Context, args: PruneArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault);
    let settings = context.settings(overrides.journal(&args.journal))?;
    let Some(retention) = &settings.retention else {
        return Err(Refusal::usage("no retention is configured")
            .hint("set [retention], such as daily = 7 and weekly = 5")
            .into());
    };
    let vault = store::open_vault(&settings, None)?;
    let place = Place::open(&settings, args.target.as_deref(), vault.clone())?;
    let plan = if args.execute {
        let act = Act::begin(&settings, context.console(), "prune", vault.service())?;
        let pruned = place.execute(&settings, &retention.value);
        act.end(pruned, |plan| {
            let removed = ids(plan);
            json!({ "place": place.shown(), "removed": removed, "kept": plan.decisions.len() - removed.len() })
        })?
    } else {
        let damaged = Damaged::read(&settings, &context.printer);
        place.plan(&retention.value, &damaged)?
    };
    let pruned = Pruned {
        vault: place.shown(),
        service: vault.service().to_owned(),
        executed: args.execute,
        removed: plan.removals().count(),
        removed_bytes: plan.removals().map(Entry::sealed_bytes).sum(),
        decisions: plan.decisions.iter().map(Decided::of).collect(),
    };
    context.printer.result("hubctl.prune.v1", &pruned, || text(&pruned))?;
    if !args.execute && pruned.removed > 0 {
        context.printer.say("nothing was removed; --execute removes them");
    }
    Ok(Exit::Yes)
}

/// What is pruned.
enum Place {
    Vault(Vault),
    /// At a server; the lock of the vault here keeps a push away.
    Remote(Remote, Vault),
}

impl Place {
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
    fn execute(&self, settings: &Settings, retention: &Retention) -> anyhow::Result<Plan> {
        let (Self::Vault(vault) | Self::Remote(_, vault)) = self;
        let lock = vault.lock()?;
        let plan = self.plan(retention, &Damaged::require(settings)?)?;
        match self {
            Self::Vault(vault) => vault.prune(&lock, &plan, Timestamp::now())?,
            Self::Remote(there, _) => there.prune(&plan)?,
        }
        Ok(plan)
    }

    fn plan(&self, retention: &Retention, damaged: &Damaged) -> anyhow::Result<Plan> {
        let mut circumstances = Circumstances::now();
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

fn ids(plan: &Plan) -> Vec<&str> {
    plan.removals().map(Entry::id).collect()
}

fn text(pruned: &Pruned) -> String {
    let word = if pruned.executed { "removed" } else { "goes" };
    let rows = pruned.decisions.iter().map(|decided| {
        let what = if decided.removed {
            word.to_owned()
        } else {
            format!("stays: {}", decided.reasons.join(", "))
        };
        let size = human::bytes(decided.sealed_bytes);
        vec![decided.id.clone(), size, decided.state.to_owned(), what]
    });
    let rows: Vec<_> = rows.collect();
    let summary = format!(
        "{} of {}, {}",
        pruned.removed,
        human::plural(rows.len() as u64, "backup"),
        human::bytes(pruned.removed_bytes)
    );
    let table = table(&["id", ">size", "state", "what becomes of it"], rows);
    let verb = if pruned.executed { "removed" } else { "to remove" };
    format!("{table}\n{verb}: {summary}")
}
