//! List, verify and rotate the journal.

use ::journal::{Head, Journal, Record};
use serde::Serialize;

use super::{Ops, Report, blocking};
use crate::failure::Refusal;
use crate::human;
use crate::settings::Settings;
use crate::store;

/// The records of the journal, oldest first.
#[derive(Debug, Clone, Serialize)]
pub struct JournalReport {
    /// The journal's file.
    pub path: String,
    /// The records.
    pub records: Vec<Record>,
}

/// A journal whose chain holds.
#[derive(Debug, Clone, Serialize)]
pub struct JournalVerifyReport {
    /// The journal's file.
    pub path: String,
    /// The number of records, those of closed parts included.
    pub records: u64,
    /// The head of the chain, as `SEQ:HASH`; none if there is no record.
    pub head: Option<String>,
    /// The earlier head that the chain was held against.
    pub against: Option<String>,
    /// Leftovers of interrupted rotations.
    pub leftovers: Vec<String>,
}

/// A journal that was rotated.
#[derive(Debug, Clone, Serialize)]
pub struct JournalRotateReport {
    /// The journal's file.
    pub path: String,
    /// The closed part; none if nothing was recorded since the last rotation.
    pub part: Option<String>,
    /// The number of records in the closed part.
    pub records: u64,
}

impl Report for JournalReport {
    const SCHEMA: &'static str = "hubctl.journal.v1";
}

impl Report for JournalVerifyReport {
    const SCHEMA: &'static str = "hubctl.journal-verify.v1";
}

impl Report for JournalRotateReport {
    const SCHEMA: &'static str = "hubctl.journal-rotate.v1";
}

/// Lists the records of the journal, or only this many of the newest.
///
/// # Errors
/// A journal that does not exist or cannot be read.
pub fn list_journal(ops: &Ops, limit: Option<usize>) -> anyhow::Result<JournalReport> {
    let journal = open(ops.settings())?;
    let mut records = journal.read()?;
    let skipped = limit.map_or(0, |limit| records.len().saturating_sub(limit));
    records.drain(..skipped);
    Ok(JournalReport { path: journal.path().display().to_string(), records })
}

/// Verifies every record and the chain, and optionally that an earlier head is still in it.
///
/// `against` is a head as `SEQ:HASH`, or a backup that keeps one: an id, a path, `latest` or
/// `TARGET:BACKUP`.
///
/// # Errors
/// A journal that does not exist, or was changed; a backup that keeps no head.
pub async fn verify_journal(
    ops: &Ops,
    against: Option<String>,
) -> anyhow::Result<JournalVerifyReport> {
    let journal = open(ops.settings())?;
    let against = match against {
        Some(text) => {
            let settings = ops.settings().clone();
            Some(blocking(move || known_head(&settings, &text)).await?)
        }
        None => None,
    };
    let verified = match &against {
        Some(head) => journal.verify_against(head)?,
        None => journal.verify()?,
    };
    for leftover in &verified.leftovers {
        ops.warn(format_args!(
            "{} is a leftover of an interrupted rotation; the next one replaces it",
            leftover.display()
        ));
    }
    let still = against
        .as_ref()
        .map_or_else(String::new, |head| format!(", and record {} is still what it was", head.seq));
    let records = human::plural(verified.records, "record");
    ops.say(format_args!("the chain of {records} holds{still}"));
    Ok(JournalVerifyReport {
        path: journal.path().display().to_string(),
        records: verified.records,
        head: verified.head.map(|head| head.to_string()),
        against: against.map(|head| head.to_string()),
        leftovers: verified.leftovers.iter().map(|path| path.display().to_string()).collect(),
    })
}

/// Closes the file of the journal; the chain goes on in a new one.
///
/// # Errors
/// A journal that does not exist, or cannot be renamed.
pub fn rotate_journal(ops: &Ops) -> anyhow::Result<JournalRotateReport> {
    let journal = open(ops.settings())?;
    let rotated = journal.rotate(ops.now().into())?;
    if let Some(torn) = rotated.as_ref().and_then(|rotated| rotated.torn.as_ref()) {
        let (bytes, path) = (torn.bytes, torn.path.display());
        ops.warn(format_args!(
            "the journal ended in {bytes} bytes of a crashed run; they were moved to {path}"
        ));
    }
    match &rotated {
        Some(rotated) => {
            ops.say(format_args!("{} are closed", human::plural(rotated.records, "record")));
        }
        None => ops.say("nothing was recorded since the last rotation"),
    }
    Ok(JournalRotateReport {
        path: journal.path().display().to_string(),
        part: rotated.as_ref().map(|rotated| rotated.part.display().to_string()),
        records: rotated.map_or(0, |rotated| rotated.records),
    })
}

fn open(settings: &Settings) -> anyhow::Result<Journal> {
    Ok(Journal::open_existing(&settings.journal.value)?)
}

/// Returns a head that was kept elsewhere, or the one that a backup keeps.
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
