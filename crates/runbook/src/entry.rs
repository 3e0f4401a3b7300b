//! The records of a run, and their form in the journal.

use std::fmt;

use jiff::Timestamp;
use journal::{NewRecord, Outcome, Record};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Failure, Runbook};

/// The kind of all records of runs.
pub(crate) const KIND: &str = "runbook";
const FORMAT: &str = "runbook/1";
/// The member of the evidence that holds the format.
const MEMBER: &str = "format";

/// An event of a run, and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The time of the event, by the clock of the runner.
    pub at: Timestamp,
    /// The event itself.
    pub event: Event,
}

/// An event of a run that is kept in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[serde(deny_unknown_fields)]
pub enum Event {
    /// The run was begun, with this description.
    Begun {
        /// The description.
        runbook: Runbook,
    },
    /// A person allowed the steps that need this approval.
    Approved {
        /// The name of the approval.
        approval: String,
        /// The end of its validity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// The proof, such as the digest of a signed file.
        evidence: Value,
    },
    /// The act of a step is about to begin: from now on it may have run.
    Started {
        /// The step.
        step: String,
    },
    /// A check found the step done.
    Done {
        /// The step.
        step: String,
        /// The evidence of the act; null where a crash lost it, or none was needed.
        act: Value,
        /// The evidence of the check.
        check: Value,
    },
    /// The act of a step failed, or a check did not find it done after it.
    Failed {
        /// The step.
        step: String,
        /// The reason.
        failure: Failure,
    },
    /// The run turned back: from now on it only undoes.
    TurnedBack {
        /// The reason.
        reason: Reason,
    },
    /// The undo of a step is about to begin.
    Undoing {
        /// The step.
        step: String,
    },
    /// A check found the step not done, on the way back.
    Undone {
        /// The step.
        step: String,
    },
    /// The undo of a step failed, or a check did not find it undone after it.
    UndoFailed {
        /// The step.
        step: String,
        /// The reason.
        failure: Failure,
    },
    /// The run stopped at a step, to be resumed.
    Stopped {
        /// The step.
        step: String,
        /// The reason.
        failure: Failure,
    },
    /// The run is over.
    Ended {
        /// The end.
        end: End,
    },
}

/// The reason why a run turned back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[serde(deny_unknown_fields)]
pub enum Reason {
    /// The caller asked for it.
    Requested,
    /// A step failed.
    Failed {
        /// The step.
        step: String,
    },
    /// A step that was done is not done any more.
    Lapsed {
        /// The step.
        step: String,
    },
    /// A time box is over.
    Overdue {
        /// The name of the time box.
        time_box: String,
    },
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[serde(deny_unknown_fields)]
pub enum End {
    /// Every step is done.
    Done,
    /// Every step that the run began is undone.
    RolledBack,
    /// A person ended it as it was.
    Abandoned {
        /// The reason that was given.
        reason: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("requested"),
            Self::Failed { step } => write!(f, "step `{step}` failed"),
            Self::Lapsed { step } => write!(f, "step `{step}` was done and is not any more"),
            Self::Overdue { time_box } => write!(f, "time box `{time_box}` is over"),
        }
    }
}

impl Event {
    /// The step that the event is about.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::Started { step }
            | Self::Done { step, .. }
            | Self::Failed { step, .. }
            | Self::Undoing { step }
            | Self::Undone { step }
            | Self::UndoFailed { step, .. }
            | Self::Stopped { step, .. } => Some(step),
            Self::Begun { .. }
            | Self::Approved { .. }
            | Self::TurnedBack { .. }
            | Self::Ended { .. } => None,
        }
    }

    /// The word of the journal, for readers that know nothing of runs.
    fn outcome(&self) -> Outcome {
        match self {
            Self::Begun { .. } | Self::Started { .. } | Self::Undoing { .. } => Outcome::Started,
            Self::Done { .. } | Self::Ended { end: End::Done } => Outcome::Done,
            Self::Failed { .. } | Self::UndoFailed { .. } => Outcome::Failed,
            Self::Undone { .. } | Self::Ended { end: End::RolledBack } => Outcome::Undone,
            Self::Stopped { .. } => Outcome::Interrupted,
            Self::Approved { .. } => Outcome::Other("approved".to_owned()),
            Self::TurnedBack { .. } => Outcome::Other("turned-back".to_owned()),
            Self::Ended { end: End::Abandoned { .. } } => Outcome::Other("abandoned".to_owned()),
        }
    }
}

impl Entry {
    pub(crate) fn to_record(&self, run: &str, host: &str) -> NewRecord {
        let mut evidence =
            serde_json::to_value(&self.event).expect("an event has only keys that are strings");
        evidence[MEMBER] = FORMAT.into();
        NewRecord::new(self.at.into(), KIND, self.event.outcome(), run)
            .with_host(host)
            .with_evidence(evidence)
    }

    /// Reads a record of the kind of runs.
    pub(crate) fn of_record(record: &Record) -> Result<Self, Error> {
        let seq = record.seq;
        let invalid = |reason: String| Error::InvalidRecord { seq, reason };
        let mut evidence = record.evidence.clone();
        let format = evidence.as_object_mut().and_then(|members| members.remove(MEMBER));
        match format.as_ref().and_then(Value::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                return Err(Error::UnknownVersion { seq, format: other.to_owned() });
            }
            None => return Err(invalid("it names no format".to_owned())),
        }
        let event = serde_json::from_value(evidence).map_err(|error| invalid(error.to_string()))?;
        let at = Timestamp::try_from(record.at).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { at, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_reason_and_each_end_is_written_as_specified_and_read_back() {
        let step = || "copy".to_owned();
        let reasons = [
            (Reason::Requested, json!({ "because": "requested" })),
            (Reason::Failed { step: step() }, json!({ "because": "failed", "step": "copy" })),
            (Reason::Lapsed { step: step() }, json!({ "because": "lapsed", "step": "copy" })),
            (
                Reason::Overdue { time_box: "frozen".to_owned() },
                json!({ "because": "overdue", "time-box": "frozen" }),
            ),
        ];
        for (reason, written) in reasons {
            assert_eq!(serde_json::to_value(&reason).unwrap(), written);
            assert_eq!(serde_json::from_value::<Reason>(written).unwrap(), reason);
        }
        let ends = [
            (End::Done, json!({ "as": "done" })),
            (End::RolledBack, json!({ "as": "rolled-back" })),
            (
                End::Abandoned { reason: "both are gone".to_owned() },
                json!({ "as": "abandoned", "reason": "both are gone" }),
            ),
        ];
        for (end, written) in ends {
            assert_eq!(serde_json::to_value(&end).unwrap(), written);
            assert_eq!(serde_json::from_value::<End>(written).unwrap(), end);
        }
    }
}
