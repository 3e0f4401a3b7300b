//! Records of the journal, after all of it was verified.

use std::path::Path;

use serde_json::{Value, json};

use crate::evidence::Absence;
use journal::Journal;

/// So many of the newest records are kept.
const NEWEST: usize = 50;

/// The newest records of one kind. No journal at all holds none of them; a damaged one is not
/// believed.
pub(super) fn records(path: Option<&Path>, kind: &str) -> Result<Value, Absence> {
    let path = path.ok_or_else(|| Absence::failed("no journal is configured"))?;
    let Some(journal) = Journal::find(path).map_err(Absence::failed)? else {
        return Ok(json!({ "records": [] }));
    };
    let mut records = journal.read().map_err(Absence::failed)?;
    let head = records.last().map(|record| record.head().to_string());
    records.retain(|record| record.kind == kind);
    let skipped = records.len().saturating_sub(NEWEST);
    let records = serde_json::to_value(&records[skipped..]).map_err(Absence::failed)?;
    Ok(json!({ "records": records, "head": head }))
}
