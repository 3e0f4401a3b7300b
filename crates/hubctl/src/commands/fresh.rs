//! `hubctl fresh`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::options::{JournalOptions, VaultOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, FreshOrder, FreshPart};
use crate::printer::table;
use crate::settings::Overrides;

/// Answer whether the backups are fresh, for monitors
///
/// Ages count from the time of the data, not of the file. It asks the vault itself, so that a
/// schedule that died long ago shows. A backup that is damaged or dated after now is none. Exit
/// code 1 where a part is stale or never was, 3 where nothing is known to be stale and the vault or
/// a target cannot be asked. Targets have 30 seconds to answer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl fresh                 by [freshness] of hubctl.toml: a backup of 26 hours, a drill of 8 days
  hubctl fresh --max-age 2h
  hubctl fresh --quiet || alert
  hubctl fresh --metrics /var/lib/node_exporter/hubctl.prom")]
pub(crate) struct FreshArgs {
    /// How old the newest backup may be, verified, such as 26h
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    max_age: Option<Duration>,
    /// Also write the answer for the Prometheus textfile collector [default: metrics of
    /// [freshness]]
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) fn run(context: &Context, args: FreshArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).journal(&args.journal);
    let ops = context.ops(overrides)?;
    let order = FreshOrder { max_age: args.max_age, metrics: args.metrics };
    let report = ops::fresh(&ops, order)?;
    context.printer.report(&report, |report| text(&report.parts))?;
    Ok(report.exit())
}

fn text(parts: &[FreshPart]) -> String {
    let rows = parts.iter().map(|part| {
        let age = part.age_seconds.map(Duration::from_secs);
        vec![
            part.part.clone(),
            verdict(part).to_owned(),
            match (age, &part.error) {
                (Some(age), _) => human::duration(age),
                (None, None) => "never".to_owned(),
                (None, Some(_)) => "?".to_owned(),
            },
            human::duration(Duration::from_secs(part.max_age_seconds)),
            part.id.clone().unwrap_or_default(),
        ]
    });
    table(&["part", "verdict", ">age", ">may be", "backup"], rows)
}

fn verdict(part: &FreshPart) -> &'static str {
    match (part.fresh, &part.error) {
        (true, _) => "fresh",
        (false, None) => "STALE",
        (false, Some(_)) => "UNKNOWN",
    }
}
