//! The state of a run, for people and timers.

use jiff::Timestamp;

use crate::past::{Mark, Past};
use crate::{End, Event, Failure, Reason, Run, Window};

/// The state of a run as its records tell it. The world may be further: only a run asks it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The part of its life that the run is in.
    pub phase: Phase,
    /// The time the run was begun.
    pub begun: Option<Timestamp>,
    /// The step of the newest record that is about one.
    pub step: Option<String>,
    /// The open time boxes. One that is overdue needs a run now.
    pub windows: Vec<Window>,
    /// The reason why the newest act, undo or stop did not succeed.
    pub trouble: Option<Failure>,
}

/// A part of the life of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// On the way to the commit point, or to the end where there is none.
    Forward,
    /// The commit point may or may not have been passed: the next run asks.
    Committing,
    /// Past the commit point.
    Committed,
    /// On the way back.
    Back(Reason),
    /// Over.
    Ended(End),
}

impl Run {
    /// The state of the run at this time.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        let past = Past::of(&self.runbook, &self.entries);
        let newest = self.entries.iter().rev().find(|entry| entry.event.step().is_some());
        Status {
            phase: phase(self, &past),
            begun: self.entries.first().map(|entry| entry.at),
            step: newest.and_then(|entry| entry.event.step()).map(str::to_owned),
            windows: past.windows(&self.runbook, now),
            trouble: newest.and_then(|entry| trouble(&entry.event)),
        }
    }
}

fn phase(run: &Run, past: &Past<'_>) -> Phase {
    if let Some(end) = past.end {
        return Phase::Ended(end.clone());
    }
    let commit = run.runbook.commit_point().map(|commit| &past.marks[commit]);
    if commit.is_some_and(Mark::is_done) {
        return Phase::Committed;
    }
    match past.turned_back {
        Some(reason) => Phase::Back(reason.clone()),
        None if commit.is_some_and(|mark| mark.is_touched) => Phase::Committing,
        None => Phase::Forward,
    }
}

fn trouble(event: &Event) -> Option<Failure> {
    match event {
        Event::Failed { failure, .. }
        | Event::UndoFailed { failure, .. }
        | Event::Stopped { failure, .. } => Some(failure.clone()),
        _ => None,
    }
}
