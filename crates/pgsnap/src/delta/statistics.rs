//! The planner's statistics of tables of which much changed.

use std::sync::Arc;

use super::{Base, DeltaOptions, TableDelta};
use crate::error::Result;
use crate::progress::{Phase, Progress, Work};
use crate::session::Session;

/// Collects the planner's statistics of tables that autovacuum would look at by its defaults.
pub(super) async fn collect(
    base: &Base,
    deltas: &[TableDelta],
    options: &DeltaOptions,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    const THRESHOLD: u64 = 50;
    let is_due = |delta: &&TableDelta| {
        let rows = base.contents.census.table(&delta.table).map_or(0, |table| table.rows);
        delta.inserted + delta.deleted > THRESHOLD + rows / 10
    };
    let due: Vec<&TableDelta> = deltas.iter().filter(is_due).collect();
    if due.is_empty() {
        return Ok(());
    }
    progress.begin(Phase::Analyze, Work { bytes: 0, rows: due.len() as u64 });
    let session = Session::open(&base.database, "analyze").await?;
    session.execute("the session settings", &options.lock_limit()).await?;
    for delta in due {
        let statement = format!("ANALYZE {}", delta.table.quoted());
        session.execute("collecting statistics", &statement).await?;
        progress.advance(Work { bytes: 0, rows: 1 });
    }
    Ok(())
}
