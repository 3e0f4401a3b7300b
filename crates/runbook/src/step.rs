//! The traits that a caller implements: steps, and the guard that keeps others away.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StepFacts;

/// A future of a step, boxed so that steps of different kinds fit into one list.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One step of a runbook.
///
/// Every future has a limit in time, and is dropped when the limit is reached or the run is
/// cancelled. After that, as after a crash, the step is *asked*: what a dropped act has begun and
/// may still complete elsewhere is [`Found::Unknown`] or [`Found::Partly`], never
/// [`Found::NotDone`].
pub trait Step: Send + Sync {
    /// The description of the step, the same each time.
    fn facts(&self) -> StepFacts;

    /// Asks the world, and changes nothing. The journal is not asked.
    fn check(&self) -> Pending<'_, Found>;

    /// Brings the world from not done, or partly done, to done, and returns evidence for the
    /// journal.
    ///
    /// It is called only after `check` answered one of the two, with no other act in between. A
    /// success is believed only after the next `check`.
    fn act(&self) -> Pending<'_, Result<Value, Failure>>;

    /// Brings the world from done, or partly done, to not done: exactly as it was before.
    ///
    /// It is called only for a step that this run began. A step without effect, the commit point
    /// and all steps after it are never undone.
    fn undo(&self) -> Pending<'_, Result<(), Failure>>;

    /// The longest time of one `check`.
    fn check_limit(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// The longest time of one `act` or `undo`.
    fn limit(&self) -> Duration {
        Duration::from_secs(600)
    }
}

/// Keeps other runners away from what the steps change, such as a lock on each server.
///
/// The lock file beside the journal keeps away only runners that use the same journal.
pub trait Guard: Send + Sync {
    /// Takes what keeps others away, or makes sure that it is still held. It is called before each
    /// act and undo, and has half a minute.
    fn ensure(&self) -> Pending<'_, Result<(), Failure>>;
}

/// The answer of a check.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The step has no effect on the world now.
    NotDone,
    /// The step is done, with evidence for the journal. Never a secret.
    Done(Value),
    /// Some of it is done. The reason tells how much.
    Partly(String),
    /// The world could not be asked, or gave no clear answer. Nothing happens until it does.
    Unknown(String),
}

/// The reason why an act or an undo failed.
///
/// It is kept in the journal and shown to people. Never put a secret into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Failure {
    /// The fact and its cause: `fact: cause`, in lower case.
    pub reason: String,
    /// The remedy, as one sentence for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// True if the same act may succeed later with nothing else changed.
    pub is_retryable: bool,
}

impl Failure {
    /// A failure that stays until something is changed.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: None, is_retryable: false }
    }

    /// A failure that may be gone the next time.
    pub fn retryable(reason: impl Into<String>) -> Self {
        Self { is_retryable: true, ..Self::permanent(reason) }
    }

    /// The failure, with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failure {}
