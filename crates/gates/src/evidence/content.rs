//! The answer to a question.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Absence;
use super::redact;

/// An answer, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// The answer: an object, a list of objects, or what a general question says.
    Found(Value),
    /// The reason why there is none.
    Absent(Absence),
}

impl Content {
    /// The same without anything that must not be kept.
    pub(super) fn without_secrets(self) -> Self {
        match self {
            Self::Found(mut value) => {
                redact::remove(&mut value);
                Self::Found(value)
            }
            Self::Absent(absence) => Self::Absent(absence.without_secrets()),
        }
    }
}
