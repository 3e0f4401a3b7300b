//! What a human is asked to approve.

use crate::{Error, Hash};

/// The longest name of a gate.
const LONGEST: usize = 64;

/// Everything that is shown before somebody approves, and that the approval is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// The gate that waits.
    pub gate: String,
    /// What will be done when it opens, in full.
    pub plan: String,
    /// What that is done to.
    pub subjects: Vec<String>,
    /// What was found, in the words in which it is shown.
    pub evidence_summary: Vec<String>,
    /// The hash of all that was found: other evidence voids the approval.
    pub evidence_hash: Hash,
    /// What will be different afterwards.
    pub consequences: Vec<String>,
    /// How to get back.
    pub way_back: String,
}

impl ApprovalRequest {
    /// The SHA-256 of the plan's text.
    #[must_use]
    pub fn plan_hash(&self) -> Hash {
        Hash::of(self.plan.as_bytes())
    }
}

/// Whether this can name a gate: letters, digits, `.`, `_` and `-`, since files are named after it.
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
