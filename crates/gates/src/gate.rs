//! A gate: a condition or a combination of gates, and what is asked beyond it.

mod agreement;
mod combine;
#[cfg(feature = "schema")]
mod schema;
mod set;
mod written;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::Condition;
use crate::evidence::redact;
pub use agreement::Approving;
#[cfg(feature = "schema")]
pub use schema::schema;
pub use set::{Gates, Verdicts};

/// One gate, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "written::Written", into = "written::Written")]
#[non_exhaustive]
pub struct Gate {
    /// The question.
    pub rule: Rule,
    /// The largest age of a pass's evidence.
    pub expires: Option<Duration>,
    /// For how long it must have passed without a break.
    pub stable_for: Option<Duration>,
    /// The approval that is needed once everything else holds.
    pub approval: Option<ApprovalRule>,
    /// The meaning of the names in it, as the program found it: an approval also covers that.
    pub rests_on: BTreeMap<String, Value>,
}

/// The question of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A condition.
    Condition(Condition),
    /// All of these gates pass.
    All(Vec<String>),
    /// One of these gates passes.
    Any(Vec<String>),
    /// This gate fails.
    Not(String),
    /// Nothing but an approval.
    Nothing,
}

/// The approval that a gate needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ApprovalRule {
    /// File of the allowed signers.
    pub signers: String,
    /// How long an agreement holds.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub expires: Duration,
    /// How many different people must agree. Default: 1.
    #[serde(default = "one")]
    pub persons: usize,
    /// The consequences, for the people who are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty", serialize_with = "redact::sentences")]
    pub consequences: Vec<String>,
    /// The way back, for the people who are asked.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        serialize_with = "redact::sentence"
    )]
    pub way_back: String,
}

fn one() -> usize {
    1
}

impl Gate {
    /// A gate that asks this and nothing else.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { rule, expires: None, stable_for: None, approval: None, rests_on: BTreeMap::new() }
    }

    /// The gates that it is made of.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        match &self.rule {
            Rule::All(parts) | Rule::Any(parts) => parts,
            Rule::Not(part) => std::slice::from_ref(part),
            Rule::Condition(_) | Rule::Nothing => &[],
        }
    }
}
