//! The record of a copy at a target.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sidecar::Sidecar;
use crate::target::Receipt;

/// The record of an entry's copy at a target. It is kept in the entry's own sidecar, by the name of
/// the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SentCopy {
    /// The time the target had taken it.
    pub sent_at: Timestamp,
    /// The length that was sent.
    pub bytes: u64,
    /// The SHA-256 of what was sent: that of the entry.
    pub sha256: String,
    /// The target's answer, in the words of its protocol.
    pub answer: String,
    /// True if the target computed the hash of what it stored, and it was this one.
    pub hash_confirmed: bool,
    /// SHA-256 of the sidecar that was sent, to know when it is out of date.
    pub sidecar_sha256: String,
    /// The time it was last read back and found equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_at: Option<Timestamp>,
    /// The part of it that was read back then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

impl SentCopy {
    /// The same with what was read back now, if anything was.
    pub(crate) fn proven(mut self, proof: Option<Proof>, at: Timestamp) -> Self {
        if proof.is_some() {
            self.proven_at = Some(at);
            self.proof = self.proof.max(proof);
        }
        self
    }

    pub(crate) fn new(sidecar: &Sidecar, receipt: Receipt, at: Timestamp) -> Self {
        Self {
            sent_at: at,
            bytes: sidecar.sealed_bytes,
            sha256: sidecar.sha256.clone(),
            answer: receipt.answer,
            hash_confirmed: receipt.is_hash_confirmed,
            sidecar_sha256: String::new(),
            proven_at: None,
            proof: None,
            unknown: Map::new(),
        }
    }
}

/// The part of a copy that is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Proof {
    /// The header and the last chunk, byte by byte, in two requests.
    Ends,
    /// All of it, by its SHA-256.
    Whole,
}
