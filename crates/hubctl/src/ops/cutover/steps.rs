//! The steps of a move, in their order.

mod clients;
mod commit;
mod copy;
mod fence;
mod question;
mod transfer;
mod writers;

use std::sync::Arc;

use runbook::{OnResume, Runbook, StepFacts, TimeBox};

use super::Migration;
use super::questions;
use super::step::Step;
use crate::settings::CutoverMode;
use clients::{Health, Probe, Redirect, WriteProbe};
use commit::{Commit, Retire};
use copy::{Copy, Survey};
use fence::Fence;
use question::Question;
use transfer::{FinalBackup, Restore, Update};
use writers::{Hold, Replay, Start};
pub(super) use writers::{is_stopped, outboxes as outboxes_of, pending, services as services_of};

/// The name of the limit on the time that clients are away.
pub(super) const FROZEN: &str = "frozen";

/// All steps of the move.
pub(super) fn steps(migration: &Arc<Migration>) -> Vec<Box<dyn runbook::Step>> {
    let mut steps = preparation(migration);
    steps.extend(freeze(migration));
    steps.extend(transfer(migration));
    steps.push(Step::boxed(migration, Commit));
    steps.extend(opening(migration));
    steps
}

/// The runbook of these steps.
pub(super) fn runbook(
    migration: &Migration,
    steps: &[Box<dyn runbook::Step>],
) -> Result<Runbook, runbook::Error> {
    let facts: Vec<StepFacts> = steps.iter().map(|step| step.facts()).collect();
    let first_hold = facts.iter().find(|facts| facts.id.starts_with("hold"));
    let opens = first_hold.map_or("fence", |facts| facts.id.as_str()).to_owned();
    let limit = TimeBox::new(FROZEN, opens, "commit", migration.freeze_budget);
    Runbook::new(migration.id.run(), facts, [limit])
}

/// Everything before the first writer is stopped.
fn preparation(migration: &Arc<Migration>) -> Vec<Box<dyn runbook::Step>> {
    let question =
        |id, title, question| Step::boxed(migration, Question::asked_once(id, title, question));
    let mut steps = vec![Step::boxed(
        migration,
        Question::asked_again("pins", "Both sites are what they were", |migration| {
            Box::pin(questions::pins(migration))
        }),
    )];
    if !migration.ops.settings().cutover.gates.is_empty() {
        let gates = Question::asked_once("gates", "The gates pass", |migration| {
            Box::pin(questions::gates(migration))
        });
        steps.push(Step::boxed(migration, gates.by_each_process()));
    }
    steps.push(question("preflight", "Nothing is in the way", |migration| {
        Box::pin(questions::preflight(migration))
    }));
    if migration.mode == CutoverMode::Delta {
        steps.push(Step::boxed(migration, Copy));
        steps.push(Step::boxed(migration, Survey::default()));
    }
    steps
}

/// From the first stopped writer to the fence.
fn freeze(migration: &Arc<Migration>) -> Vec<Box<dyn runbook::Step>> {
    let held = writers::services(migration);
    let mut steps: Vec<Box<dyn runbook::Step>> =
        held.map(|(end, writer)| Step::boxed(migration, Hold { end, writer })).collect();
    if writers::outboxes(migration).next().is_some() {
        let outbox = Question::asked_once("outbox", "Outboxes are counted", |migration| {
            Box::pin(questions::outboxes(migration))
        });
        steps.push(Step::boxed(migration, outbox));
    }
    steps.push(Step::boxed(migration, Fence));
    steps
}

/// From the fence to the proof that the new database is what the old one is.
fn transfer(migration: &Arc<Migration>) -> Vec<Box<dyn runbook::Step>> {
    let mut steps = match migration.mode {
        CutoverMode::Offline => vec![
            Step::boxed(migration, FinalBackup::before_the_commit()),
            Step::boxed(migration, Restore),
        ],
        CutoverMode::Delta => vec![Step::boxed(migration, Update)],
    };
    steps.push(Step::boxed(
        migration,
        Question::asked_again("quiet", "Nothing changed behind the fence", |migration| {
            Box::pin(questions::quiet(migration))
        })
        .taking_long(),
    ));
    steps
}

/// Everything after the commit point.
fn opening(migration: &Arc<Migration>) -> Vec<Box<dyn runbook::Step>> {
    let cutover = &migration.ops.settings().cutover;
    let mut steps = vec![Step::boxed(migration, Retire::at_once())];
    let started: Vec<_> = writers::services_at_target(migration).collect();
    for writer in started.into_iter().rev() {
        steps.push(Step::boxed(migration, Start { writer }));
    }
    if migration.to.settings.api.is_some() {
        steps.push(Step::boxed(migration, Health::default()));
    }
    for redirect in migration.to.settings.redirects.iter().cloned() {
        steps.push(Step::boxed(migration, Redirect { redirect }));
    }
    if let Some(probe) = cutover.probe.clone() {
        steps.push(Step::boxed(migration, Probe::new(probe)));
    }
    if let Some(probe) = cutover.write_probe.clone() {
        steps.push(Step::boxed(migration, WriteProbe::new(probe)));
    }
    for (end, writer) in writers::outboxes(migration) {
        steps.push(Step::boxed(migration, Replay::new(end, writer)));
    }
    steps.push(Step::boxed(migration, Retire::at_the_end()));
    if migration.mode == CutoverMode::Delta {
        steps.push(Step::boxed(migration, FinalBackup::after_the_commit()));
    }
    steps
}

/// A step that is asked once, whose record is the result.
fn reading(id: &str, title: impl Into<String>) -> StepFacts {
    StepFacts::new(id, title).with_effect(runbook::Effect::Nothing).on_resume(OnResume::Recorded)
}
