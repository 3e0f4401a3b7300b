//! `hubctl prune`.

use clap::Args;

use crate::cli::options::{JournalOptions, VaultOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, PruneOrder, PruneReport};
use crate::printer::table;
use crate::settings::Overrides;

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

pub(crate) fn run(context: &Context, args: PruneArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).journal(&args.journal);
    let ops = context.ops(overrides)?;
    let order = PruneOrder { target: args.target, execute: args.execute };
    let report = ops::prune(&ops, order)?;
    context.printer.report(&report, text)?;
    if !report.executed && report.removed > 0 {
        context.printer.say("nothing was removed; --execute removes them");
    }
    Ok(Exit::Yes)
}

fn text(pruned: &PruneReport) -> String {
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
