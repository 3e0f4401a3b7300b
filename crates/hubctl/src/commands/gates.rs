//! `hubctl gates`.

pub(crate) mod approvals;
pub(crate) mod asking;
mod bundle;
mod junit;
mod own;
mod resting;
mod scripts;
mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use gates::{Answer, Evidence, Gates, Held, Verdicts};
use jiff::Timestamp;

use crate::cli::options::JournalOptions;
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::settings::{Overrides, Settings};
use asking::{Asked, Asking};
use bundle::Bundle;
use show::Shown;

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
    let settings = context.settings(Overrides::default().journal(&args.journal))?;
    if let Some(GatesCommand::Evaluate { from, names }) = &args.command {
        return evaluate(context, &settings, from, names);
    }
    let names = chosen(&settings.gates, &args.names)?;
    let asking = Asking::new(context, &settings, &names)?;
    if args.watch {
        return watch(context, &asking, args.every).await;
    }
    let Asked { evidence, verdicts, judged_at, gates } =
        wait(&asking, args.wait, args.every).await?;
    if let Some(path) = &args.bundle {
        Bundle::new(&settings, &gates, &names, evidence.clone(), judged_at)?
            .write(path, &verdicts)?;
        context.printer.say(format_args!("what was read is in {}", path.display()));
    }
    if let Some(path) = &args.junit {
        junit::write(path, &names, &verdicts)?;
    }
    show(context, &settings.gates, &names, &verdicts, &evidence)
}

fn evaluate(
    context: &Context,
    settings: &Settings,
    from: &std::path::Path,
    names: &[String],
) -> anyhow::Result<Exit> {
    let bundle = Bundle::read(from, &settings.gates)?;
    let names = chosen(&bundle.gates, names)?;
    let evidence = &bundle.evidence;
    context.printer.say(format_args!(
        "as of {:.0}, {} ago",
        evidence.collected_at,
        human::duration(age(evidence.collected_at))
    ));
    let verdicts = match bundle.approvals {
        Some(copies) => {
            let at = copies.judged_at;
            context.printer.say("by the approvals and the allowed signers in the bundle");
            let approvals = copies.unpack()?;
            bundle.gates.evaluate_with(&names, evidence, at, &approvals)
        }
        // Evidence alone says nothing of people.
        None => bundle.gates.evaluate(&names, evidence, evidence.collected_at),
    };
    show(context, &bundle.gates, &names, &verdicts, evidence)
}

fn show(
    context: &Context,
    gates: &Gates,
    names: &[&str],
    verdicts: &Verdicts,
    evidence: &Evidence,
) -> anyhow::Result<Exit> {
    let shown = Shown::new(gates, names, verdicts, evidence.collected_at);
    context.printer.result("hubctl.gates.v1", &shown, || shown.text())?;
    for hint in shown.hints() {
        context.printer.hint(hint);
    }
    Ok(exit(names, verdicts))
}

/// Asks once, or until it is settled. Waiting is outside of what is judged.
async fn wait(
    asking: &Asking<'_>,
    limit: Option<Duration>,
    every: Duration,
) -> anyhow::Result<Asked> {
    let begun = std::time::Instant::now();
    let mut held = BTreeMap::<String, Held>::new();
    loop {
        let asked = asking.ask(&held).await?;
        let left = limit.and_then(|limit| limit.checked_sub(begun.elapsed()));
        match left {
            Some(left) if !is_settled(asking.names(), &asked.verdicts) => {
                held.clone_from(&asked.evidence.held);
                tokio::time::sleep(every.min(left)).await;
            }
            _ => return Ok(asked),
        }
    }
}

/// Whether waiting cannot change the answer any more.
fn is_settled(names: &[&str], verdicts: &Verdicts) -> bool {
    let mut asked = names.iter().filter_map(|name| verdicts.get(*name));
    let passes = asked.clone().all(|verdict| verdict.answer == Answer::Pass);
    passes || asked.any(|verdict| verdict.answer == Answer::Fail && verdict.terminal)
}

async fn watch(context: &Context, asking: &Asking<'_>, every: Duration) -> anyhow::Result<Exit> {
    let mut held = BTreeMap::<String, Held>::new();
    let mut before = Verdicts::new();
    let stop = context.hold.wait();
    let mut stop = std::pin::pin!(stop);
    loop {
        let Asked { evidence, verdicts, .. } = tokio::select! {
            asked = asking.ask(&held) => asked?,
            () = &mut stop => return Ok(exit(asking.names(), &before)),
        };
        for name in asking.names() {
            let verdict = &verdicts[*name];
            let is_new = before.get(*name).is_none_or(|old| old.answer != verdict.answer);
            if is_new {
                show::change(context, name, verdict)?;
            }
        }
        held = evidence.held;
        before = verdicts;
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = &mut stop => return Ok(exit(asking.names(), &before)),
        }
    }
}

/// The gates that are named; without names, those that are no part of another.
fn chosen<'a>(gates: &'a Gates, names: &'a [String]) -> anyhow::Result<Vec<&'a str>> {
    if gates.iter().next().is_none() {
        return Err(Refusal::usage("no gate is configured")
            .hint(
                "describe one in hubctl.toml: `[gates.NAME]`; docs/profiles has commented examples",
            )
            .into());
    }
    if names.is_empty() {
        let parts: Vec<&String> = gates.iter().flat_map(|(_, gate)| gate.parts()).collect();
        let is_part = |name: &str| parts.iter().any(|part| *part == name);
        let roots = gates.iter().map(|(name, _)| name).filter(|name| !is_part(name));
        return Ok(roots.collect());
    }
    if let Some(unknown) = names.iter().find(|name| gates.get(name).is_none()) {
        let known = gates.iter().map(|(name, _)| name);
        return Err(Refusal::usage(format!("no gate `{unknown}` is configured"))
            .hint(format!("the configured gates are {}", human::quoted(known)))
            .into());
    }
    Ok(names.iter().map(String::as_str).collect())
}

/// The worst of the gates that were asked for decides.
fn exit(names: &[&str], verdicts: &Verdicts) -> Exit {
    let answers: Vec<Answer> =
        names.iter().filter_map(|name| verdicts.get(*name)).map(|verdict| verdict.answer).collect();
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

/// How long ago that was; a moment ahead is none.
fn age(then: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gates::Verdict;

    fn verdicts(answers: &[Answer]) -> (Vec<String>, Verdicts) {
        let named = answers.iter().enumerate();
        let verdicts: Verdicts = named
            .map(|(index, answer)| (format!("g{index}"), Verdict::new(*answer, "because")))
            .collect();
        (verdicts.keys().cloned().collect(), verdicts)
    }

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
            let (names, verdicts) = verdicts(answers);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            assert_eq!(exit(&names, &verdicts), expected, "{answers:?}");
        }
    }

    #[test]
    fn waiting_ends_where_it_cannot_help() {
        let (names, mut verdicts) = verdicts(&[Answer::Fail, Answer::Waiting]);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(!is_settled(&names, &verdicts));
        verdicts.get_mut("g0").unwrap().terminal = true;
        assert!(is_settled(&names, &verdicts));
    }
}
