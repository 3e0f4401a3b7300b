//! The decision that follows from the records and the findings. No I/O and no clock.

use std::ops::Range;

use jiff::Timestamp;
use serde_json::Value;

use crate::past::{Last, Past};
use crate::{
    Effect, End, Entry, Event, Failure, Found, OnFailure, OnResume, Reason, Runbook, Session,
    StepFacts,
};

/// The direction that the caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// To the end. A run that has turned back goes on back all the same.
    Forward,
    /// Undo everything. Past the commit point, nothing is done.
    Back,
}

/// The next thing to do. Steps are named by their position.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Write this to the journal.
    Record(Event),
    /// Ask the step.
    Check(usize),
    /// Write the intent to the journal, then act.
    Do(usize),
    /// Write the intent to the journal, then undo.
    Undo(usize),
    /// Stop until a person allows the step.
    NeedsApproval {
        /// The step that waits.
        step: usize,
        /// The name of the approval.
        approval: String,
    },
    /// Stop: nothing can be decided, or nothing helps but a person.
    Stuck {
        /// The step.
        step: usize,
        /// The obstacle.
        obstacle: Obstacle,
    },
    /// The run is over.
    Ended(End),
}

/// The reason why a run cannot go on by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// A check could not tell.
    #[error("its state is unknown: {0}")]
    Unknown(String),
    /// The act failed.
    #[error("it failed: {0}")]
    Failed(Failure),
    /// The undo failed.
    #[error("its undo failed: {0}")]
    UndoFailed(Failure),
    /// The commit point, which is one atomic change, was found half done.
    #[error("the commit point is half done: {0}")]
    HalfCommitted(String),
    /// The commit point is recorded as done, and a check does not find it done.
    #[error("it is recorded as committed, and is not found done")]
    CommitLost,
    /// The commit point is found done, although other steps were undone because it was not.
    #[error("it is found committed, although other steps were undone")]
    CommittedWhileUndoing,
    /// The way back was asked for past the commit point.
    #[error("the run is past its commit point, and cannot be undone")]
    Committed,
    /// The guard of the caller does not hold.
    #[error("others are not kept away: {0}")]
    Unguarded(Failure),
}

impl Obstacle {
    /// Returns whether running again may help with nothing else changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unknown(_) => true,
            Self::Failed(failure) | Self::UndoFailed(failure) | Self::Unguarded(failure) => {
                failure.is_retryable
            }
            Self::HalfCommitted(_)
            | Self::CommitLost
            | Self::CommittedWhileUndoing
            | Self::Committed => false,
        }
    }

    /// The remedy, as one sentence for the operator.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unknown(_) => Some("make it answer, then run again: nothing is changed before"),
            Self::Failed(failure) | Self::UndoFailed(failure) | Self::Unguarded(failure) => {
                failure.hint.as_deref()
            }
            Self::HalfCommitted(_) | Self::CommitLost | Self::CommittedWhileUndoing => {
                Some("find out by hand which side is in charge before anything is changed")
            }
            Self::Committed => Some("go forward to its end, or go back with a run of its own"),
        }
    }

    pub(crate) fn to_failure(&self) -> Failure {
        Failure {
            reason: self.to_string(),
            hint: self.hint().map(str::to_owned),
            is_retryable: self.is_retryable(),
        }
    }
}

/// Decides what to do next, from the records of a run, what this process has found, and the time.
///
/// The journal is believed about intents only: a step without one was never begun by this run, and
/// is not undone. What is done and what is not, the checks say.
#[must_use]
pub fn next(
    runbook: &Runbook,
    entries: &[Entry],
    session: &Session,
    intent: Intent,
    now: Timestamp,
) -> Decision {
    let past = Past::of(runbook, entries);
    let now = past.not_before_latest(now);
    Deciding { runbook, past, session, now }.decide(intent)
}

/// The arguments of one decision.
struct Deciding<'a> {
    runbook: &'a Runbook,
    past: Past<'a>,
    session: &'a Session,
    now: Timestamp,
}

impl Deciding<'_> {
    fn decide(&self, intent: Intent) -> Decision {
        if let Some(end) = self.past.end {
            return Decision::Ended(end.clone());
        }
        if !self.past.is_begun {
            return match intent {
                Intent::Forward => Decision::Record(Event::Begun { runbook: self.runbook.clone() }),
                Intent::Back => Decision::Ended(End::RolledBack),
            };
        }
        // The direction depends on the commit point alone, so that is asked first.
        match (self.committed(), intent) {
            (Err(decision), _) => decision,
            (Ok(Some(step)), Intent::Back) => {
                Decision::Stuck { step, obstacle: Obstacle::Committed }
            }
            (Ok(Some(commit)), Intent::Forward) => self.forward(commit + 1..self.len(), true),
            (Ok(None), _) if self.past.turned_back.is_some() => self.back(),
            (Ok(None), _) => match self.reason_to_turn_back(intent) {
                Some(reason) => Decision::Record(Event::TurnedBack { reason }),
                None => self.forward(0..self.len(), false),
            },
        }
    }

    fn len(&self) -> usize {
        self.runbook.steps().len()
    }

    /// The commit point, where it is passed. One that was never begun is not asked: its answer
    /// could only keep the way back closed.
    fn committed(&self) -> Result<Option<usize>, Decision> {
        let Some(step) = self.runbook.commit_point() else { return Ok(None) };
        let mark = &self.past.marks[step];
        if mark.last == Last::Nothing {
            return Ok(None);
        }
        let stuck = |obstacle| Err(Decision::Stuck { step, obstacle });
        match self.session.answer(step) {
            None => Err(Decision::Check(step)),
            Some(Found::Unknown(reason)) => stuck(Obstacle::Unknown(reason.clone())),
            Some(Found::Partly(reason)) => stuck(Obstacle::HalfCommitted(reason.clone())),
            Some(Found::NotDone) if mark.is_done() => stuck(Obstacle::CommitLost),
            Some(Found::NotDone) => Ok(None),
            Some(Found::Done(_)) if mark.is_done() => Ok(Some(step)),
            Some(Found::Done(_)) if self.past.is_undoing => stuck(Obstacle::CommittedWhileUndoing),
            Some(Found::Done(check)) => Err(self.done(step, check)),
        }
    }

    fn reason_to_turn_back(&self, intent: Intent) -> Option<Reason> {
        if intent == Intent::Back {
            return Some(Reason::Requested);
        }
        let windows = self.past.windows(self.runbook, self.now);
        let overdue = windows.into_iter().find(|window| window.is_overdue)?;
        Some(Reason::Overdue { time_box: overdue.time_box })
    }

    fn forward(&self, mut steps: Range<usize>, is_committed: bool) -> Decision {
        steps
            .find_map(|step| self.forward_at(step, is_committed))
            .unwrap_or(Decision::Record(Event::Ended { end: End::Done }))
    }

    /// The decision about one step on the way forward; nothing where it is done.
    fn forward_at(&self, step: usize, is_committed: bool) -> Option<Decision> {
        let (facts, mark) = (self.facts(step), &self.past.marks[step]);
        if mark.is_done() && facts.on_resume == OnResume::Recorded && facts.effect != Effect::Commit
        {
            return None;
        }
        match self.session.answer(step) {
            None => Some(Decision::Check(step)),
            Some(Found::Unknown(reason)) => {
                Some(Decision::Stuck { step, obstacle: Obstacle::Unknown(reason.clone()) })
            }
            Some(Found::Done(_)) if mark.is_done() => None,
            Some(Found::Done(check)) => Some(self.done(step, check)),
            Some(Found::Partly(reason)) if facts.effect == Effect::Commit => {
                Some(Decision::Stuck { step, obstacle: Obstacle::HalfCommitted(reason.clone()) })
            }
            Some(Found::NotDone | Found::Partly(_)) => Some(self.undone_at(step, is_committed)),
        }
    }

    /// The decision about a step that was found not done, or partly done, on the way forward.
    fn undone_at(&self, step: usize, is_committed: bool) -> Decision {
        let (facts, mark) = (self.facts(step), &self.past.marks[step]);
        let id = || facts.id.clone();
        let turns_back = !is_committed && facts.on_failure == OnFailure::TurnBack;
        match mark.last {
            Last::Failed(_) if turns_back => {
                Decision::Record(Event::TurnedBack { reason: Reason::Failed { step: id() } })
            }
            Last::Failed(failure) if self.session.evidence(step).is_some() => {
                Decision::Stuck { step, obstacle: Obstacle::Failed(failure.clone()) }
            }
            Last::Done if !is_committed && facts.on_resume == OnResume::MustHold => {
                Decision::Record(Event::TurnedBack { reason: Reason::Lapsed { step: id() } })
            }
            _ if self.session.evidence(step).is_some() => Decision::Record(Event::Failed {
                step: id(),
                failure: Failure::permanent("the act succeeded, but is not found done"),
            }),
            _ => self.begin(step),
        }
    }

    fn begin(&self, step: usize) -> Decision {
        let facts = self.facts(step);
        if let Some(approval) = &facts.approval
            && !self.past.is_approved(approval, self.now)
        {
            return Decision::NeedsApproval { step, approval: approval.clone() };
        }
        if facts.effect == Effect::Commit
            && let Some(stale) = self.stale_before(step)
        {
            return Decision::Check(stale);
        }
        Decision::Do(step)
    }

    /// Everything that has to hold is asked once more before the commit point, the commit point
    /// last.
    fn stale_before(&self, commit: usize) -> Option<usize> {
        (0..=commit).find(|step| {
            let is_asked = *step == commit || self.facts(*step).on_resume != OnResume::Recorded;
            is_asked && !self.session.is_fresh(*step)
        })
    }

    fn back(&self) -> Decision {
        (0..self.len())
            .rev()
            .find_map(|step| self.back_at(step))
            .unwrap_or(Decision::Record(Event::Ended { end: End::RolledBack }))
    }

    /// The decision about one step on the way back; nothing where there is nothing to undo.
    fn back_at(&self, step: usize) -> Option<Decision> {
        let (facts, mark) = (self.facts(step), &self.past.marks[step]);
        if !mark.is_touched || facts.effect != Effect::Reversible {
            return None;
        }
        let id = || facts.id.clone();
        Some(match (self.session.answer(step), mark.last) {
            (None, _) => Decision::Check(step),
            (Some(Found::Unknown(reason)), _) => {
                Decision::Stuck { step, obstacle: Obstacle::Unknown(reason.clone()) }
            }
            (Some(Found::NotDone), _) => Decision::Record(Event::Undone { step: id() }),
            (Some(Found::Done(_) | Found::Partly(_)), last) if self.session.has_undone(step) => {
                match last {
                    Last::UndoFailed(failure) => {
                        Decision::Stuck { step, obstacle: Obstacle::UndoFailed(failure.clone()) }
                    }
                    _ => Decision::Record(Event::UndoFailed {
                        step: id(),
                        failure: Failure::permanent("the undo succeeded, but is found done"),
                    }),
                }
            }
            (Some(Found::Done(_) | Found::Partly(_)), _) => Decision::Undo(step),
        })
    }

    fn done(&self, step: usize, check: &Value) -> Decision {
        let act = self.session.evidence(step).cloned().unwrap_or_default();
        let step = self.facts(step).id.clone();
        Decision::Record(Event::Done { step, act, check: check.clone() })
    }

    fn facts(&self, step: usize) -> &StepFacts {
        &self.runbook.steps()[step]
    }
}

#[cfg(test)]
mod tests;
