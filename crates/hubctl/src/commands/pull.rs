//! `hubctl pull`.

use backup::{Entry, Vault};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::act::Act;
use crate::cli::options::{JournalOptions, VaultOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::Batch;
use crate::ops::blocking;
use crate::settings::Overrides;
use crate::store::{self, LATEST};
use crate::targets::{self, Opened};

/// Fetch backups from a target into the vault
///
/// A backup is compared with its recorded hash before it gets its name, and what is there already
/// is not fetched again. To restore, verify or compare a backup it need not be fetched: name it as
/// TARGET:BACKUP.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl pull cloud                    the newest verified one
  hubctl pull cloud 20261121T161200Z
  hubctl pull cloud --all
  hubctl restore cloud:latest --to workstation")]
pub(crate) struct PullArgs {
    /// A target of the configuration
    target: String,
    /// The backups, by id or the beginning of one [default: latest]
    #[arg(value_name = "BACKUP", conflicts_with = "all")]
    backups: Vec<String>,
    /// Fetch every verified backup
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Debug, Serialize)]
struct Report {
    target: String,
    vault: String,
    /// The ids of what was fetched now.
    fetched: Vec<String>,
    bytes: u64,
    /// How many were here before.
    here: usize,
}

pub(crate) async fn run(context: &Context, args: PullArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault);
    let settings = context.settings(overrides.journal(&args.journal))?;
    let vault = store::open_vault(&settings, None)?;
    let opened = targets::open(&settings, &args.target, &vault)?;
    let act = Act::begin(&settings, context.console(), "pull", &args.target)?;
    let progress = context.copies();
    let vault = vault.watched_by(progress.clone());
    let report = blocking(move || {
        let report = pull(&args, &opened, &vault, &*progress);
        progress.end();
        report
    })
    .await;
    let report = act.end(report, |report| {
        json!({ "target": report.target, "fetched": report.fetched, "bytes": report.bytes })
    })?;
    context.printer.result("hubctl.pull.v1", &report, || text(&report))?;
    Ok(Exit::Yes)
}

fn pull(
    args: &PullArgs,
    opened: &Opened,
    vault: &Vault,
    progress: &dyn Batch,
) -> anyhow::Result<Report> {
    let lock = vault.lock()?;
    let mut report = Report {
        target: args.target.clone(),
        vault: vault.directory().display().to_string(),
        fetched: Vec::new(),
        bytes: 0,
        here: 0,
    };
    let here = vault.entries()?;
    let entries: Vec<Entry> = if args.all {
        let mut entries = opened.entries(&args.target, vault)?;
        entries.retain(Entry::is_verified);
        entries
    } else if args.backups.is_empty() {
        vec![opened.find(LATEST)?]
    } else {
        let found = args.backups.iter().map(|spec| opened.find(spec));
        found.collect::<Result<_, _>>()?
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

fn text(report: &Report) -> String {
    let fetched = human::plural(report.fetched.len() as u64, "backup");
    let mut text = format!(
        "{fetched} fetched from {} into {}, {}",
        report.target,
        report.vault,
        human::bytes(report.bytes)
    );
    for id in &report.fetched {
        text.push_str("\n  ");
        text.push_str(id);
    }
    if report.here > 0 {
        text.push_str(&format!("\n{} were here before", report.here));
    }
    text
}
