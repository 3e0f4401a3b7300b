//! `hubctl push`.

use clap::Args;

use crate::cli::options::{JournalOptions, VaultOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, PushOrder, PushReport};
use crate::printer::table;
use crate::settings::Overrides;

/// Copy verified backups to the places of [targets]
///
/// Every verified backup that is not there yet, the newest first, so that it makes up for days off
/// line. A copy on a disk is read again and compared before it gets its name. One at a server is
/// sent under another name and moved when it is all there; then its header and its end are read
/// back and compared, and the vault remembers what was sent and what was proven. What a server has
/// under a name of ours is never overwritten.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl push                                  to all targets
  hubctl push cloud
  hubctl push cloud --prove                    and read every copy there back, whole
  hubctl backups --target cloud                what is there")]
pub(crate) struct PushArgs {
    /// Targets of the configuration [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Read all copies back, every byte, also those that were there
    #[arg(long)]
    prove: bool,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: PushArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).journal(&args.journal);
    let ops = context.ops(overrides)?;
    let order = PushOrder { targets: args.targets, prove: args.prove };
    let report = ops::push(&ops, order).await?;
    context.printer.report(&report, text)?;
    Ok(report.exit())
}

fn text(report: &PushReport) -> String {
    let rows = report.targets.iter().map(|pushed| {
        vec![
            pushed.name.clone(),
            pushed.place.clone(),
            pushed.copied.len().to_string(),
            human::bytes(pushed.bytes),
            pushed.there.to_string(),
            pushed.proven.to_string(),
            if pushed.error.is_some() { "FAILED" } else { "done" }.to_owned(),
        ]
    });
    table(&["target", "place", ">copied", ">size", ">there before", ">read back", "result"], rows)
}
