//! Runbooks: steps that survive a crash, and are undone unless the commit point is passed.
//!
//! Moving something irreplaceable takes many steps on several machines, and the program that takes
//! them can be killed between any two. A [`Runbook`] is a list of such steps with at most one
//! commit point. A [`Runner`] takes them one at a time, and writes what it is about to do to a
//! [`Journal`](journal::Journal) before it does it. Killed at any moment and run again, it ends
//! with every step done, or with every step undone.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
//!
//! use runbook::{
//!     Effect, End, Failure, Found, Intent, Outcome, Pending, Runbook, Runner, Step, StepFacts,
//! };
//! use serde_json::{Value, json};
//!
//! /// A switch to be turned on.
//! struct Switch(StepFacts, AtomicBool);
//!
//! impl Step for Switch {
//!     fn facts(&self) -> StepFacts {
//!         self.0.clone()
//!     }
//!     fn check(&self) -> Pending<'_, Found> {
//!         let is_on = self.1.load(Relaxed);
//!         Box::pin(async move { if is_on { Found::Done(json!("on")) } else { Found::NotDone } })
//!     }
//!     fn act(&self) -> Pending<'_, Result<Value, Failure>> {
//!         self.1.store(true, Relaxed);
//!         Box::pin(async { Ok(Value::Null) })
//!     }
//!     fn undo(&self) -> Pending<'_, Result<(), Failure>> {
//!         self.1.store(false, Relaxed);
//!         Box::pin(async { Ok(()) })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let switch = |facts| -> Box<dyn Step> { Box::new(Switch(facts, AtomicBool::new(false))) };
//! let steps = [
//!     switch(StepFacts::new("close", "Close the old door")),
//!     switch(StepFacts::new("move", "Move in").with_effect(Effect::Commit)),
//!     switch(StepFacts::new("open", "Open the new door")),
//! ];
//! let runbook = Runbook::new("house-1", steps.iter().map(|step| step.facts()), [])?;
//!
//! let journal = journal::Journal::open(directory.path().join("journal.jsonl"))?;
//! let runner = Runner::open(&journal, &runbook, Arc::new(jiff::Timestamp::now))?;
//! let outcome = runner.execute(&steps, Intent::Forward).await?;
//! assert_eq!(outcome, Outcome::Ended(End::Done));
//! # Ok(())
//! # }
//! ```
//!
//! # The world is asked, the journal is not believed
//!
//! A journal can say that something was begun. It cannot say that it happened, nor that it still
//! holds. So each step has a `check` that asks the world, and:
//!
//! - an act comes only after a check of its step, in the same process, that found it not done;
//! - a success counts only after a check that finds the step done;
//! - a later process asks every step again, except readings ([`OnResume::Recorded`]);
//! - before the commit point, every step that must hold is asked once more;
//! - [`Found::Unknown`] stops the run. Nothing is done and nothing undone on a guess.
//!
//! The journal is believed in one thing: a step without an intent was never begun by this run.
//! Where a step was done before the run came, going back leaves it alone.
//!
//! # The commit point decides the direction
//!
//! Before it, a failure turns the run back ([`OnFailure`]), and so does a step that has lapsed, a
//! [`TimeBox`] that is over, and the caller ([`Intent::Back`]). A run that has turned back only
//! undoes, whatever it is asked for: to try again, begin another run. The last step is undone
//! first.
//!
//! After the commit point nothing is undone. A failure stops the run, and the next process goes
//! on. The way back is another runbook. While the commit point *may* have been passed, it is asked
//! before anything else, and until it answers nothing happens.
//!
//! # The decisions are pure
//!
//! [`next`] decides, from the records, from what this process has found ([`Session`]), and from the
//! time. It neither waits nor writes. The [`Runner`] carries out its decisions, and knows nothing
//! else. [`Run::status`] tells the state from the records alone, so a timer can watch a time box
//! without the steps.
//!
//! # One runner
//!
//! A lock beside the journal keeps other runners of the same journal away, and a run begins only
//! where no other one is unfinished. To keep away runners with other journals, give the runner a
//! [`Guard`]. To cancel a run, drop its future: that is a crash without the noise.
//!
//! A time box cannot be enforced by a process that was killed. Run the runbook again, or its
//! status, from a timer.
//!
//! Records are specified in `docs/formats/runbook.md`. They are clear text: no reason, hint or
//! evidence may hold a secret.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod description;
mod entry;
mod error;
mod lock;
mod next;
mod observer;
mod past;
mod run;
mod runner;
mod session;
mod status;
mod step;

pub use crate::{
    description::{Effect, OnFailure, OnResume, Runbook, StepFacts, TimeBox},
    entry::{End, Entry, Event, Reason},
    error::{Error, ErrorClass},
    lock::Owner,
    next::{Decision, Intent, Obstacle, next},
    observer::{Observer, Progress, Silent},
    past::Window,
    run::Run,
    runner::{Clock, Outcome, Runner},
    session::Session,
    status::{Phase, Status},
    step::{Failure, Found, Guard, Pending, Step},
};
