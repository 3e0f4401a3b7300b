//! What a move was, step by step.

use std::time::Duration;

use jiff::Timestamp;
use runbook::{Entry, Event, Outcome, Reason, Run};
use serde::Serialize;

use super::Migration;
use super::questions::CutoverObstacle;
use super::runs::is_committed;
use crate::ops::Report;
use crate::settings::CutoverMode;

/// The plan of a move that was not begun.
#[derive(Debug, Clone, Serialize)]
pub struct CutoverPlanReport {
    /// The site that is left.
    pub from: String,
    /// The site that takes over.
    pub to: String,
    /// How the rows get there.
    pub mode: CutoverMode,
    /// False: nothing was changed.
    pub executed: bool,
    /// The epoch that begins with the commit point.
    pub epoch: u64,
    /// The unfinished run that `--execute` goes on with.
    pub resumes: Option<String>,
    /// The database at the target that would be kept under another name.
    pub keeps: Option<String>,
    /// The steps, in their order.
    pub steps: Vec<PlannedStep>,
    /// The longest time between the first stopped writer and the commit point, in seconds.
    pub freeze_budget: u64,
    /// The frozen time of the last cutover in this mode, in seconds.
    pub last_frozen_seconds: Option<f64>,
    /// Reasons to refuse the move.
    pub obstacles: Vec<CutoverObstacle>,
    /// True if everything else holds, and an approval is missing.
    pub needs_approval: bool,
    /// Facts to know before it.
    pub warnings: Vec<String>,
}

impl Report for CutoverPlanReport {
    const SCHEMA: &'static str = "hubctl.cutover-plan.v1";
}

impl CutoverPlanReport {
    /// Returns true if nothing is in the way.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.obstacles.is_empty()
    }
}

/// A step that would be taken.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedStep {
    /// Its name in the journal.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// True for the commit point.
    pub commits: bool,
}

/// Where a move ended, or stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutoverOutcome {
    /// The target is the primary, and every step is done.
    Done,
    /// Everything is as it was before.
    Undone,
    /// A person ended the run as it was.
    Abandoned,
    /// The run goes on from here once the obstacle is gone.
    Stuck,
    /// A person has to allow a step.
    NeedsApproval,
}

impl CutoverOutcome {
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ended(runbook::End::Done) => Self::Done,
            Outcome::Ended(runbook::End::RolledBack) => Self::Undone,
            Outcome::Ended(runbook::End::Abandoned { .. }) => Self::Abandoned,
            Outcome::NeedsApproval { .. } => Self::NeedsApproval,
            Outcome::Stuck { .. } => Self::Stuck,
        }
    }

    /// The word in the journal.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Abandoned => "abandoned",
            Self::Stuck => "stuck",
            Self::NeedsApproval => "needs-approval",
        }
    }
}

/// A move, finished or not.
#[derive(Debug, Clone, Serialize)]
pub struct CutoverReport {
    /// The id of the run.
    pub run: String,
    /// The site that was left.
    pub from: String,
    /// The site that took over.
    pub to: String,
    /// How the rows got there.
    pub mode: CutoverMode,
    /// True: the run was begun.
    pub executed: bool,
    /// The epoch that the commit point began, or would have begun.
    pub epoch: u64,
    /// Where the run ended, or stopped.
    pub outcome: CutoverOutcome,
    /// True if everything was undone because that was asked for.
    pub requested: bool,
    /// True if the target is the primary.
    pub committed: bool,
    /// The time from the first stopped writer to the commit point, in seconds.
    pub frozen_seconds: Option<f64>,
    /// The step that failed first, or that the run stopped at.
    pub trouble: Option<StepTrouble>,
    /// Things that were left out because they could not be done any more.
    pub warnings: Vec<String>,
    /// The steps, in their order.
    pub steps: Vec<TakenStep>,
}

impl Report for CutoverReport {
    const SCHEMA: &'static str = "hubctl.cutover.v1";
}

/// The reason why a step did not succeed.
#[derive(Debug, Clone, Serialize)]
pub struct StepTrouble {
    /// The step.
    pub step: String,
    /// The fact and its cause.
    pub reason: String,
    /// The remedy.
    pub hint: Option<String>,
    /// True if the same may succeed later with nothing else changed.
    pub retryable: bool,
}

/// A step of a run.
#[derive(Debug, Clone, Serialize)]
pub struct TakenStep {
    /// Its name in the journal.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// Where it stands.
    pub state: StepState,
    /// The time from its act to its proof, in seconds.
    pub seconds: Option<f64>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Begun.
    Begun,
    /// Done.
    Done,
    /// Failed, and not undone.
    Failed,
    /// Undone.
    Undone,
}

impl CutoverReport {
    pub(super) fn of(migration: &Migration, run: &Run, outcome: &Outcome) -> Self {
        let steps = run.runbook.steps().iter();
        let steps = steps.map(|facts| taken(&facts.id, &facts.title, &run.entries)).collect();
        let frozen = frozen(run);
        Self {
            run: migration.id.to_string(),
            from: migration.from.name.clone(),
            to: migration.to.name.clone(),
            mode: migration.mode,
            executed: true,
            epoch: migration.epoch,
            outcome: CutoverOutcome::of(outcome),
            requested: run.entries.iter().any(|entry| {
                matches!(entry.event, Event::TurnedBack { reason: Reason::Requested })
            }),
            committed: is_committed(run),
            frozen_seconds: frozen.map(|frozen| frozen.as_secs_f64()),
            trouble: trouble(run, outcome),
            warnings: skipped(run),
            steps,
        }
    }
}

/// The parts that steps left out, as they recorded them.
fn skipped(run: &Run) -> Vec<String> {
    let acts = run.entries.iter().filter_map(|entry| match &entry.event {
        Event::Done { act, .. } => act["skipped"].as_str(),
        _ => None,
    });
    acts.map(str::to_owned).collect()
}

/// The time from the first stopped writer to the commit point.
pub(super) fn frozen(run: &Run) -> Option<Duration> {
    let time_box = run.runbook.time_boxes().first()?;
    let began =
        time(run, |event| matches!(event, Event::Started { step } if *step == time_box.opens));
    let ended =
        time(run, |event| matches!(event, Event::Done { step, .. } if *step == time_box.closes));
    Duration::try_from(ended?.duration_since(began?)).ok()
}

fn time(run: &Run, is_it: impl Fn(&Event) -> bool) -> Option<Timestamp> {
    run.entries.iter().find(|entry| is_it(&entry.event)).map(|entry| entry.at)
}

fn taken(id: &str, title: &str, entries: &[Entry]) -> TakenStep {
    let mut step = TakenStep {
        id: id.to_owned(),
        title: title.to_owned(),
        state: StepState::Pending,
        seconds: None,
    };
    let mut began: Option<Timestamp> = None;
    for entry in entries.iter().filter(|entry| entry.event.step() == Some(id)) {
        match &entry.event {
            Event::Started { .. } => {
                began = Some(entry.at);
                step.state = StepState::Begun;
            }
            Event::Done { .. } => {
                step.state = StepState::Done;
                let took = began.map(|began| entry.at.duration_since(began));
                step.seconds = took.map(|took| took.as_secs_f64());
            }
            Event::Failed { .. } => step.state = StepState::Failed,
            Event::Undone { .. } => step.state = StepState::Undone,
            _ => {}
        }
    }
    step
}

fn trouble(run: &Run, outcome: &Outcome) -> Option<StepTrouble> {
    if matches!(outcome, Outcome::Ended(runbook::End::Done)) {
        return None;
    }
    let mut failures = run.entries.iter().filter_map(|entry| match &entry.event {
        Event::Failed { step, failure }
        | Event::UndoFailed { step, failure }
        | Event::Stopped { step, failure } => Some((step, failure)),
        _ => None,
    });
    let chosen = match outcome {
        Outcome::Stuck { .. } => failures.next_back(),
        _ => failures.next(),
    };
    chosen.map(|(step, failure)| StepTrouble {
        step: step.clone(),
        reason: failure.reason.clone(),
        hint: failure.hint.clone(),
        retryable: failure.is_retryable,
    })
}
