//! Move the service from one site to another, and back.
//!
//! A move is a [runbook](runbook): its steps are in the journal, it can be killed at any moment,
//! and it ends with the target as the primary, or with everything as it was. The commit point is
//! one transaction at the target.

mod guard;
mod migration;
mod planning;
mod questions;
mod report;
mod runs;
mod step;
mod steps;
mod telling;

use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::evidence;
use runbook::{End, Intent, Outcome, Runner};

use self::guard::Claims;
use self::migration::Migration;
pub(crate) use self::migration::PREFIX;
pub use self::planning::{plan_cutover, plan_rollback};
pub use self::questions::CutoverObstacle;
pub use self::report::{
    CutoverOutcome, CutoverPlanReport, CutoverReport, PlannedStep, StepState, StepTrouble,
    TakenStep,
};
use self::runs::newest_run;
pub(crate) use self::runs::{KnownRun, is_committed, known_runs, open_journal};
use self::telling::Teller;
use super::Ops;
use crate::act::Act;
use crate::failure::Refusal;
use crate::settings::CutoverMode;

/// The longest time that one process waits for answers.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// A move, and its direction.
#[derive(Debug, Clone, Default)]
pub struct CutoverOrder {
    /// The site that is left; by default that of `[cutover]`.
    pub from: Option<String>,
    /// The site that takes over; by default that of `[cutover]`.
    pub to: Option<String>,
    /// How the rows get there; by default that of `[cutover]`.
    pub mode: Option<CutoverMode>,
}

/// The way back.
#[derive(Debug, Clone, Default)]
pub struct RollbackOrder {
    /// How the rows get back, if the commit point is passed; by default that of `[cutover]`.
    pub mode: Option<CutoverMode>,
}

/// Moves the service, or goes on with a move that was interrupted.
///
/// Before the commit point every failure undoes what was done. After it, a failure stops the move,
/// and the next call goes on.
///
/// # Errors
/// Obstacles that [`plan_cutover`] names; a move between other sites is unfinished; another run is
/// at work; a journal that cannot be written. A step that fails is no error: the report says so.
pub async fn cutover(ops: &Ops, order: CutoverOrder) -> anyhow::Result<CutoverReport> {
    let journal = open_journal(ops.settings())?;
    let runs = known_runs(&journal)?;
    match planning::unfinished(&runs) {
        Some(known) => {
            require_same_sites(&order, &known.begun)?;
            let migration = known.resume(ops).await?;
            ops.say(format_args!("going on with cutover {}", known.begun.run));
            execute(&journal, migration, Intent::Forward, false).await
        }
        None => {
            let migration = begin(ops, &runs, &order).await?;
            execute(&journal, migration, Intent::Forward, true).await
        }
    }
}

/// Goes back: undoes an unfinished move, or moves the service back to where it came from.
///
/// Past the commit point the rows that were written since come along: it is a move of its own, with
/// the sites exchanged.
///
/// # Errors
/// No move was made; those of [`cutover`].
pub async fn rollback(ops: &Ops, order: RollbackOrder) -> anyhow::Result<CutoverReport> {
    let journal = open_journal(ops.settings())?;
    let runs = known_runs(&journal)?;
    let Some(newest) = runs.last() else {
        return Err(nothing_to_roll_back().into());
    };
    if newest.run.is_ended() {
        let migration = begin(ops, &runs, &planning::way_back(&runs, order.mode)?).await?;
        return execute(&journal, migration, Intent::Forward, true).await;
    }
    let migration = newest.resume(ops).await?;
    if !planning::is_committed(&migration).await? {
        return execute(&journal, migration, Intent::Back, false).await;
    }
    // Nothing is given up before it is known that the way back can begin.
    // The target itself said that it is the primary.
    let (from, to, mode) = planning::sites(ops, &planning::exchanged(newest, order.mode))?;
    let back = Migration::new(ops, &from, &to, mode).await?;
    questions::preflight(&back).await?;
    abandon(&journal, newest, ops).await?;
    execute(&journal, back, Intent::Forward, true).await
}

/// A new move, once nothing is in its way.
async fn begin(ops: &Ops, runs: &[KnownRun], order: &CutoverOrder) -> anyhow::Result<Migration> {
    let (from, to, mode) = planning::sites(ops, order)?;
    planning::require_primary(runs, &from)?;
    Migration::new(ops, &from, &to, mode).await
}

fn nothing_to_roll_back() -> Refusal {
    Refusal::no("no cutover is in the journal, so there is nothing to roll back")
        .hint("name the journal of the cutover with --journal")
}

fn require_same_sites(order: &CutoverOrder, begun: &evidence::Cutover) -> anyhow::Result<()> {
    let differs =
        |asked: &Option<String>, begun: &str| asked.as_ref().is_some_and(|asked| asked != begun);
    if differs(&order.from, &begun.from) || differs(&order.to, &begun.to) {
        return Err(Refusal::no(format!(
            "the cutover {} from {} to {} has not ended",
            begun.run, begun.from, begun.to
        ))
        .hint("go on with it, or take it back with `hubctl rollback --execute`")
        .into());
    }
    Ok(())
}

/// Ends a run past its commit point, so that the way back can begin.
async fn abandon(journal: &::journal::Journal, known: &KnownRun, ops: &Ops) -> anyhow::Result<()> {
    let runner = Runner::open(journal, &known.run.runbook, clock(ops))?;
    runner.abandon("rolled back past the commit point").await?;
    Ok(())
}

fn clock(ops: &Ops) -> runbook::Clock {
    let ops = ops.clone();
    Arc::new(move || ops.now())
}

async fn execute(
    journal: &::journal::Journal,
    migration: Migration,
    intent: Intent,
    is_new: bool,
) -> anyhow::Result<CutoverReport> {
    let migration = Arc::new(migration);
    let steps = steps::steps(&migration);
    let runbook = steps::runbook(&migration, &steps)?;
    let open = || -> Result<Runner, runbook::Error> {
        let runner = Runner::open(journal, &runbook, clock(&migration.ops))?;
        runner.run().entries.iter().for_each(|entry| migration.remember(entry));
        Ok(runner.guarded_by(Claims::new(&migration)).observed_by(Teller(Arc::clone(&migration))))
    };
    let first = open()?;
    let act = migration.ops.act::<evidence::Cutover>(migration.id.run())?;
    if is_new {
        act.started(&migration.evidence())?;
    }
    migration.ops.unfinished().begin_cutover(migration.id.to_string());
    let outcome = patient(first, open, &steps, intent, clock(&migration.ops)).await;
    migration.ops.unfinished().end_cutover();
    match outcome {
        Ok(outcome) => ended(act, journal, &migration, &outcome),
        Err(error) => Err(act.fail(error.into())),
    }
}

/// Asks again for a while where a question got no answer: a network that is away for a second must
/// not leave the source frozen until somebody comes. Beyond the time box the run undoes by itself.
async fn patient(
    first: Runner,
    open: impl Fn() -> Result<Runner, runbook::Error>,
    steps: &[Box<dyn runbook::Step>],
    intent: Intent,
    clock: runbook::Clock,
) -> Result<Outcome, runbook::Error> {
    let begun = Instant::now();
    let mut runner = first;
    loop {
        let outcome = runner.execute(steps, intent).await?;
        if !matches!(&outcome, Outcome::Stuck { obstacle, .. } if obstacle.is_retryable()) {
            return Ok(outcome);
        }
        tokio::time::sleep(PAUSE).await;
        runner = open()?;
        let now = clock();
        let windows = runner.run().status(now).windows;
        let is_frozen = windows.iter().any(|window| now < window.until + PATIENCE);
        if !is_frozen && begun.elapsed() > PATIENCE {
            return Ok(outcome);
        }
    }
}

/// Records where the run stands.
fn ended(
    act: Act<evidence::Cutover>,
    journal: &::journal::Journal,
    migration: &Migration,
    outcome: &Outcome,
) -> anyhow::Result<CutoverReport> {
    let known = newest_run(journal)?.filter(|known| known.begun.run == migration.id.to_string());
    let Some(known) = known else {
        return Err(act.fail(Refusal::no("the run is not in the journal").into()));
    };
    let report = CutoverReport::of(migration, &known.run, outcome);
    let frozen_ms = report::frozen(&known.run)
        .map(|frozen| u64::try_from(frozen.as_millis()).unwrap_or(u64::MAX));
    let evidence = evidence::Cutover {
        outcome: Some(report.outcome.word().to_owned()),
        frozen_ms,
        ..migration.evidence()
    };
    act.answer(*outcome == Outcome::Ended(End::Done), &evidence)?;
    Ok(report)
}
