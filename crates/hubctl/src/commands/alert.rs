//! `hubctl alert`.

use clap::Args;
use serde::Serialize;

use crate::alerts::{self, Message, Told};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
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

#[derive(Debug, Serialize)]
struct Alerted {
    what: String,
    told: Vec<Told>,
}

pub(crate) async fn run(context: &Context, args: AlertArgs) -> anyhow::Result<Exit> {
    let settings = context.settings(Overrides::default())?;
    if !settings.alerts.tells_anybody() {
        return Err(Refusal::usage("[alerts] names nobody to tell")
            .hint("set command, webhook or mail in [alerts]")
            .into());
    }
    let message = Message::new(&settings, &args.what);
    let told = alerts::tell(&settings, &message).await;
    for told in &told {
        if let Some(error) = &told.error {
            context.printer.warn(format_args!("not told by {}: {error}", told.by));
        }
    }
    let everybody = told.iter().all(|told| told.error.is_none());
    let alerted = Alerted { what: args.what, told };
    context.printer.result("hubctl.alerted.v1", &alerted, || {
        let heard = alerted.told.iter().filter(|told| told.error.is_none());
        let ways: Vec<&str> = heard.map(|told| told.by).collect();
        format!("told by {}", if ways.is_empty() { "nothing".to_owned() } else { ways.join(", ") })
    })?;
    Ok(if everybody { Exit::Yes } else { Exit::CouldNotAsk })
}
