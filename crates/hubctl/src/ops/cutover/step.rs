//! The steps of a move, as the runbook sees them: errors of hubctl become findings and failures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runbook::{Failure, Found, Pending, StepFacts};
use serde_json::Value;

use super::Migration;
use crate::exit::Exit;
use crate::failure;

/// The longest time of a step that carries all rows.
pub(super) const LONG: Duration = Duration::from_secs(24 * 3600);
/// The longest time of a step that asks a few questions.
pub(super) const SHORT: Duration = Duration::from_secs(60);

/// Something to be done, and the question whether it is done.
pub(super) trait Work: Send + Sync {
    /// The description, the same each time.
    fn facts(&self) -> StepFacts;

    /// Asks the world.
    fn check(&self, migration: &Migration) -> impl Future<Output = anyhow::Result<Found>> + Send;

    /// Does it, and returns evidence.
    fn act(&self, migration: &Migration) -> impl Future<Output = anyhow::Result<Value>> + Send;

    /// Undoes it.
    fn undo(&self, migration: &Migration) -> impl Future<Output = anyhow::Result<()>> + Send {
        let _ = migration;
        async { Ok(()) }
    }

    /// The longest time of a check.
    fn check_limit(&self) -> Duration {
        SHORT
    }

    /// The longest time of an act or undo.
    fn limit(&self) -> Duration {
        SHORT
    }
}

/// A step of a runbook.
pub(super) struct Step<W> {
    migration: Arc<Migration>,
    work: W,
}

impl<W: Work + 'static> Step<W> {
    pub(super) fn boxed(migration: &Arc<Migration>, work: W) -> Box<dyn runbook::Step> {
        Box::new(Self { migration: Arc::clone(migration), work })
    }
}

impl<W: Work> runbook::Step for Step<W> {
    fn facts(&self) -> StepFacts {
        self.work.facts()
    }

    fn check(&self) -> Pending<'_, Found> {
        Box::pin(async {
            let found = self.work.check(&self.migration).await;
            found.unwrap_or_else(|error| Found::Unknown(failure_of(&error).reason))
        })
    }

    fn act(&self) -> Pending<'_, Result<Value, Failure>> {
        Box::pin(async { self.work.act(&self.migration).await.map_err(|error| failure_of(&error)) })
    }

    fn undo(&self) -> Pending<'_, Result<(), Failure>> {
        Box::pin(async {
            self.work.undo(&self.migration).await.map_err(|error| failure_of(&error))
        })
    }

    fn check_limit(&self) -> Duration {
        self.work.check_limit()
    }

    fn limit(&self) -> Duration {
        self.work.limit()
    }
}

/// An error as the journal keeps it: the fact and its causes, the hint, and whether it may pass.
pub(super) fn failure_of(error: &anyhow::Error) -> Failure {
    let shown = failure::Failure::of(error);
    let lines = std::iter::once(shown.message).chain(shown.causes);
    let reason = lines.collect::<Vec<_>>().join(": ");
    let failure = match shown.exit {
        Exit::CouldNotAsk => Failure::retryable(reason),
        _ => Failure::permanent(reason),
    };
    match shown.hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Returns true if the answer is no, rather than that nothing could be asked.
pub(super) fn is_no(error: &anyhow::Error) -> bool {
    failure::Failure::of(error).exit == Exit::No
}

/// A poisoned lock holds a whole value all the same.
pub(super) fn memory<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}
