//! `hubctl alert`.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, AlertOrder, AlertReport};
use crate::settings::Overrides;

/// Send a failure alert to everyone in [alerts]
///
/// The schedule runs it when a run fails. Run it by hand to see that an alert arrives. Exit code 3
/// where one of them could not be told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl alert            does it arrive?
  hubctl backup || hubctl alert backup")]
pub(crate) struct AlertArgs {
    /// Description of the failure
    #[arg(value_name = "WHAT", default_value = "nothing (a test)")]
    what: String,
}

pub(crate) async fn run(context: &Context, args: AlertArgs) -> anyhow::Result<Exit> {
    let ops = context.ops(Overrides::default())?;
    let report = ops::alert(&ops, AlertOrder { what: args.what }).await?;
    context.printer.report(&report, text)?;
    let everybody = report.told.iter().all(|told| told.error.is_none());
    Ok(if everybody { Exit::Yes } else { Exit::CouldNotAsk })
}

fn text(report: &AlertReport) -> String {
    let heard = report.told.iter().filter(|told| told.error.is_none());
    let ways: Vec<&str> = heard.map(|told| told.by).collect();
    format!("told by {}", if ways.is_empty() { "nothing".to_owned() } else { ways.join(", ") })
}
