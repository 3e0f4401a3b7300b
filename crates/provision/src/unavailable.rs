//! Things a machine cannot have, with the reason and the remedy.

use std::fmt;

/// Neither a failure nor a success: the command ends with 3.
#[derive(Debug)]
pub struct Unavailable {
    reason: String,
    remedy: String,
}

impl Unavailable {
    /// An error that says why, and what to do about it.
    pub fn error(reason: impl Into<String>, remedy: &str) -> anyhow::Error {
        Self { reason: reason.into(), remedy: remedy.to_owned() }.into()
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", self.reason, self.remedy)
    }
}

impl std::error::Error for Unavailable {}
