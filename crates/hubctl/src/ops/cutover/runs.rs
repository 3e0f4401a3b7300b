//! The moves that the journal tells of.

use anyhow::Context as _;
use journal::evidence::{self, Evidence};
use journal::{Journal, Record};
use runbook::{Event, Run};

use super::Migration;
use super::migration::PREFIX;
use crate::failure::Refusal;
use crate::ops::Ops;
use crate::settings::Settings;

/// A move in the journal: how it was begun, and its steps.
pub(crate) struct KnownRun {
    pub(crate) begun: evidence::Cutover,
    pub(crate) run: Run,
}

impl KnownRun {
    /// The move, with what the journal tells of it.
    pub(super) async fn resume(&self, ops: &Ops) -> anyhow::Result<Migration> {
        let migration = Migration::resume(ops, &self.begun).await?;
        self.run.entries.iter().for_each(|entry| migration.remember(entry));
        Ok(migration)
    }

    /// Returns whether the journal knows that the commit point was passed.
    pub(crate) fn is_committed(&self) -> bool {
        is_committed(&self.run)
    }
}

/// Returns whether a step of the run was found done.
pub(crate) fn is_done(run: &Run, id: &str) -> bool {
    run.entries.iter().any(|entry| matches!(&entry.event, Event::Done { step, .. } if step == id))
}

/// Returns whether the commit point of the run was passed, also if the run was abandoned later:
/// nothing takes a commit back.
pub(crate) fn is_committed(run: &Run) -> bool {
    is_done(run, "commit")
}

/// Opens the journal of the settings.
pub(crate) fn open_journal(settings: &Settings) -> anyhow::Result<Journal> {
    let path = &settings.journal.value;
    Journal::open(path).with_context(|| format!("cannot open the journal {}", path.display()))
}

/// All moves, oldest first.
pub(crate) fn known_runs(journal: &Journal) -> anyhow::Result<Vec<KnownRun>> {
    let records = journal.read().context("cannot read the journal")?;
    let runs = Run::of_records(&records)?;
    let moves = runs.into_iter().filter(|run| run.runbook.id().starts_with(PREFIX));
    moves
        .map(|run| {
            let begun = begun_as(&records, run.runbook.id())?;
            Ok(KnownRun { begun, run })
        })
        .collect()
}

/// The newest move, if there is one.
pub(crate) fn newest_run(journal: &Journal) -> anyhow::Result<Option<KnownRun>> {
    Ok(known_runs(journal)?.pop())
}

fn begun_as(records: &[Record], subject: &str) -> anyhow::Result<evidence::Cutover> {
    let of_run = records.iter().filter(|record| record.subject == subject);
    let begun = of_run.map(Evidence::of).find_map(|evidence| match evidence {
        Evidence::Cutover(begun) => Some(begun),
        _ => None,
    });
    begun.ok_or_else(|| {
        Refusal::no(format!("the journal does not say how {subject} was begun"))
            .hint("it was begun by another program, or the journal is damaged")
            .into()
    })
}
