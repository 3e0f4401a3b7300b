//! Backups that were found damaged: the vault records only what is proven, the journal also what
//! was refuted.

use std::collections::BTreeMap;
use std::path::Path;

use backup::{Entry, Vault};
use jiff::Timestamp;
use journal::evidence::{Depth, Drill, Evidence, Verdict, Verify};
use journal::{Journal, Outcome, Record};

use crate::console::Console;
use crate::failure::Refusal;
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
            let Some(path) = record.path() else {
                continue;
            };
            if record.is_damage() {
                damaged.insert(path.to_owned(), finding(record));
            } else if looked_at_everything(record) {
                damaged.remove(path);
            }
        }
        Self(damaged)
    }

    /// Returns the finding about this file.
    pub(crate) fn finding(&self, path: &Path) -> Option<&str> {
        self.0.get(&*path.to_string_lossy()).map(String::as_str)
    }

    /// Returns true if an entry is verified, and nothing was found since.
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
    let reason = match Evidence::of(record) {
        Evidence::Failed(failed) => failed.causes.last().cloned().or(Some(failed.error)),
        Evidence::Drill(drill) => drill.error,
        _ => None,
    };
    format!("at {at}: {}", reason.as_deref().unwrap_or("no reason is recorded"))
}

/// Returns true if the record proves every byte: a quick verification does not look into the
/// middle.
fn looked_at_everything(record: &Record) -> bool {
    record.outcome == Outcome::Done
        && matches!(
            Evidence::of(record),
            Evidence::Verify(Verify { depth: Depth::Full, .. })
                | Evidence::Drill(Drill { verdict: Verdict::Passed, .. })
        )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use journal::NewRecord;
    use journal::evidence::{Failed, Kind};
    use serde_json::{Value, json};

    use super::*;

    const PATH: &str = "/vault/hub.age";

    fn failed() -> Value {
        let (error, causes) = ("it does not open".to_owned(), vec!["a flipped bit".to_owned()]);
        Failed { error, causes, exit_code: 1, damaged: true }.to_value()
    }

    fn verified(depth: Depth) -> Value {
        Verify { depth, tables: Some(1), rows: Some(2), sealed_bytes: 3 }.to_value()
    }

    fn drilled(verdict: Verdict, damaged: bool) -> Value {
        let drill = Drill {
            verdict,
            place: String::new(),
            taken_at: None,
            age_seconds: None,
            tables: 0,
            rows: 0,
            checks: Vec::new(),
            phases: None,
            error: damaged.then(|| "it broke".to_owned()),
            damaged,
            page: None,
        };
        drill.to_value()
    }

    /// Returns the finding about the file after these acts on it.
    fn finding_after(acts: &[(&str, Outcome, Value)]) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path().join("journal.jsonl")).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_277_520);
        for (kind, outcome, evidence) in acts {
            let new = NewRecord::new(at, *kind, outcome.clone(), "hub");
            journal.append(new.with_evidence(evidence.clone()).with_path(PATH)).unwrap();
        }
        let damaged = Damaged::of(&journal.read().unwrap());
        damaged.finding(Path::new(PATH)).map(str::to_owned)
    }

    #[test]
    fn damage_is_told_with_its_reason() {
        for (kind, evidence, reason) in [
            ("verify", failed(), "a flipped bit"),
            ("drill", drilled(Verdict::Failed, true), "it broke"),
            // Acts to come, and evidence that is not understood, do not hide it.
            ("inspect", failed(), "a flipped bit"),
            ("verify", json!({ "depth": "deeper", "damaged": true }), "no reason is recorded"),
        ] {
            let found = finding_after(&[(kind, Outcome::Failed, evidence)]);
            assert_eq!(found, Some(format!("at 2026-11-21T16:12:00Z: {reason}")), "{kind}");
        }
    }

    #[test]
    fn only_a_proof_of_every_byte_clears_it() {
        for (kind, outcome, evidence, clears) in [
            ("verify", Outcome::Done, verified(Depth::Full), true),
            ("verify", Outcome::Done, verified(Depth::Quick), false),
            ("verify", Outcome::Interrupted, verified(Depth::Full), false),
            ("drill", Outcome::Done, drilled(Verdict::Passed, false), true),
            ("drill", Outcome::Failed, drilled(Verdict::Failed, false), false),
            ("drill", Outcome::Failed, drilled(Verdict::NotDone, false), false),
            ("note", Outcome::Done, verified(Depth::Full), false),
        ] {
            let found = ("verify", Outcome::Failed, failed());
            let case = format!("{kind} {outcome} {evidence}");
            let known = finding_after(&[found, (kind, outcome, evidence)]);
            assert_eq!(known.is_none(), clears, "{case}");
        }
    }
}
