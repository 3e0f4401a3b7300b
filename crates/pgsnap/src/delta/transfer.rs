//! The way of the rows: the source is read, the base is changed, proven and committed.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::change::Change;
use super::index::RowIndex;
use super::large_objects::{self, Objects};
use super::matching::Matcher;
use super::proof::{Judge, set_sequences};
use super::{Base, DeltaOptions, TableDelta, Updated, properties, schema, statistics};
use crate::catalog;
use crate::census::{Census, LargeObjects};
use crate::database::Database;
use crate::definitions::{self, Scope};
use crate::dump::provenance;
use crate::error::Result;
use crate::facts::Facts;
use crate::progress::{Phase, Progress, Work};
use crate::restore::{Refreshes, Stopwatch};
use crate::scan::{self, scan};
use crate::snapshot::Snapshot;
use crate::tools::PgDump;

/// A delta under way: every table of the base is locked, and the snapshot of the source is taken.
pub(super) struct Transfer<'a> {
    pub(super) source: &'a Database,
    pub(super) base: &'a Base,
    pub(super) options: &'a DeltaOptions,
    pub(super) progress: &'a Arc<dyn Progress>,
    pub(super) snapshot: Snapshot,
    pub(super) change: Change<'a>,
    pub(super) clock: Stopwatch,
}

/// The source as it was read. Its rows that the base lacks wait there.
pub(super) struct SourceRead {
    census: Census,
    /// The statements that fill its materialised views.
    refreshes: Vec<String>,
}

impl Transfer<'_> {
    /// Reads every row of the source; those that the base lacks go there. Whether they fit is
    /// judged here as well.
    pub(super) async fn read_source(&mut self) -> Result<SourceRead> {
        let Self { source, base, options, progress, snapshot, change, clock } = self;
        let mut tables = snapshot.tables(&[]).await?;
        schema::align(&mut tables, &base.contents.tables)?;
        let doubt = base.doubt().await?;
        if let Some(fact) = &doubt {
            let note = "the base is read again, since it may have changed after the survey";
            progress.note(&format!("{note}: {fact}"));
        }
        progress.begin(Phase::Copy, scan::expected(&tables));
        let (sender, receiver) = mpsc::channel(options.jobs.max(1) * 2);
        let indexes = Arc::clone(&base.indexes);
        let matcher = move || Matcher::new(&indexes, sender.clone());
        let rows = scan(snapshot, tables, options.jobs, "delta", progress, matcher);
        let reread =
            async { if doubt.is_none() { Ok(()) } else { base.require_unchanged(options).await } };
        let schema = async {
            let (schema, refreshes) = schema::read(source, snapshot, options).await?;
            let of_base = base.contents.census.schema.as_ref().expect("a survey reads it");
            schema::require_same(&schema, of_base, options.copied_schema.as_ref())?;
            Ok((schema, refreshes))
        };
        let read = async {
            let read = tokio::try_join!(rows, change.stage(receiver), schema, reread);
            definitions::unchanged(read, snapshot, source, Scope::Rows).await
        };
        let (tables, (), (schema, refreshes), ()) = read.await?;
        let census = Census {
            tables,
            sequences: catalog::sequences(&snapshot.leader).await?,
            large_objects: LargeObjects::default(),
            extensions: catalog::extensions(&snapshot.leader).await?,
            locale: snapshot.facts.locale.clone(),
            schema: Some(schema),
            content: true,
        };
        clock.lap("source");
        Ok(SourceRead { census, refreshes })
    }

    /// Changes the base, proves it and commits.
    pub(super) async fn finish(mut self, read: SourceRead, present: &Facts) -> Result<Updated> {
        let SourceRead { mut census, refreshes } = read;
        let replaced = self.replace_large_objects(&mut census).await?;
        let facts = self.snapshot.facts.clone();
        let taken_at = facts.now.clone();
        let tool = PgDump::find(facts.server_major(), &self.options.bin_directories).await?;
        let source = provenance(&self.snapshot.leader, facts, &tool).await?;
        let Self { base, options, progress, snapshot, mut change, mut clock, .. } = self;
        snapshot.finish().await?;
        let tables = change_rows(base, &mut change, progress).await?;
        clock.lap("rows");

        progress.begin(Phase::Census, Work::default());
        let judge = Judge { base, options, expected: &census };
        let mut found = judge.census_of(&change, replaced > 0).await?;
        judge.require_equal(&found)?;
        if replaced > 0 || !tables.is_empty() {
            Refreshes::again(&change.session, refreshes).await?;
        }
        change.require_nothing_else().await?;
        set_sequences(&change.session, &census, &mut found).await?;
        let comparison = judge.require_equal(&found)?;
        clock.lap("proof");
        change.commit().await?;
        clock.lap("commit");

        let mut notes = comparison.notes.clone();
        notes.extend(properties::apply(&base.database, present, &source, options).await?);
        // Statistics are no data, and everything is committed and proven.
        if options.statistics
            && let Err(error) = statistics::collect(base, &tables, options, progress).await
        {
            progress.note(&format!("statistics were not collected: {error}"));
        }
        clock.lap("analyze");
        Ok(Updated {
            source,
            taken_at,
            census,
            base_census: found,
            tables,
            large_objects: replaced as u64,
            comparison,
            notes,
            seconds: clock.laps,
        })
    }

    /// Makes the large objects of the base those of the source, and returns how many differed.
    async fn replace_large_objects(&mut self, census: &mut Census) -> Result<usize> {
        let (leader, session) = (&self.snapshot.leader, &self.change.session);
        let read = tokio::try_join!(Objects::read(leader), Objects::read(session))?;
        let ((wanted, large_objects), (present, _)) = read;
        census.large_objects = large_objects;
        let differing = wanted.differing(&present);
        large_objects::replace(&differing, (leader, &wanted), (session, &present)).await?;
        self.clock.lap("large objects");
        Ok(differing.len())
    }
}

/// Deletes what the source lacks, and inserts what the base lacked.
async fn change_rows(
    base: &Base,
    change: &mut Change<'_>,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<TableDelta>> {
    let indexes = base.indexes.iter().enumerate();
    let due = |(table, index): (usize, &RowIndex)| index.unclaimed_len() + change.staged(table);
    let rows = indexes.clone().map(due).sum();
    progress.begin(Phase::Load, Work { bytes: 0, rows });
    let mut deltas = Vec::new();
    for (table, index) in indexes {
        if index.unclaimed_len() + change.staged(table) == 0 {
            continue;
        }
        change.delete(table, &index.unclaimed()).await?;
        change.insert(table).await?;
        let (deleted, inserted) = change.counts(table);
        progress.advance(Work { bytes: 0, rows: deleted + inserted });
        let table = base.contents.tables[table].name.clone();
        deltas.push(TableDelta { table, inserted, deleted });
    }
    Ok(deltas)
}
