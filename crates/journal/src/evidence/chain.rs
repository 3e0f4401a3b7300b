//! Acts of the journal on itself.

use serde::{Deserialize, Serialize};

use crate::hash::Hash;

/// Evidence of an incomplete last line that was moved out of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// The length of the line.
    pub torn_bytes: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Hash,
}

/// Evidence of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// The number of records in the closed part.
    pub records: u64,
    /// The SHA-256 of the closed part.
    pub sha256: Hash,
}
