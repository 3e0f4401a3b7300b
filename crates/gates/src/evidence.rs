//! Everything that was read, as a document that can be judged again later and elsewhere.

mod absence;
mod content;
mod read;
pub(crate) mod redact;
pub(crate) mod weight;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;
pub use absence::Absence;
pub use content::Content;
pub use read::{Kind, Read};

/// The version of the document.
const FORMAT: &str = "hubctl-evidence/1";
/// No document needs more memory.
const HEAVIEST: u64 = 1 << 30;

/// The evidence for gates: each question with its answer, or with the reason why there is none.
///
/// It is a plain document of JSON, specified in `docs/formats/evidence.md`. Neither the order of
/// its readings nor their repetition changes a verdict. Secrets are removed when a reading is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evidence {
    format: String,
    /// The time collecting began, by the clock of the collecting machine.
    pub collected_at: Timestamp,
    /// Since when each gate with a `stable_for` has passed without a break, as far as the collector
    /// has seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<String, Held>,
    readings: Vec<Reading>,
}

/// One question with its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reading {
    /// The question.
    pub read: Read,
    /// The time it was answered: by the `Date` of the answer if it has one, otherwise by the clock
    /// of the collecting machine.
    pub observed_at: Timestamp,
    /// By how many seconds the clock of whoever answered is ahead of the collecting machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew_seconds: Option<f64>,
    /// The answer.
    #[serde(flatten)]
    pub content: Content,
}

/// A stretch of time in which a gate has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Held {
    /// The time it was first seen to pass.
    pub since: Timestamp,
    /// The identity of the object: another object of the same name begins anew.
    pub identity: String,
}

impl Held {
    /// A stretch that begins now.
    #[must_use]
    pub fn new(since: Timestamp, identity: impl Into<String>) -> Self {
        Self { since, identity: identity.into() }
    }
}

impl Reading {
    /// A question that was answered by this machine's own clock.
    #[must_use]
    pub fn new(read: Read, observed_at: Timestamp, content: Content) -> Self {
        let content = content.without_secrets();
        Self { read, observed_at, skew_seconds: None, content }
    }

    /// The reading, with how far the other clock is ahead.
    #[must_use]
    pub fn with_skew(mut self, seconds: f64) -> Self {
        self.skew_seconds = Some(seconds);
        self
    }

    /// Returns the rank of a reading among several of one question: the newer one wins, then a
    /// fixed rule.
    fn rank(&self) -> (Timestamp, String) {
        let text = serde_json::to_string(&self.content).unwrap_or_default();
        (self.observed_at, text)
    }
}

impl Evidence {
    /// Evidence of nothing yet.
    #[must_use]
    pub fn new(collected_at: Timestamp) -> Self {
        Self {
            format: FORMAT.to_owned(),
            collected_at,
            held: BTreeMap::new(),
            readings: Vec::new(),
        }
    }

    /// Adds a reading.
    pub fn push(&mut self, reading: Reading) {
        self.readings.push(reading);
    }

    /// The readings, in the order they were added.
    #[must_use]
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Reads a document back.
    ///
    /// # Errors
    ///
    /// [`Error::NotEvidence`] for anything else, and for a version that this library does not know.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |reason: String| Error::NotEvidence { reason };
        if weight::weight(text.as_bytes()) > HEAVIEST {
            return Err(refused("it needs more than 1 GiB of memory".to_owned()));
        }
        let value: Value =
            serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        match value.get("format").and_then(Value::as_str) {
            Some(FORMAT) => {}
            Some(other) => return Err(refused(format!("its format is `{other}`"))),
            None => return Err(refused("it does not name its format".to_owned())),
        }
        serde_json::from_value(value).map_err(|error| refused(error.to_string()))
    }

    /// The reading that answers a question: of several, the newest.
    pub(crate) fn answering(&self, read: &Read) -> Option<&Reading> {
        let same = self.readings.iter().filter(|reading| read.is_same(&reading.read));
        same.max_by(|left, right| {
            // Comparing the texts is dear, and only for times that are equal.
            let time = left.observed_at.cmp(&right.observed_at);
            time.then_with(|| left.rank().cmp(&right.rank()))
        })
    }

    /// The time at whoever answered the question, when it is `now` here.
    pub(crate) fn time_there(reading: &Reading, now: Timestamp) -> Timestamp {
        let skew = reading.skew_seconds.unwrap_or_default();
        // The header of HTTP counts whole seconds, so a second is no difference.
        if skew.abs() <= 1.0 {
            return now;
        }
        let skew = SignedDuration::try_from_secs_f64(skew).unwrap_or_default();
        now.checked_add(skew).unwrap_or(now)
    }
}
