//! The request to a person for an approval.

use crate::{Error, Hash};

/// The longest name of a gate.
const LONGEST: usize = 64;

/// Everything that is shown before somebody approves, and that the approval is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// The gate that waits.
    pub gate: String,
    /// The plan that is carried out when the gate opens, in full.
    pub plan: String,
    /// The objects of the plan.
    pub subjects: Vec<String>,
    /// The findings, in the words in which they are shown.
    pub evidence_summary: Vec<String>,
    /// The hash of all that was found: other evidence voids the approval.
    pub evidence_hash: Hash,
    /// The consequences.
    pub consequences: Vec<String>,
    /// The way back.
    pub way_back: String,
}

impl ApprovalRequest {
    /// The SHA-256 of the plan's text.
    #[must_use]
    pub fn plan_hash(&self) -> Hash {
        Hash::of(self.plan.as_bytes())
    }
}

/// Checks the name of a gate: letters, digits, `.`, `_` and `-`, since files are named after it.
///
/// # Errors
/// [`Error::InvalidGate`].
pub(super) fn check_gate(gate: &str) -> Result<(), Error> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let begins_well = gate.starts_with(|first: char| first.is_ascii_alphanumeric());
    if begins_well && gate.len() <= LONGEST && gate.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(Error::InvalidGate { gate: gate.to_owned() })
}
