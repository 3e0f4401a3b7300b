//! `hubctl pull`.

use clap::Args;

use crate::cli::options::{JournalOptions, VaultOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, PullOrder, PullReport};
use crate::settings::Overrides;

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

pub(crate) async fn run(context: &Context, args: PullArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).journal(&args.journal);
    let ops = context.ops(overrides)?;
    let order = PullOrder { target: args.target, backups: args.backups, all: args.all };
    let report = ops::pull(&ops, order).await?;
    context.printer.report(&report, text)?;
    Ok(Exit::Yes)
}

fn text(report: &PullReport) -> String {
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
