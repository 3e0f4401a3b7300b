//! `hubctl journal`.

use std::time::SystemTime;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use journal::{Head, Journal, Record};
use serde::Serialize;
use serde_json::Value;

use crate::cli::options::{JournalOptions, VaultOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::ops::blocking;
use crate::printer::table;
use crate::settings::{Overrides, Settings};
use crate::store;

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
    /// The head that it was held against.
    against: Option<String>,
    /// What an interrupted rotation left.
    leftovers: Vec<String>,
}

#[derive(Serialize)]
struct RotatedJournal {
    path: String,
    /// The closed part; none where there was nothing to close.
    part: Option<String>,
    records: u64,
}

pub(crate) async fn run(context: &Context, args: JournalArgs) -> anyhow::Result<Exit> {
    let command = args.command.unwrap_or(JournalCommand::List { limit: None });
    let overrides = Overrides::default().journal(&args.journal);
    let overrides = match &command {
        JournalCommand::Verify { vault, .. } => overrides.vault(vault),
        _ => overrides,
    };
    let settings = context.settings(overrides)?;
    let journal = Journal::open_existing(&settings.journal.value)?;
    match command {
        JournalCommand::List { limit } => list(context, &journal, limit),
        JournalCommand::Verify { against, .. } => {
            let head = match against {
                Some(against) => Some(blocking(move || known_head(&settings, &against)).await?),
                None => None,
            };
            verify(context, &journal, head)
        }
        JournalCommand::Rotate => rotate(context, &journal),
    }
}

/// A head that somebody kept, or the one that a backup kept.
fn known_head(settings: &Settings, text: &str) -> anyhow::Result<Head> {
    let is_head = |text: &str| {
        let number = text.split_once(':').map(|(number, _)| number);
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if is_head(text) {
        return Ok(text.parse()?);
    }
    let (_, entry) = store::find_entry(settings, text)?;
    if let Some(error) = entry.sidecar_error() {
        let hint = error.hint().unwrap_or_default();
        return Err(Refusal::no(error.to_string()).hint(hint).into());
    }
    let head = entry.sidecar().and_then(|sidecar| sidecar.anchor.as_ref());
    let head = head.ok_or_else(|| {
        Refusal::no(format!(
            "the backup {} keeps no head of a journal",
            entry.id()
        ))
        .hint("name one that hubctl took while it had this journal, or a head as `hubctl journal verify` prints it")
    })?;
    head.parse().map_err(|_| {
        let fact = format!("what the backup {} keeps is no head of a journal", entry.id());
        Refusal::no(fact).into()
    })
}

fn list(context: &Context, journal: &Journal, limit: Option<usize>) -> anyhow::Result<Exit> {
    let mut records = journal.read()?;
    let skipped = limit.map_or(0, |limit| records.len().saturating_sub(limit));
    records.drain(..skipped);
    let listed = Listed { path: journal.path().display().to_string(), records };
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

fn verify(context: &Context, journal: &Journal, against: Option<Head>) -> anyhow::Result<Exit> {
    let verification = match against {
        Some(head) => journal.verify_against(&head)?,
        None => journal.verify()?,
    };
    let verified = VerifiedJournal {
        path: journal.path().display().to_string(),
        records: verification.records,
        head: verification.head.map(|head| head.to_string()),
        against: against.map(|head| head.to_string()),
        leftovers: verification.leftovers.iter().map(|path| path.display().to_string()).collect(),
    };
    for leftover in &verified.leftovers {
        context.printer.warn(format_args!(
            "{leftover} is a leftover of an interrupted rotation; the next one replaces it"
        ));
    }
    context.printer.say(format_args!(
        "the chain of {} holds{}",
        human::plural(verified.records, "record"),
        against.map_or_else(String::new, |head| format!(
            ", and record {} is still what it was",
            head.seq
        ))
    ));
    context.printer.result("hubctl.journal-verify.v1", &verified, || {
        verified.head.clone().unwrap_or_default()
    })?;
    Ok(Exit::Yes)
}

fn rotate(context: &Context, journal: &Journal) -> anyhow::Result<Exit> {
    let rotated = journal.rotate(SystemTime::now())?;
    if let Some(torn) = rotated.as_ref().and_then(|rotated| rotated.torn.as_ref()) {
        context.printer.warn(format_args!(
            "the journal ended in {} bytes of a crashed run; they were moved to {}",
            torn.bytes,
            torn.path.display()
        ));
    }
    let shown = RotatedJournal {
        path: journal.path().display().to_string(),
        part: rotated.as_ref().map(|rotated| rotated.part.display().to_string()),
        records: rotated.as_ref().map_or(0, |rotated| rotated.records),
    };
    context.printer.say(match &shown.part {
        Some(_) => format!("{} are closed", human::plural(shown.records, "record")),
        None => "nothing was recorded since the last rotation".to_owned(),
    });
    context
        .printer
        .result("hubctl.journal-rotate.v1", &shown, || shown.part.clone().unwrap_or_default())?;
    Ok(Exit::Yes)
}
