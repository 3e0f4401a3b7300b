//! `hubctl keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::options::SealedOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, EscrowAnswerOrder, EscrowChallengeOrder, KeysReport, Ops};
use crate::printer::{answer, table};

/// Prove that the keys open the backups: those at hand, and the one kept elsewhere
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl keys check                           which keys are here, and which backups they open
  hubctl keys escrow-test --make test.age     a challenge that only the escrow key opens
  hubctl keys escrow-test --code ABCD-EFGH-…  what was read in it, on the machine that has the key")]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Show which recipients' keys are here, and open every backup with them
    ///
    /// Opens the header and the end of each backup. The answer is no where one cannot be opened. It
    /// warns where no recipient's key is kept elsewhere: then the loss of this machine is the loss
    /// of every backup.
    Check(SealedOptions),
    /// Prove that the escrow key, which is not on this machine, is still good
    ///
    /// Make a challenge, take it to where the key is, open it there with `age -d -i KEY`, and bring
    /// the code in it back. The journal keeps the result.
    EscrowTest(EscrowTest),
}

#[derive(Debug, Args)]
struct EscrowTest {
    /// Write a challenge into this new file
    #[arg(long, value_name = "FILE", required_unless_present = "code", conflicts_with = "code")]
    make: Option<PathBuf>,
    /// The code that was in the challenge
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    options: SealedOptions,
}

pub(crate) fn run(context: &Context, args: KeysArgs) -> anyhow::Result<Exit> {
    match args.command {
        KeysCommand::Check(options) => check(context, &context.ops(options.overrides())?),
        KeysCommand::EscrowTest(EscrowTest { make, code, options }) => {
            let ops = context.ops(options.overrides())?;
            match (make, code) {
                (Some(file), _) => challenge(context, &ops, file),
                (None, code) => {
                    let code = code.expect("one of the two is required");
                    answer_challenge(context, &ops, code)
                }
            }
        }
    }
}

fn check(context: &Context, ops: &Ops) -> anyhow::Result<Exit> {
    let report = ops::check_keys(ops)?;
    context.printer.report(&report, text)?;
    Ok(answer(report.backups.iter().all(|backup| backup.opens)))
}

fn challenge(context: &Context, ops: &Ops, file: PathBuf) -> anyhow::Result<Exit> {
    let report = ops::escrow_challenge(ops, EscrowChallengeOrder { file })?;
    context.printer.report(&report, |report| {
        format!(
            "{0} was written for {1}\ntake it to where that key is, open it with `age -d -i KEY {0}`, and bring back the code in it",
            report.path, report.recipient
        )
    })?;
    Ok(Exit::Yes)
}

fn answer_challenge(context: &Context, ops: &Ops, code: String) -> anyhow::Result<Exit> {
    let report = ops::escrow_answer(ops, EscrowAnswerOrder { code })?;
    context.printer.report(&report, |report| match report.passed {
        true => format!("the key of {} works", report.recipient),
        false => "that is not the code of the challenge".to_owned(),
    })?;
    Ok(answer(report.passed))
}

fn text(checked: &KeysReport) -> String {
    let recipients = checked.recipients.iter().map(|each| {
        let place = if each.here { "here" } else { "elsewhere" };
        vec![each.recipient.clone(), place.to_owned()]
    });
    let backups = checked.backups.iter().map(|each| {
        let found = each.problem.clone().unwrap_or_else(|| "opens".to_owned());
        let absent = match each.absent.len() {
            0 => "no key".to_owned(),
            1 => "1 key".to_owned(),
            several => format!("{several} keys"),
        };
        vec![each.id.clone(), found, absent]
    });
    format!(
        "{}\n{}",
        table(&["recipient", "its key is"], recipients),
        table(&["backup", "with the keys here", "elsewhere opens it"], backups)
    )
}
