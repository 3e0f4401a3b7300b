//! `hubctl rekey`.

use clap::Args;

use crate::cli::options::SealedOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, RekeyOrder, RekeyReport};
use crate::printer::{answer, table};

/// Seal backups anew for the present recipients
///
/// For a new key, or one that is not to be trusted any more: every backup that is not sealed for
/// exactly the configured recipients is opened with a key at hand, sealed for them, read again and
/// compared, and takes the old file's place. No clear text touches a disk. Copies elsewhere are not
/// changed. Without --execute it is only said which those are.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl rekey                                  which backups would be sealed anew
  hubctl rekey --execute
  hubctl rekey 20261121T161200Z --execute --identity ~/old-key.txt")]
pub(crate) struct RekeyArgs {
    /// Only this one: id, path or `latest`
    #[arg(value_name = "ENTRY")]
    entry: Option<String>,
    /// Do it
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    sealed: SealedOptions,
}

pub(crate) async fn run(context: &Context, args: RekeyArgs) -> anyhow::Result<Exit> {
    let ops = context.ops(args.sealed.overrides())?;
    let order = RekeyOrder { entry: args.entry, execute: args.execute };
    let report = ops::rekey(&ops, order).await?;
    context.printer.report(&report, text)?;
    if !report.executed && !report.backups.is_empty() {
        context.printer.say("dry run: nothing changed; add --execute to seal them again");
    }
    Ok(answer(!report.executed || report.is_done()))
}

fn text(rekeyed: &RekeyReport) -> String {
    if rekeyed.backups.is_empty() {
        return "every backup is sealed for the present recipients".to_owned();
    }
    let rows = rekeyed.backups.iter().map(|backup| {
        let new = backup.new_id.clone().unwrap_or_default();
        vec![backup.id.clone(), backup.from.join(" "), new]
    });
    table(&["id", "was sealed for", "now"], rows)
}
