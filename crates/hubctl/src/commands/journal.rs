//! `hubctl journal`.

use clap::{Args, Subcommand};
use gates::{Head, Journal, Record};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::cli::options::JournalOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::printer::table;
use crate::settings::Overrides;

/// Show or verify the journal of what was done
///
/// The journal is a chain of hashes: a line that was edited, removed, inserted or moved is found.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hubctl journal\n  hubctl journal list --limit 5\n  hubctl journal verify --against 12:ba7816bf…"
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
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Verify every record and print the head of the chain
    ///
    /// Keep the head elsewhere: with --against it shows later that nothing up to it was changed or cut off.
    Verify {
        /// A head that was printed earlier, as SEQ:HASH
        #[arg(long, value_name = "HEAD")]
        against: Option<String>,
    },
}

#[derive(Serialize)]
struct Listed {
    path: String,
    records: Vec<Record>,
}

#[derive(Serialize)]
struct VerifiedJournal {
    path: String,
    records: u64,
    head: Option<String>,
}

pub(crate) fn run(context: &Context, args: JournalArgs) -> anyhow::Result<Exit> {
    let settings = context.settings(Overrides::default().journal(&args.journal))?;
    let journal = Journal::open_existing(&settings.journal.value)?;
    match args.command.unwrap_or(JournalCommand::List { limit: None }) {
        JournalCommand::List { limit } => list(context, &journal, limit),
        JournalCommand::Verify { against } => verify(context, &journal, against.as_deref()),
    }
}

fn list(context: &Context, journal: &Journal, limit: Option<usize>) -> anyhow::Result<Exit> {
    let mut records = journal.read()?;
    let skipped = limit.map_or(0, |limit| records.len().saturating_sub(limit));
    records.drain(..skipped);
    let listed = Listed {
        path: journal.path().display().to_string(),
        records,
    };
    context.printer.result("hubctl.journal.v1", &listed, || {
        table(
            &[">seq", "at", "kind", "outcome", "subject", "evidence"],
            listed.records.iter().map(row),
        )
    })?;
    Ok(Exit::Yes)
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

fn verify(context: &Context, journal: &Journal, against: Option<&str>) -> anyhow::Result<Exit> {
    let verification = match against {
        Some(head) => journal.verify_against(&head.parse::<Head>()?)?,
        None => journal.verify()?,
    };
    let head = verification.head.map(|head| head.to_string());
    let verified = VerifiedJournal {
        path: journal.path().display().to_string(),
        records: verification.records,
        head,
    };
    context.printer.say(format_args!(
        "the chain of {} holds",
        human::plural(verified.records, "record")
    ));
    context
        .printer
        .result("hubctl.journal-verify.v1", &verified, || {
            verified.head.clone().unwrap_or_default()
        })?;
    Ok(Exit::Yes)
}
