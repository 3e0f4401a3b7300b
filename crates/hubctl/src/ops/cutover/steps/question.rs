//! Questions whose answer must be yes for the move to go on.

use std::sync::Mutex;
use std::time::Duration;

use runbook::{Effect, Found, OnResume, Pending, StepFacts};
use serde_json::Value;

use super::reading;
use crate::ops::cutover::Migration;
use crate::ops::cutover::step::{LONG, SHORT, Work, is_no, memory};

/// Asks, and returns the evidence of a yes; a no is an error of its class.
type Ask = for<'a> fn(&'a Migration) -> Pending<'a, anyhow::Result<Value>>;

/// A question.
pub(super) struct Question {
    facts: StepFacts,
    ask: Ask,
    /// The answer, where it is asked once.
    answer: Option<Mutex<Option<Value>>>,
    limit: Duration,
}

impl Question {
    /// A question whose first answer counts.
    pub(super) fn asked_once(id: &str, title: &str, ask: Ask) -> Self {
        Self { facts: reading(id, title), ask, answer: Some(Mutex::default()), limit: LONG }
    }

    /// A question whose answer must still be yes right before the commit point.
    pub(super) fn asked_again(id: &str, title: &str, ask: Ask) -> Self {
        let facts = StepFacts::new(id, title).with_effect(Effect::Nothing);
        Self { facts, ask, answer: None, limit: SHORT }
    }

    /// The question, asked again by a process that resumes the run.
    pub(super) fn by_each_process(mut self) -> Self {
        self.facts = self.facts.on_resume(OnResume::Repeat);
        self
    }

    /// The question, which may have to read all rows.
    pub(super) fn taking_long(mut self) -> Self {
        self.limit = LONG;
        self
    }
}

impl Work for Question {
    fn facts(&self) -> StepFacts {
        self.facts.clone()
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        let Some(answer) = &self.answer else {
            return match (self.ask)(migration).await {
                Ok(evidence) => Ok(Found::Done(evidence)),
                // The act asks again, and says why not.
                Err(error) if is_no(&error) => Ok(Found::NotDone),
                Err(error) => Err(error),
            };
        };
        Ok(memory(answer).clone().map_or(Found::NotDone, Found::Done))
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let evidence = (self.ask)(migration).await?;
        if let Some(answer) = &self.answer {
            *memory(answer) = Some(evidence.clone());
        }
        Ok(evidence)
    }

    fn check_limit(&self) -> Duration {
        self.limit
    }

    fn limit(&self) -> Duration {
        self.limit
    }
}
