//! The steps of a move as they are told while they are taken.

use std::sync::Arc;

use runbook::{Event, Observer, Progress};

use super::Migration;
use crate::ops::Ops;

/// Tells the console.
pub(super) struct Teller(pub(super) Arc<Migration>);

impl Observer for Teller {
    fn on(&self, progress: Progress<'_>) {
        let ops = &self.0.ops;
        match progress {
            Progress::Acting(facts) => ops.say(&facts.title),
            Progress::Undoing(facts) => ops.say(format_args!("undo: {}", facts.title)),
            Progress::Overdue(window) => {
                ops.warn(format_args!("the time for `{}` is over", window.time_box));
            }
            Progress::Recorded(entry) => {
                self.0.remember(entry);
                tell(ops, &entry.event);
            }
            _ => {}
        }
    }
}

fn tell(ops: &Ops, event: &Event) {
    match event {
        Event::Failed { step, failure } | Event::Stopped { step, failure } => {
            ops.warn(format_args!("{step}: {failure}"));
            failure.hint.iter().for_each(|hint| ops.hint(hint));
        }
        Event::UndoFailed { step, failure } => {
            ops.warn(format_args!("{step} could not be undone: {failure}"));
            failure.hint.iter().for_each(|hint| ops.hint(hint));
        }
        Event::TurnedBack { reason } => {
            ops.warn(format_args!("undoing everything: {reason}"));
        }
        _ => {}
    }
}
