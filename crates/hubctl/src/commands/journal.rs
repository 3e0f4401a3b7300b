//! `hubctl journal`.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use journal::Record;
use serde_json::Value;

use crate::cli::options::{JournalOptions, VaultOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, JournalReport, JournalVerifyReport};
use crate::printer::{self, Present, Printer};
use crate::settings::Overrides;

/// Show or verify the journal of what was done
///
/// The journal is a chain of hashes: a line that was edited, removed, inserted or moved is found.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hubctl journal\n  hubctl journal list --limit 5\n  hubctl journal verify --against 12:ba7816bf…\n  hubctl journal verify --against cloud:latest\n  hubctl journal rotate"
)]
pub(crate) struct JournalArgs {
    #[command(subcommand)]
    command: Option<JournalCommand>,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// List the records, oldest first
    List {
        /// Only the newest records
        #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::count)]
        limit: Option<usize>,
    },
    /// Verify every record and print the head of the chain
    ///
    /// Keep the head elsewhere: with --against it shows later that nothing up to it was changed or
    /// cut off. Each backup keeps the head of when it was taken, and takes it along wherever it is
    /// pushed.
    Verify {
        /// A head that was printed earlier, as SEQ:HASH; or a backup, by id, path, `latest` or
        /// TARGET:BACKUP
        #[arg(long, value_name = "HEAD|BACKUP")]
        against: Option<String>,
        #[command(flatten)]
        vault: VaultOptions,
    },
    /// Close the file of the journal and go on in a new one
    ///
    /// The closed part stays beside the journal, and all records are still listed and verified: the
    /// chain goes on.
    Rotate,
}

pub(crate) async fn run(context: &Context, args: JournalArgs) -> anyhow::Result<Exit> {
    let command = args.command.unwrap_or(JournalCommand::List { limit: None });
    let overrides = Overrides::default().journal(&args.journal);
    let overrides = match &command {
        JournalCommand::Verify { vault, .. } => overrides.vault(vault),
        _ => overrides,
    };
    let (ops, printer) = (context.ops(overrides)?, &context.printer);
    match command {
        JournalCommand::List { limit } => {
            printer.report(&ops::list_journal(&ops, limit)?, table)?;
        }
        JournalCommand::Verify { against, .. } => {
            return ops::verify_journal(&ops, against).await?.present(printer);
        }
        JournalCommand::Rotate => {
            let rotated = ops::rotate_journal(&ops)?;
            printer.report(&rotated, |rotated| rotated.part.clone().unwrap_or_default())?;
        }
    }
    Ok(Exit::Yes)
}

impl Present for JournalVerifyReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        printer.report(self, |verified| verified.head.clone().unwrap_or_default())?;
        Ok(Exit::Yes)
    }
}

fn table(listed: &JournalReport) -> String {
    let header = [">seq", "at", "kind", "outcome", "subject", "evidence"];
    printer::table(&header, listed.records.iter().map(row))
}

fn row(record: &Record) -> Vec<String> {
    let at =
        Timestamp::try_from(record.at).map_or_else(|_| "?".to_owned(), |at| format!("{at:.0}"));
    vec![
        record.seq.to_string(),
        at,
        record.kind.clone(),
        record.outcome.to_string(),
        record.subject.clone(),
        summary(&record.evidence),
    ]
}

/// The plain members of the evidence; lists and objects are for `--format json`.
fn summary(evidence: &Value) -> String {
    let members = evidence.as_object().into_iter().flatten();
    let shown = members.filter_map(|(name, value)| match value {
        Value::String(text) => Some(format!("{name}={text}")),
        Value::Number(_) | Value::Bool(_) => Some(format!("{name}={value}")),
        _ => None,
    });
    let text: String = shown.collect::<Vec<_>>().join(" ");
    text.chars().take(160).collect()
}
