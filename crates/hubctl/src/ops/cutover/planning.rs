//! The plan of a move, and the choice of its sites.

use ::gates::Answer;
use pgsnap::{FenceOptions, HandoverState};
use runbook::{Effect, Event, Phase};

use super::questions::{self, CutoverObstacle};
use super::report::{self, CutoverPlanReport, PlannedStep};
use super::runs::{KnownRun, is_done, known_runs, open_journal};
use super::{CutoverOrder, Migration, steps};
use crate::failure::Refusal;
use crate::ops::{GatesOrder, Ops, gates};
use crate::probe;
use crate::settings::CutoverMode;

/// Plans a move: asks both sites, the writers and the gates, and changes nothing.
///
/// # Errors
/// A site that cannot be asked; no sites are named. An obstacle is no error: the plan names it.
pub async fn plan_cutover(ops: &Ops, order: CutoverOrder) -> anyhow::Result<CutoverPlanReport> {
    let runs = known_runs(&open_journal(ops.settings())?)?;
    if let Some(known) = unfinished(&runs) {
        return resumed(ops, known).await;
    }
    let (from, _, _) = sites(ops, &order)?;
    require_primary(&runs, &from)?;
    of_new(ops, &runs, &order).await
}

/// The plan of a move that would begin.
async fn of_new(
    ops: &Ops,
    runs: &[KnownRun],
    order: &CutoverOrder,
) -> anyhow::Result<CutoverPlanReport> {
    let (from, to, mode) = sites(ops, order)?;
    let migration = std::sync::Arc::new(Migration::new(ops, &from, &to, mode).await?);
    let mut plan = described(&migration)?;
    plan.last_frozen_seconds = last_frozen(runs, mode);
    plan.obstacles = questions::obstacles(&migration).await?;
    plan.warnings = warnings(&migration).await?;
    ask_gates(ops, &mut plan).await?;
    Ok(plan)
}

/// The newest move, if it has not ended.
pub(super) fn unfinished(runs: &[KnownRun]) -> Option<&KnownRun> {
    runs.last().filter(|newest| !newest.run.is_ended())
}

/// The plan of a run that is under way: the steps that are left.
async fn resumed(ops: &Ops, known: &KnownRun) -> anyhow::Result<CutoverPlanReport> {
    let migration = std::sync::Arc::new(known.resume(ops).await?);
    let status = known.run.status(ops.now());
    let is_overdue = status.windows.iter().any(|window| window.is_overdue);
    if matches!(status.phase, Phase::Back(_)) || (is_overdue && status.phase == Phase::Forward) {
        return undoing(known, &migration);
    }
    let mut plan = described(&migration)?;
    plan.resumes = Some(known.begun.run.clone());
    plan.steps.retain(|step| !is_done(&known.run, &step.id));
    Ok(plan)
}

fn described(migration: &std::sync::Arc<Migration>) -> anyhow::Result<CutoverPlanReport> {
    let steps = steps::steps(migration);
    let steps = steps.iter().map(|step| step.facts()).map(|facts| PlannedStep {
        commits: facts.effect == Effect::Commit,
        id: facts.id,
        title: facts.title,
    });
    Ok(CutoverPlanReport {
        from: migration.from.name.clone(),
        to: migration.to.name.clone(),
        mode: migration.mode,
        executed: false,
        epoch: migration.epoch,
        resumes: None,
        keeps: migration.to.begun_as.database_oid.map(|_| migration.to.begun_as.database.clone()),
        steps: steps.collect(),
        freeze_budget: migration.freeze_budget.as_secs(),
        last_frozen_seconds: None,
        obstacles: Vec::new(),
        needs_approval: false,
        warnings: Vec::new(),
    })
}

async fn warnings(migration: &Migration) -> anyhow::Result<Vec<String>> {
    let fence = pgsnap::plan_fence(migration.from.database(), &FenceOptions::default()).await?;
    let mut warnings = fence.warnings;
    if migration.from.settings.writers.is_empty() {
        let name = &migration.from.name;
        warnings
            .push(format!("no writers of {name} are configured: the fence ends their sessions"));
    }
    if let Some(api) = &migration.from.settings.api
        && let Err(error) = probe::healthy(api).await
    {
        let name = &migration.from.name;
        warnings.push(format!("the service at {name} is not healthy now: {error:#}"));
    }
    if let Some(table) = &migration.ops.settings().cutover.probe
        && let Err(error) = probe::answering(table).await
    {
        warnings.push(format!("clients get no answer now: {error:#}"));
    }
    Ok(warnings)
}

/// Adds what the gates say.
async fn ask_gates(ops: &Ops, plan: &mut CutoverPlanReport) -> anyhow::Result<()> {
    let names = ops.settings().cutover.gates.clone();
    if names.is_empty() {
        return Ok(());
    }
    let report = gates(ops, GatesOrder { names, ..GatesOrder::default() }).await?;
    plan.needs_approval = report.answer == Answer::NeedsApproval && plan.obstacles.is_empty();
    for gate in report.gates.iter().filter(|gate| gate.asked) {
        if gate.verdict.answer != Answer::Pass {
            plan.obstacles.push(CutoverObstacle {
                problem: format!("gate {} does not pass", gate.name),
                remedy: format!("`hubctl gates {}` tells why", gate.name),
            });
        }
    }
    Ok(())
}

/// Refuses to move from a site that the journal knows to be succeeded by another one.
pub(super) fn require_primary(runs: &[KnownRun], from: &str) -> anyhow::Result<()> {
    match runs.iter().rev().find(|known| known.is_committed()) {
        Some(KnownRun { begun, .. }) if begun.to != from => Err(Refusal::no(format!(
            "{from} is not the primary: the journal says {} became it with epoch {}",
            begun.to, begun.epoch
        ))
        .hint("`hubctl status` tells which site is; move from there")
        .into()),
        _ => Ok(()),
    }
}

/// The sites and the mode of a new move.
pub(super) fn sites(
    ops: &Ops,
    order: &CutoverOrder,
) -> anyhow::Result<(String, String, CutoverMode)> {
    let table = &ops.settings().cutover;
    let site = |asked: &Option<String>, configured: &Option<String>, word: &str| {
        asked.clone().or_else(|| configured.clone()).ok_or_else(|| {
            Refusal::usage(format!("no site to move {word} was named"))
                .hint(format!("set [cutover] {word}, or give --{word}"))
        })
    };
    let from = site(&order.from, &table.from, "from")?;
    let to = site(&order.to, &table.to, "to")?;
    Ok((from, to, order.mode.unwrap_or(table.mode)))
}

/// The move back from where the newest one that was committed went.
pub(super) fn way_back(
    runs: &[KnownRun],
    mode: Option<CutoverMode>,
) -> anyhow::Result<CutoverOrder> {
    match runs.iter().rev().find(|known| known.is_committed()) {
        Some(last) => Ok(exchanged(last, mode)),
        None => {
            Err(Refusal::no("every cutover was undone, so there is nothing to roll back").into())
        }
    }
}

/// A move with the sites exchanged.
pub(super) fn exchanged(newest: &KnownRun, mode: Option<CutoverMode>) -> CutoverOrder {
    let begun = &newest.begun;
    CutoverOrder { from: Some(begun.to.clone()), to: Some(begun.from.clone()), mode }
}

/// Plans the way back.
///
/// # Errors
/// No move was made; those of [`plan_cutover`].
pub async fn plan_rollback(
    ops: &Ops,
    order: super::RollbackOrder,
) -> anyhow::Result<CutoverPlanReport> {
    let runs = known_runs(&open_journal(ops.settings())?)?;
    let Some(newest) = runs.last() else {
        return Err(super::nothing_to_roll_back().into());
    };
    let back = match newest.run.is_ended() {
        true => way_back(&runs, order.mode)?,
        false => {
            let migration = newest.resume(ops).await?;
            if !is_committed(&migration).await? {
                return undoing(newest, &std::sync::Arc::new(migration));
            }
            exchanged(newest, order.mode)
        }
    };
    of_new(ops, &runs, &back).await
}

/// The plan of undoing a run: its steps backwards.
fn undoing(
    newest: &KnownRun,
    migration: &std::sync::Arc<Migration>,
) -> anyhow::Result<CutoverPlanReport> {
    let mut plan = described(migration)?;
    plan.resumes = Some(newest.begun.run.clone());
    let begun: Vec<&str> = newest
        .run
        .entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Started { step } => Some(step.as_str()),
            _ => None,
        })
        .collect();
    let undone = |facts: &runbook::StepFacts| {
        facts.effect == Effect::Reversible && begun.contains(&facts.id.as_str())
    };
    let steps = newest.run.runbook.steps().iter().rev().filter(|facts| undone(facts));
    plan.steps = steps
        .map(|facts| PlannedStep {
            id: facts.id.clone(),
            title: format!("undo: {}", facts.title),
            commits: false,
        })
        .collect();
    Ok(plan)
}

/// Asks the target whether this move was committed.
pub(super) async fn is_committed(migration: &Migration) -> anyhow::Result<bool> {
    // The intent of the commit point is on the disk before it: without one, nobody needs be asked.
    if !migration.may_be_committed() {
        return Ok(false);
    }
    let handover = migration.handover().await?;
    Ok(matches!(handover, HandoverState::Done(_)))
}

/// The frozen time of the last finished move in this mode.
fn last_frozen(known: &[KnownRun], mode: CutoverMode) -> Option<f64> {
    let same = known.iter().rev().filter(|known| known.begun.mode == mode.to_string());
    same.filter_map(|known| report::frozen(&known.run)).next().map(|frozen| frozen.as_secs_f64())
}
