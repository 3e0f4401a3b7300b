//! A hot standby as the source: it has everything but what was never written to the log.

use std::sync::Arc;

use crate::census::Census;
use crate::error::Result;
use crate::name::TableName;
use crate::progress::Progress;
use crate::session::Session;
use crate::snapshot::Snapshot;

/// Says which tables and sequences a standby cannot give. `pg_dump` leaves them out there, too: it
/// keeps their definitions and loses their contents.
pub(crate) async fn note_what_is_missing(
    snapshot: &Snapshot,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    if !snapshot.facts.in_recovery {
        return Ok(());
    }
    let names: Vec<String> =
        unlogged(&snapshot.leader).await?.iter().map(ToString::to_string).collect();
    if !names.is_empty() {
        progress.note(&format!(
            "this server is a standby, which has no contents of unlogged relations; left out: {}",
            names.join(", ")
        ));
    }
    Ok(())
}

/// Takes out of the census of a restored database what its source, a standby, did not count:
/// unlogged relations, as long as they are as empty as their definitions made them.
pub(crate) async fn leave_out_what_is_missing(
    session: &Session,
    census: &mut Census,
) -> Result<()> {
    let unlogged = unlogged(session).await?;
    census.tables.retain(|table| table.rows > 0 || !unlogged.contains(&table.name));
    census.sequences.retain(|sequence| sequence.is_called || !unlogged.contains(&sequence.name));
    Ok(())
}

async fn unlogged(session: &Session) -> Result<Vec<TableName>> {
    const UNLOGGED: &str = "
        SELECT n.nspname, c.relname
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relpersistence = 'u' AND c.relkind IN ('r', 'm', 'S')
           AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
         ORDER BY 1, 2";
    let rows = session.rows("reading the list of unlogged tables", UNLOGGED, &[]).await?;
    let names =
        rows.iter().map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)));
    Ok(names.collect())
}
