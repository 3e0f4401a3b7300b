//! What is remembered of a copy at a target.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sidecar::Sidecar;
use crate::target::Receipt;

/// What is known of an entry's copy at a target. It is recorded in the entry's own sidecar, by the
/// name of the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SentCopy {
    /// When the target had taken it.
    pub sent_at: Timestamp,
    /// The length that was sent.
    pub bytes: u64,
    /// The SHA-256 of what was sent: that of the entry.
    pub sha256: String,
    /// What the target answered, in the words of its protocol.
    pub answer: String,
    /// Whether the target computed the hash of what it stored, and it was this one.
    pub hash_confirmed: bool,
    /// SHA-256 of the sidecar that was sent, to know when it is out of date.
    pub sidecar_sha256: String,
    /// When it was last read back, and was the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_at: Option<Timestamp>,
    /// How much of it was read back then.
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

/// How much of a copy is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Proof {
    /// The header and the last chunk, byte by byte, in two requests.
    Ends,
    /// All of it, by its SHA-256.
    Whole,
}
