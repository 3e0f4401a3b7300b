//! Carries out decisions, one at a time, with every intent in the journal before its act.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use journal::Journal;
use serde_json::Value;

use crate::lock::{self, Lock};
use crate::observer::{Observer, Progress, Silent};
use crate::past::Past;
use crate::{
    Decision, End, Entry, Error, Event, Failure, Found, Guard, Intent, Obstacle, Run, Runbook,
    Session, Step, StepFacts, next,
};

/// The time of a [`Guard`].
const GUARD_LIMIT: Duration = Duration::from_secs(30);

/// Added to the time left in a time box.
const GRACE: Duration = Duration::from_secs(1);

/// The clock of a runner. It should be the same for all runs of a journal.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The one process that works on the runs of a journal.
///
/// It holds a lock beside the journal until it is dropped, and until the last record that it was
/// writing is on the disk.
pub struct Runner {
    journal: Journal,
    lock: Arc<Lock>,
    clock: Clock,
    run: Run,
    session: Session,
    guard: Option<Box<dyn Guard>>,
    observer: Box<dyn Observer>,
    /// The time boxes that the observer knows to be over.
    told: BTreeSet<String>,
}

/// The state in which a runner left a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The run is over.
    Ended(End),
    /// A person has to allow a step. Record that with [`Runner::approve`] and run again.
    NeedsApproval {
        /// The step that waits.
        step: String,
        /// The name of the approval.
        approval: String,
    },
    /// The run cannot go on by itself. The same run goes on from here.
    Stuck {
        /// The step.
        step: String,
        /// The obstacle.
        obstacle: Obstacle,
    },
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("journal", &self.journal).field("run", &self.run).finish()
    }
}

impl Runner {
    /// Takes the lock, reads the journal, and finds the run of this runbook or prepares to begin
    /// it.
    ///
    /// It blocks for as long as the journal takes to be read. To resume a run whose time boxes
    /// would be described otherwise today, take its runbook from [`Run::read`].
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] while another runner is at work, [`Error::Unfinished`] where another run
    /// of this journal has not ended, [`Error::Changed`] where the run was begun with another
    /// description, and the errors of [`Run::read`].
    pub fn open(journal: &Journal, runbook: &Runbook, clock: Clock) -> Result<Self, Error> {
        let lock = Arc::new(Lock::acquire(journal.path(), clock())?);
        // A line that a crash tore was never acknowledged, so nothing was done because of it.
        journal.recover(clock().into())?;
        let mut run = Run { runbook: runbook.clone(), entries: Vec::new() };
        for other in Run::read(journal)? {
            let id = other.runbook.id().to_owned();
            if id == runbook.id() {
                if let Some(difference) = other.runbook.difference(runbook) {
                    return Err(Error::Changed { id, difference });
                }
                run = other;
            } else if !other.is_ended() {
                return Err(Error::Unfinished { id });
            }
        }
        Ok(Self {
            journal: journal.clone(),
            lock,
            clock,
            run,
            session: Session::new(),
            guard: None,
            observer: Box::new(Silent),
            told: BTreeSet::new(),
        })
    }

    /// The runner, which asks this guard before each act and undo.
    #[must_use]
    pub fn guarded_by(mut self, guard: impl Guard + 'static) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// The runner, which tells this observer what it does.
    #[must_use]
    pub fn observed_by(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// The run as it is recorded.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Records that a person allowed the steps that need this approval, with what proves it.
    ///
    /// The proof is the caller's duty: nothing is verified here.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where no step needs this approval, or the run has ended, and the errors
    /// of the journal.
    pub async fn approve(
        &mut self,
        approval: impl Into<String>,
        until: Option<Timestamp>,
        evidence: Value,
    ) -> Result<(), Error> {
        let approval = approval.into();
        let steps = self.run.runbook.steps();
        if !steps.iter().any(|facts| facts.approval.as_ref() == Some(&approval)) {
            return Err(Error::invalid(format!("no step needs the approval `{approval}`")));
        }
        self.begin().await?;
        self.record(Event::Approved { approval, until, evidence }).await
    }

    /// Ends the run as it is, whatever it has changed, so that another one may be begun.
    ///
    /// It is for a run that can neither go on nor back, and for a person who knows the world better
    /// than its checks do.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where the run was not begun or has ended, and the errors of the journal.
    pub async fn abandon(mut self, reason: impl Into<String>) -> Result<(), Error> {
        if self.run.entries.is_empty() {
            return Err(Error::invalid("a run that was not begun cannot be abandoned"));
        }
        self.begin().await?;
        self.record(Event::Ended { end: End::Abandoned { reason: reason.into() } }).await
    }

    /// Works until the run is over, or cannot go on by itself.
    ///
    /// To cancel it, drop the future: what was under way is then as after a crash, and the next
    /// runner asks for it. The runtime needs timers.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where the steps are not those of the runbook, and the errors of the
    /// journal. After an error, run again with a new runner.
    pub async fn execute(
        mut self,
        steps: &[Box<dyn Step>],
        intent: Intent,
    ) -> Result<Outcome, Error> {
        self.require(steps)?;
        loop {
            let now = (self.clock)();
            self.tell_overdue(now);
            match next(&self.run.runbook, &self.run.entries, &self.session, intent, now) {
                Decision::Record(event) => self.record(event).await?,
                Decision::Check(step) => self.check(step, &*steps[step]).await,
                Decision::Do(step) | Decision::Undo(step)
                    if let Err(failure) = self.ensure_guard().await =>
                {
                    return self.stop(step, Obstacle::Unguarded(failure)).await;
                }
                Decision::Do(step) => self.act(step, &*steps[step]).await?,
                Decision::Undo(step) => self.undo(step, &*steps[step]).await?,
                Decision::NeedsApproval { step, approval } => {
                    let step = self.facts(step).id.clone();
                    return Ok(Outcome::NeedsApproval { step, approval });
                }
                Decision::Stuck { step, obstacle } => return self.stop(step, obstacle).await,
                Decision::Ended(end) => return Ok(Outcome::Ended(end)),
            }
        }
    }

    fn require(&self, steps: &[Box<dyn Step>]) -> Result<(), Error> {
        let facts = steps.iter().map(|step| step.facts());
        let given =
            Runbook::new(self.run.runbook.id(), facts, self.run.runbook.time_boxes().to_vec())?;
        match self.run.runbook.difference(&given) {
            Some(difference) => Err(Error::invalid(format!("the steps are others: {difference}"))),
            None => Ok(()),
        }
    }

    async fn check(&mut self, step: usize, code: &dyn Step) {
        self.observer.on(Progress::Checking(self.facts(step)));
        let limit = code.check_limit();
        let found = match tokio::time::timeout(limit, code.check()).await {
            Ok(found) => found,
            Err(_) => Found::Unknown(format!("no answer within {limit:?}")),
        };
        self.observer.on(Progress::Found(self.facts(step), &found));
        self.session.found(step, found);
    }

    async fn act(&mut self, step: usize, code: &dyn Step) -> Result<(), Error> {
        let id = self.facts(step).id.clone();
        self.record(Event::Started { step: id.clone() }).await?;
        self.session.acting(step);
        self.observer.on(Progress::Acting(self.facts(step)));
        match within(self.allowed(step, code.limit()), code.act()).await {
            Ok(evidence) => self.session.acted(step, evidence),
            Err(failure) => self.record(Event::Failed { step: id, failure }).await?,
        }
        Ok(())
    }

    async fn undo(&mut self, step: usize, code: &dyn Step) -> Result<(), Error> {
        let id = self.facts(step).id.clone();
        self.record(Event::Undoing { step: id.clone() }).await?;
        self.session.undoing(step);
        self.observer.on(Progress::Undoing(self.facts(step)));
        match within(code.limit(), code.undo()).await {
            Ok(()) => Ok(()),
            Err(failure) => self.record(Event::UndoFailed { step: id, failure }).await,
        }
    }

    /// An act before the commit point ends with the time box that it is in. The commit point itself
    /// is not cut short: that would only make its outcome uncertain. A second more, and the clock
    /// agrees that the time box is over.
    fn allowed(&self, step: usize, limit: Duration) -> Duration {
        if self.run.runbook.commit_point().is_some_and(|commit| commit <= step) {
            return limit;
        }
        let now = (self.clock)();
        let past = Past::of(&self.run.runbook, &self.run.entries);
        let windows = past.windows(&self.run.runbook, now);
        let left = windows
            .iter()
            .map(|window| Duration::try_from(now.duration_until(window.until)).unwrap_or_default());
        left.map(|left| left + GRACE).fold(limit, Duration::min)
    }

    async fn ensure_guard(&self) -> Result<(), Failure> {
        match &self.guard {
            Some(guard) => within(GUARD_LIMIT, guard.ensure()).await,
            None => Ok(()),
        }
    }

    async fn stop(mut self, step: usize, obstacle: Obstacle) -> Result<Outcome, Error> {
        let step = self.facts(step).id.clone();
        let event = Event::Stopped { step: step.clone(), failure: obstacle.to_failure() };
        // A timer that meets the same obstacle each minute does not fill the journal.
        if self.run.entries.last().is_none_or(|entry| entry.event != event) {
            self.record(event).await?;
        }
        Ok(Outcome::Stuck { step, obstacle })
    }

    async fn begin(&mut self) -> Result<(), Error> {
        if self.run.is_ended() {
            let id = self.run.runbook.id();
            return Err(Error::invalid(format!("run `{id}` has ended")));
        }
        if self.run.entries.is_empty() {
            self.record(Event::Begun { runbook: self.run.runbook.clone() }).await?;
        }
        Ok(())
    }

    /// Returns after the record is on the disk.
    async fn record(&mut self, event: Event) -> Result<(), Error> {
        let entry = Entry { at: (self.clock)(), event };
        let new = entry.to_record(self.run.runbook.id(), &lock::host());
        // A record is written to its end even where this future is dropped, and the lock is held
        // until then: another runner must not read the journal before.
        let (journal, lock) = (self.journal.clone(), Arc::clone(&self.lock));
        let appending = tokio::task::spawn_blocking(move || {
            let appended = journal.append(new);
            drop(lock);
            appended
        });
        appending.await.map_err(std::io::Error::from)??;
        if matches!(entry.event, Event::TurnedBack { .. }) {
            self.session.turned_back();
        }
        self.observer.on(Progress::Recorded(&entry));
        self.run.entries.push(entry);
        Ok(())
    }

    fn tell_overdue(&mut self, now: Timestamp) {
        let past = Past::of(&self.run.runbook, &self.run.entries);
        for window in past.windows(&self.run.runbook, now) {
            if window.is_overdue && self.told.insert(window.time_box.clone()) {
                self.observer.on(Progress::Overdue(&window));
            }
        }
    }

    fn facts(&self, step: usize) -> &StepFacts {
        &self.run.runbook.steps()[step]
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let too_long = |_| Err(Failure::retryable(format!("it did not end within {limit:?}")));
    tokio::time::timeout(limit, work).await.unwrap_or_else(too_long)
}
