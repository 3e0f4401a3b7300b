//! The news of a runner while it works.

use crate::{Entry, Found, StepFacts, Window};

/// Takes in what a runner does, to show it.
pub trait Observer: Send + Sync {
    /// Something happens now, or has just happened.
    fn on(&self, progress: Progress<'_>);
}

/// The news of a runner.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A step is asked.
    Checking(&'a StepFacts),
    /// A step has answered.
    Found(&'a StepFacts, &'a Found),
    /// The act of a step begins; its intent is in the journal.
    Acting(&'a StepFacts),
    /// The undo of a step begins; its intent is in the journal.
    Undoing(&'a StepFacts),
    /// A record is in the journal.
    Recorded(&'a Entry),
    /// A time box is over. It is told once by each runner.
    Overdue(&'a Window),
}

/// An observer that shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _: Progress<'_>) {}
}
