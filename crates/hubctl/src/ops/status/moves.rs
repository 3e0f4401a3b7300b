//! The cutovers of the journal.

use jiff::Timestamp;
use journal::evidence::{self, Evidence};
use journal::{Journal, Record};
use runbook::{End, Phase, Run};

use super::{StatusPhase, StatusRun, text};
use crate::ops::cutover::{PREFIX, is_committed};
use crate::settings::Settings;

/// The cutovers, as the journal tells them.
#[derive(Debug, Clone, Default)]
pub(super) struct Moves {
    /// The newest cutover.
    pub(super) newest: Option<StatusRun>,
    /// The site that the newest commit point made the primary, unless a later one may have been
    /// passed.
    pub(super) primary: Option<String>,
    /// The site that it left.
    pub(super) left: Option<String>,
}

/// Reads the journal; a missing one knows of no cutover.
pub(super) fn read(settings: &Settings, now: Timestamp) -> anyhow::Result<Moves> {
    match Journal::find(&settings.journal.value)? {
        Some(journal) => of_records(&journal.read()?, now),
        None => Ok(Moves::default()),
    }
}

fn of_records(records: &[Record], now: Timestamp) -> anyhow::Result<Moves> {
    let runs = Run::of_records(records)?;
    let known = runs.iter().filter_map(|run| {
        let id = run.runbook.id().strip_prefix(PREFIX)?;
        Some(described(run, begun(records, id)?, now))
    });
    let known: Vec<StatusRun> = known.collect();
    let settled = known.iter().rev().find(|run| run.committed || run.is_unsettled());
    let settled = settled.filter(|run| run.committed);
    Ok(Moves {
        primary: settled.map(|run| run.to.clone()),
        left: settled.map(|run| run.from.clone()),
        newest: known.into_iter().next_back(),
    })
}

/// The evidence that the cutover was begun with.
fn begun(records: &[Record], id: &str) -> Option<evidence::Cutover> {
    records.iter().find_map(|record| match Evidence::of(record) {
        Evidence::Cutover(cutover) if cutover.run == id => Some(cutover),
        _ => None,
    })
}

fn described(run: &Run, begun: evidence::Cutover, now: Timestamp) -> StatusRun {
    let status = run.status(now);
    let window = status.windows.first();
    StatusRun {
        id: begun.run,
        from: begun.from,
        to: begun.to,
        mode: begun.mode,
        epoch: begun.epoch,
        phase: phase(&status.phase),
        committed: is_committed(run),
        begun_at: status.begun.map(text),
        step: status.step,
        trouble: status.trouble.map(|failure| failure.reason),
        frozen_since: window.map(|window| text(window.since)),
        frozen_until: window.map(|window| text(window.until)),
        overdue: window.is_some_and(|window| window.is_overdue),
    }
}

fn phase(phase: &Phase) -> StatusPhase {
    match phase {
        Phase::Forward => StatusPhase::Forward,
        Phase::Committing => StatusPhase::Committing,
        Phase::Committed => StatusPhase::Committed,
        Phase::Back(_) => StatusPhase::Back,
        Phase::Ended(End::Done) => StatusPhase::Done,
        Phase::Ended(End::RolledBack) => StatusPhase::Undone,
        Phase::Ended(End::Abandoned { .. }) => StatusPhase::Abandoned,
    }
}

#[cfg(test)]
mod tests;
