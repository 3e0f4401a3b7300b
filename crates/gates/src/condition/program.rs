//! A question that the program answers which uses this library: what needs backups or databases to
//! be known.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Judge;
use super::look::{Judged, Look};
use crate::Answer;
use crate::evidence::Read;
use crate::verdict::{Subject, Verdict};

/// A question by its name, with what the program needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Program {
    /// The question.
    pub question: String,
    /// The parameters for the program.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub about: Value,
}

impl Program {
    /// A question.
    pub fn new(question: impl Into<String>, about: Value) -> Self {
        Self { question: question.into(), about }
    }

    fn read(&self) -> Read {
        Read::program(&self.question, &self.about)
    }
}

impl Judge for Program {
    fn reads(&self) -> Vec<Read> {
        vec![self.read()]
    }

    /// The answer is a verdict; what is none, or claims a human's agreement, is unknown.
    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.read();
        let found = look.found(&read)?;
        let verdict: Verdict = match serde_json::from_value(found.clone()) {
            Ok(verdict) => verdict,
            Err(error) => {
                return Ok(Verdict::unknown(format!(
                    "{} was answered with no verdict: {error}",
                    self.question
                )));
            }
        };
        if verdict.answer == Answer::NeedsApproval {
            return Ok(Verdict::unknown("only a human can say that"));
        }
        Ok(verdict.about(Subject::named("question", &self.question)))
    }
}
