//! `hubctl gates`.

mod junit;
mod verdicts;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use gates::Answer;

use crate::cli::options::JournalOptions;
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, EvaluateOrder, GatesOrder, GatesReport, Ops};
use crate::settings::Overrides;

/// Ask whether gates are open, with evidence
///
/// hubctl reads all facts once, then judges the gates. Unreadable facts make a gate "unknown",
/// which is neither yes nor no. A gate that needs an approval opens only with one that fits what
/// was read.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Exit codes, by the worst of the gates that are asked for:
  0  all pass
  1  one fails
  3  one is unknown, or still waiting at the end
  4  one needs an approval that is missing, expired or void

Examples:
  hubctl gates                        all gates of hubctl.toml
  hubctl gates T05 --wait 10m         until it passes, or waiting cannot help
  hubctl gates --watch                each change, until Ctrl-C
  hubctl gates T05 --bundle T05.tar.gz
  hubctl gates evaluate --from T05.tar.gz"
)]
pub(crate) struct GatesArgs {
    #[command(subcommand)]
    command: Option<GatesCommand>,
    /// Gates of the configuration [default: all that are no part of another]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Keep asking until the gates pass, waiting cannot help, or this time has passed
    #[arg(long, value_name = "TIME", value_parser = values::duration, conflicts_with = "watch")]
    wait: Option<Duration>,
    /// Ask again and again, and print each change
    #[arg(short, long)]
    watch: bool,
    /// How often to ask with --wait and --watch
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    every: Duration,
    /// Keep what was read in this file, without secrets
    #[arg(long, value_name = "FILE.tar.gz")]
    bundle: Option<PathBuf>,
    /// Write the verdicts to this file as JUnit does, for CI
    #[arg(long, value_name = "FILE.xml")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Debug, Subcommand)]
enum GatesCommand {
    /// Judge what was read before, without asking anybody
    ///
    /// The gates, the approvals and the allowed signers are those of the bundle, and are judged as
    /// of when it was made. Evidence alone holds no approvals.
    Evaluate {
        /// A bundle, or the evidence.json in it, which is judged by the gates of the configuration
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Gates [default: all that are no part of another]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

pub(crate) async fn run(context: &Context, args: GatesArgs) -> anyhow::Result<Exit> {
    let ops = context.ops(Overrides::default().journal(&args.journal))?;
    if let Some(GatesCommand::Evaluate { from, names }) = args.command {
        return show(context, &ops::evaluate_gates(&ops, &EvaluateOrder { from, names })?);
    }
    if args.watch {
        return watch(context, &ops, args.order()).await;
    }
    let junit = args.junit.clone();
    let report = ops::gates(&ops, args.order()).await?;
    if let Some(path) = &junit {
        junit::write(path, &report)?;
    }
    show(context, &report)
}

impl GatesArgs {
    fn order(self) -> GatesOrder {
        GatesOrder { names: self.names, wait: self.wait, every: self.every, bundle: self.bundle }
    }
}

fn show(context: &Context, report: &GatesReport) -> anyhow::Result<Exit> {
    context.printer.report(report, verdicts::table)?;
    for hint in verdicts::hints(report) {
        context.printer.hint(hint);
    }
    let asked = report.gates.iter().filter(|gate| gate.asked);
    Ok(exit(asked.map(|gate| gate.verdict.answer)))
}

/// Prints each change until Ctrl-C; the last answers decide.
async fn watch(context: &Context, ops: &Ops, order: GatesOrder) -> anyhow::Result<Exit> {
    let mut answers = BTreeMap::new();
    let watching = ops::watch_gates(ops, order, |change| {
        answers.insert(change.name.clone(), change.verdict.answer);
        context.printer.line(change, verdicts::change)
    });
    tokio::select! {
        ended = watching => match ended? {},
        () = context.hold.wait() => {}
    }
    Ok(exit(answers.into_values()))
}

/// The worst of the gates that were asked for decides.
fn exit(answers: impl IntoIterator<Item = Answer>) -> Exit {
    let answers: Vec<Answer> = answers.into_iter().collect();
    let has = |wanted: &[Answer]| answers.iter().any(|answer| wanted.contains(answer));
    if has(&[Answer::Fail]) {
        Exit::No
    } else if answers.is_empty() || has(&[Answer::Unknown, Answer::Waiting]) {
        Exit::CouldNotAsk
    } else if has(&[Answer::NeedsApproval]) {
        Exit::NeedsApproval
    } else {
        Exit::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_gate_decides() {
        use Answer::{Fail, NeedsApproval, Pass, Unknown, Waiting};
        for (answers, expected) in [
            (&[Pass, Pass][..], Exit::Yes),
            (&[Pass, NeedsApproval], Exit::NeedsApproval),
            (&[NeedsApproval, Waiting], Exit::CouldNotAsk),
            (&[Unknown, NeedsApproval, Pass], Exit::CouldNotAsk),
            (&[Unknown, Fail, NeedsApproval], Exit::No),
            (&[], Exit::CouldNotAsk),
        ] {
            assert_eq!(exit(answers.iter().copied()), expected, "{answers:?}");
        }
    }
}
