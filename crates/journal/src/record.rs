//! The records: what a caller brings, and what the journal makes of it.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;
use crate::evidence::Kind;
use crate::hash::{Hash, Head};

/// The members that evidence of every kind may have.
const SECONDS: &str = "seconds";
const PATH: &str = "path";
const DAMAGED: &str = "damaged";

/// A record as the caller has it; the journal adds number and hashes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewRecord {
    /// The time of the act, by the caller's clock. The order of records is their number, not this.
    pub at: SystemTime,
    /// The kind of act, such as `backup`, `verify`, `restore` or `drill`: one word of `a-z`, `0-9`,
    /// `.`, `_`, `-`.
    pub kind: String,
    /// The machine it happened on.
    pub host: Option<String>,
    /// The outcome.
    pub outcome: Outcome,
    /// The object of the act: the id of a backup, the name of a site.
    pub subject: String,
    /// Whatever proves it: ids, counts, hashes, durations. Never a secret.
    pub evidence: Value,
}

impl NewRecord {
    /// A record without host and evidence.
    pub fn new(
        at: SystemTime,
        kind: impl Into<String>,
        outcome: Outcome,
        subject: impl Into<String>,
    ) -> Self {
        Self {
            at,
            kind: kind.into(),
            host: None,
            outcome,
            subject: subject.into(),
            evidence: Value::Null,
        }
    }

    /// A record of the kind that the evidence is of.
    pub fn of<E: Kind>(
        at: SystemTime,
        outcome: Outcome,
        subject: impl Into<String>,
        evidence: &E,
    ) -> Self {
        Self::new(at, E::KIND, outcome, subject).with_evidence(evidence.to_value())
    }

    /// The record, naming the machine it happened on.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The record with its evidence.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Value) -> Self {
        self.evidence = evidence;
        self
    }

    /// Adds to the evidence how long the act took, rounded to milliseconds.
    #[must_use]
    pub fn with_duration(self, duration: Duration) -> Self {
        let seconds = (duration.as_secs_f64() * 1000.0).round() / 1000.0;
        self.with_member(SECONDS, seconds.into())
    }

    /// Adds to the evidence the path of the sealed file that the act was about.
    #[must_use]
    pub fn with_path(self, path: impl Into<String>) -> Self {
        self.with_member(PATH, Value::String(path.into()))
    }

    /// Evidence that is neither an object nor null has no members, and stays as it is.
    fn with_member(mut self, name: &str, value: Value) -> Self {
        if self.evidence.is_null() {
            self.evidence = Map::new().into();
        }
        if let Some(members) = self.evidence.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let outcome = self.outcome.to_string();
        for (member, word) in [("kind", &self.kind), ("outcome", &outcome)] {
            let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
            if word.is_empty() || !word.bytes().all(allowed) {
                return Err(Error::InvalidRecord {
                    reason: format!(
                        "its {member} `{word}` is not one word of a-z, 0-9, `.`, `_` and `-`"
                    ),
                });
            }
        }
        Ok(())
    }
}

/// The outcome of an act.
///
/// The set is open: a reader takes a word that it does not know as [`Outcome::Other`], and as
/// neither good nor bad.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum Outcome {
    /// It was begun; a later record tells the end, and a missing one tells of a crash.
    Started,
    /// It was done, or the answer was yes.
    Done,
    /// It could not be done, or the answer was no.
    Failed,
    /// It was not begun, because something forbade it.
    Refused,
    /// A human or a signal stopped it.
    Interrupted,
    /// It was done before, and was undone now.
    Undone,
    /// Any other word.
    Other(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Started => "started",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
            Self::Undone => "undone",
            Self::Other(word) => word,
        })
    }
}

impl From<String> for Outcome {
    fn from(word: String) -> Self {
        match word.as_str() {
            "started" => Self::Started,
            "done" => Self::Done,
            "failed" => Self::Failed,
            "refused" => Self::Refused,
            "interrupted" => Self::Interrupted,
            "undone" => Self::Undone,
            _ => Self::Other(word),
        }
    }
}

impl From<Outcome> for String {
    fn from(outcome: Outcome) -> Self {
        outcome.to_string()
    }
}

/// A record as it stands in the journal.
///
/// It serialises to the members of the wire format, for programs that print it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// The number of the record, counted from 1 without gaps; also the number of its line where
    /// nothing was rotated.
    pub seq: u64,
    /// The time of the act, by the clock of the caller that appended it.
    pub at: SystemTime,
    /// The kind of act.
    pub kind: String,
    /// The machine it happened on.
    pub host: Option<String>,
    /// The outcome.
    pub outcome: Outcome,
    /// The object of the act.
    pub subject: String,
    /// Whatever proves it, as it was written. [`Evidence::of`](crate::evidence::Evidence::of)
    /// reads it.
    pub evidence: Value,
    /// The hash of the record before it, or [`Hash::GENESIS`].
    pub prev: Hash,
    /// The hash of this record.
    pub hash: Hash,
}

impl Record {
    /// The head of the journal when this record was its newest.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }

    /// Returns how long the act took, as [`NewRecord::with_duration`] recorded it.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.evidence.get(SECONDS)?.as_f64()
    }

    /// Returns the sealed file that the act was about, as [`NewRecord::with_path`] recorded it.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.evidence.get(PATH)?.as_str()
    }

    /// Returns whether the act found the bytes of that file to be others than those that were
    /// sealed. Evidence that cannot be understood in full does not hide it.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        self.evidence.get(DAMAGED).and_then(Value::as_bool).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_record() -> NewRecord {
        NewRecord::new(SystemTime::UNIX_EPOCH, "backup", Outcome::Done, "state-hub")
    }

    #[test]
    fn words_are_checked_before_anything_is_written() {
        for word in ["", "Backup", "two words", "line\nbreak"] {
            let mut new = new_record();
            word.clone_into(&mut new.kind);
            let error = new.check().unwrap_err();
            assert!(matches!(error, Error::InvalidRecord { .. }), "{error}");
        }
        let mut new = new_record();
        new.outcome = Outcome::Other("not a word".to_owned());
        assert!(new.check().is_err());
    }

    #[test]
    fn an_unknown_outcome_is_kept() {
        let outcome = Outcome::from("approved".to_owned());
        assert_eq!(outcome, Outcome::Other("approved".to_owned()));
        assert_eq!(Outcome::from(Outcome::Undone.to_string()), Outcome::Undone);
    }
}
