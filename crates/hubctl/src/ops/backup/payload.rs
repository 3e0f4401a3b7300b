//! The public facts of a backup, in clear text beside the sealed file.

use pgsnap::Manifest;
use serde::Serialize;
use serde_json::{Map, Value};

use super::anomaly;

/// The public facts in a backup's sidecar, specified in `docs/formats/results.md`.
#[derive(Debug, Clone, Serialize)]
pub struct Payload {
    schema: &'static str,
    format: String,
    database: String,
    server_version: String,
    system_identifier: Option<String>,
    database_oid: u32,
    snapshot_at: String,
    tables: usize,
    rows: u64,
    bytes: u64,
    table_sample: Vec<String>,
    /// Rows of each table that is declared to grow only.
    #[serde(skip_serializing_if = "Map::is_empty")]
    append_only: Map<String, Value>,
    /// Signs that the source lost something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) suspicious: Vec<String>,
}

impl Payload {
    /// The facts of a dump; `append_only` names the tables that are declared to grow only.
    pub(super) fn of(manifest: &Manifest, append_only: &[String]) -> Self {
        let (source, census) = (&manifest.source, &manifest.census);
        Self {
            schema: "hubctl.payload.v1",
            format: manifest.format.clone(),
            database: source.database.clone(),
            server_version: source.server_version.clone(),
            system_identifier: source.system_identifier.clone(),
            database_oid: source.database_oid,
            snapshot_at: manifest.taken_at.clone(),
            tables: census.tables.len(),
            rows: census.rows(),
            bytes: census.bytes(),
            table_sample: anomaly::table_sample(manifest),
            append_only: anomaly::append_only(manifest, append_only),
            suspicious: Vec::new(),
        }
    }

    /// Returns the facts as the sidecar keeps them.
    pub(super) fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("a struct whose maps have text as keys serialises")
    }
}
