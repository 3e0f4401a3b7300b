//! The knowledge of one process. It is lost with the process, and that is the point: the next one
//! asks again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Found;

/// Everything that one process has found and done in a run.
#[derive(Debug, Clone, Default)]
pub struct Session {
    found: BTreeMap<usize, (Found, u64)>,
    acted: BTreeMap<usize, Value>,
    undone: BTreeSet<usize>,
    /// The number of acts and undos so far.
    changes: u64,
}

impl Session {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the answer of a check.
    pub fn found(&mut self, step: usize, found: Found) {
        self.found.insert(step, (found, self.changes));
    }

    /// An act begins. From now on the step has to be asked again.
    pub fn acting(&mut self, step: usize) {
        self.change(step);
        self.acted.insert(step, Value::Null);
    }

    /// An act succeeded, with its evidence.
    pub fn acted(&mut self, step: usize, evidence: Value) {
        self.acted.insert(step, evidence);
    }

    /// An undo begins. From now on the step has to be asked again.
    pub fn undoing(&mut self, step: usize) {
        self.change(step);
        self.undone.insert(step);
    }

    /// The run turned back: nothing that was found on the way forward counts.
    pub fn turned_back(&mut self) {
        self.found.clear();
    }

    fn change(&mut self, step: usize) {
        self.changes += 1;
        self.found.remove(&step);
    }

    pub(crate) fn answer(&self, step: usize) -> Option<&Found> {
        self.found.get(&step).map(|(found, _)| found)
    }

    /// The step was asked, and nothing was changed since.
    pub(crate) fn is_fresh(&self, step: usize) -> bool {
        self.found.get(&step).is_some_and(|(_, changes)| *changes == self.changes)
    }

    /// The evidence of the act of this process, if there was one.
    pub(crate) fn evidence(&self, step: usize) -> Option<&Value> {
        self.acted.get(&step)
    }

    pub(crate) fn has_undone(&self, step: usize) -> bool {
        self.undone.contains(&step)
    }
}
