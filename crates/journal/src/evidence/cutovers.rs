//! Moves of the service from one site to another.

use serde::{Deserialize, Serialize};

/// Evidence of a cutover, of its beginning and of each end of a process that worked on it. The
/// steps have records of their own, of kind `runbook`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutover {
    /// The id of the run.
    pub run: String,
    /// The site that is left.
    pub from: String,
    /// The site that takes over.
    pub to: String,
    /// How the rows get there: `offline` or `delta`.
    pub mode: String,
    /// The epoch that begins with the commit point.
    pub epoch: u64,
    /// The longest time between the freeze and the commit point, in seconds.
    pub freeze_budget: u64,
    /// The server and the database that were left.
    pub source: CutoverEnd,
    /// The server that takes over.
    pub target: CutoverEnd,
    /// Where the run stands: `done`, `undone`, `abandoned`, `stuck` or `needs-approval`; absent in
    /// `started`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The time from the first stopped writer to the commit point, in milliseconds, once that is
    /// passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_ms: Option<u64>,
}

/// A database at one end of a cutover, as it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutoverEnd {
    /// The real name of the database.
    pub database: String,
    /// `system_identifier` of the server, where the role may read it.
    pub system_identifier: Option<String>,
    /// The OID of the database, if there was one.
    pub database_oid: Option<u32>,
}
