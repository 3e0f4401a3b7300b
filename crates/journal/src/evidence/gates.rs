//! Acts on gates: approved, and asked by a script.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Evidence of an approval or a revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approve {
    /// The name of the gate.
    pub gate: String,
    /// The principal that signed.
    pub principal: String,
    /// The files that were written.
    pub files: Vec<String>,
    /// True if approvals were revoked.
    pub revoked: bool,
    /// The hash of the approved plan; null for a revocation.
    pub plan_hash: Option<String>,
    /// The hash of the evidence it rests on; null for a revocation.
    pub evidence_hash: Option<String>,
    /// The time at which the approval expires; null for a revocation.
    pub expires_at: Option<String>,
}

/// Evidence of a run of a gate's script, successful or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateScript {
    /// The question, as evidence of gates has it, without secrets.
    pub script: Value,
    /// Its end.
    pub ended: Ended,
}

/// The end of a script. Its output may hold anything, so only the hash of it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The exit code; absent where it did not exit by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The limit at which it was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timed_out_after_seconds: Option<u64>,
    /// Its duration in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The SHA-256 of its output; absent where it was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_sha256: Option<String>,
}
