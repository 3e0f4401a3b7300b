//! Backups that were found damaged: the vault records only what is proven, the journal also what
//! was refuted.

use std::collections::BTreeMap;
use std::path::Path;

use backup::{Entry, Vault};
use jiff::Timestamp;
use journal::{Journal, Outcome, Record};
use serde_json::Value;

use crate::failure::Refusal;
use crate::ops::Console;
use crate::settings::Settings;

/// The damaged files, by path, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Damaged(BTreeMap<String, String>);

impl Damaged {
    /// Reads the journal. One that cannot be read is said, and does not keep anybody from a backup.
    pub(crate) fn read(settings: &Settings, console: &dyn Console) -> Self {
        let path = &settings.journal.value;
        let records =
            Journal::find(path).and_then(|found| found.map(|journal| journal.read()).transpose());
        match records {
            Ok(records) => Self::of(&records.unwrap_or_default()),
            Err(error) => {
                console.warn(format_args!("earlier findings of damage are unknown: {error}"));
                Self::default()
            }
        }
    }

    /// The same for a command that removes: what is not known must not pass for good.
    pub(crate) fn require(settings: &Settings) -> anyhow::Result<Self> {
        let path = &settings.journal.value;
        let unknown = |reason: String| {
            Refusal::could_not_ask(format!("earlier findings of damage are unknown: {reason}"))
                .hint("name the right journal with --journal; where there was none yet, `hubctl verify` begins one")
        };
        let records = Journal::open_existing(path).and_then(|journal| journal.read());
        let records = records.map_err(|error| unknown(error.to_string()))?;
        Ok(Self::of(&records))
    }

    fn of(records: &[Record]) -> Self {
        let mut damaged = BTreeMap::new();
        for record in records {
            let Some(path) = record.evidence.get("path").and_then(Value::as_str) else {
                continue;
            };
            if record.evidence.get("damaged") == Some(&Value::Bool(true)) {
                damaged.insert(path.to_owned(), finding(record));
            } else if looked_at_everything(record) {
                damaged.remove(path);
            }
        }
        Self(damaged)
    }

    /// What was found in this file.
    pub(crate) fn finding(&self, path: &Path) -> Option<&str> {
        self.0.get(&*path.to_string_lossy()).map(String::as_str)
    }

    /// Whether an entry is verified, and nothing was found since.
    pub(crate) fn is_good(&self, entry: &Entry) -> bool {
        entry.is_verified() && self.finding(entry.path()).is_none()
    }

    /// Refuses a damaged entry, and names the newest verified one that is not.
    pub(crate) fn refuse(&self, vault: &Vault, entry: &Entry) -> anyhow::Result<()> {
        let Some(finding) = self.finding(entry.path()) else {
            return Ok(());
        };
        let fact = format!("{} was found damaged {finding}", entry.id());
        let other = vault.newest(|other| self.is_good(other))?;
        let hint = match other {
            Some(other) => format!("the newest other verified backup is {}: name it", other.id()),
            None => "there is no other verified backup; take one with `hubctl backup`".to_owned(),
        };
        let again = "if the file was replaced by a good copy, `hubctl verify --full` clears it";
        Err(Refusal::no(fact).hint(format!("{hint}; {again}")).into())
    }
}

fn finding(record: &Record) -> String {
    let at =
        Timestamp::try_from(record.at).map_or_else(|_| "?".to_owned(), |at| format!("{at:.0}"));
    let text = |name: &str| record.evidence.get(name).and_then(Value::as_str);
    let causes = record.evidence.get("causes").and_then(Value::as_array);
    let last = causes.and_then(|causes| causes.last()?.as_str());
    let error = last.or_else(|| text("error")).unwrap_or("no reason is recorded");
    format!("at {at}: {error}")
}

/// Whether the record proves every byte: a quick verification does not look into the middle.
fn looked_at_everything(record: &Record) -> bool {
    let is = |name: &str, value: &str| record.evidence.get(name).is_some_and(|is| is == value);
    record.outcome == Outcome::Done && (is("depth", "full") || is("verdict", "passed"))
}
