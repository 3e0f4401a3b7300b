//! Acts on databases: restored, copied, dropped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Seconds per phase of a restore, rounded to milliseconds.
pub type Phases = BTreeMap<String, f64>;

/// Evidence of a restore of a backup or of a plain dump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restore {
    /// The site it was restored to; absent for a plain dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The database that holds it now.
    pub database: String,
    /// The name that the database of this name has now, where there was one.
    pub kept: Option<String>,
    /// The length of the SQL text; of a plain dump only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The number of tables restored.
    pub tables: u64,
    /// The number of rows restored, or counted after a plain dump was.
    pub rows: u64,
    /// Seconds per phase; absent for a plain dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phases: Option<Phases>,
    /// Properties that could not be proven; of a plain dump only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unproven: Option<Vec<String>>,
}

/// Evidence of a copy of a database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Copy {
    /// The site it was copied from.
    pub from: String,
    /// The source.
    pub source: CopySource,
    /// The site it was copied to.
    pub site: String,
    /// The database that holds the copy.
    pub database: String,
    /// The name that the database of this name has now, where there was one.
    pub kept: Option<String>,
    /// The number of tables copied.
    pub tables: u64,
    /// The number of rows copied.
    pub rows: u64,
    /// The digest of the copy.
    pub digest_found: Option<String>,
    /// `equal`, where the copy was compared with its source.
    pub verdict: Option<String>,
    /// Seconds per phase.
    pub phases: Phases,
}

/// The source of a copy at the moment it was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopySource {
    /// The name of the database.
    pub database: String,
    /// Its OID.
    pub database_oid: u32,
    /// The version of the server.
    pub server_version: String,
    /// The system identifier of the server, where the role may read it.
    pub system_identifier: Option<String>,
    /// The time of the snapshot.
    pub taken_at: String,
    /// The position of the snapshot in the write-ahead log.
    pub lsn: String,
    /// The bytes of row text.
    pub bytes: u64,
    /// The digest of its contents.
    pub digest: String,
}

/// Evidence of dropping databases that restores and copies kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clean {
    /// The database whose predecessors they were.
    pub database: String,
    /// The names of the dropped databases.
    pub dropped: Vec<String>,
}
