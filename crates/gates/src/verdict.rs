//! The verdict of a gate, with its subjects and reason.

mod canonical;
mod subject;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Hash;
use crate::answer::Answer;
pub(crate) use canonical::text as canonical_text;
pub use subject::{ObjectReference, Subject};

/// The answer of a gate with everything that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The answer.
    pub answer: Answer,
    /// The reason, in one sentence for people.
    pub reason: String,
    /// The objects that were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// The facts that the answer rests on. They change only when what was looked at has changed,
    /// and an approval is bound to them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub evidence: Value,
    /// Facts that change by themselves: ages, free space, durations. No approval is bound to them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub measured: Value,
    /// The given name.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub threshold: Value,
    /// The time of the oldest fact, by the clock of the server that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Timestamp>,
    /// Until when a pass holds without being asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Returns the remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The digest that an approval of it has to be bound to, from before anybody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approves: Option<Hash>,
    /// True if waiting cannot help: somebody has to act first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminal: bool,
}

impl Verdict {
    /// A verdict without anything but its reason.
    pub fn new(answer: Answer, reason: impl Into<String>) -> Self {
        Self {
            answer,
            reason: reason.into(),
            subjects: Vec::new(),
            evidence: Value::Null,
            measured: Value::Null,
            threshold: Value::Null,
            observed_at: None,
            expires_at: None,
            hint: None,
            approves: None,
            terminal: false,
        }
    }

    /// The condition holds.
    pub fn pass(reason: impl Into<String>) -> Self {
        Self::new(Answer::Pass, reason)
    }

    /// The condition does not hold.
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::new(Answer::Fail, reason)
    }

    /// It could not be asked, or cannot be believed.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::new(Answer::Unknown, reason)
    }

    /// It may hold soon.
    pub fn waiting(reason: impl Into<String>) -> Self {
        Self::new(Answer::Waiting, reason)
    }

    /// The verdict, naming one more thing that it is about.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        self.subjects.push(subject);
        self
    }

    /// The verdict, naming everything that it is about, in an order of its own.
    #[must_use]
    pub fn about_all(mut self, subjects: impl IntoIterator<Item = Subject>) -> Self {
        self.subjects.extend(subjects);
        self.subjects.sort();
        self.subjects.dedup();
        self
    }

    /// The verdict with the facts that it rests on.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Value) -> Self {
        self.evidence = evidence;
        self
    }

    /// The verdict with facts that change by themselves.
    #[must_use]
    pub fn with_measured(mut self, measured: Value) -> Self {
        self.measured = measured;
        self
    }

    /// The verdict with what was asked for.
    #[must_use]
    pub fn against(mut self, threshold: Value) -> Self {
        self.threshold = threshold;
        self
    }

    /// The verdict with what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The verdict, saying that waiting cannot help.
    #[must_use]
    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// The verdict, holding no longer than until then.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        self.expires_at = Some(self.expires_at.map_or(time, |before| before.min(time)));
        self
    }

    /// The SHA-256 of what an approval agrees to: the answer, its facts, what was asked for, and
    /// the identities of what was looked at. It does not change with time alone, nor with versions
    /// of objects whose facts stayed the same.
    #[must_use]
    pub fn digest(&self) -> Hash {
        let subjects: Vec<Subject> = self.subjects.iter().map(Subject::identity).collect();
        let document = json!({
            "answer": self.answer,
            "evidence": self.evidence,
            "subjects": subjects,
            "threshold": self.threshold,
        });
        canonical::hash(&document)
    }

    /// The SHA-256 of the identities alone: whether it is still about the same things.
    pub(crate) fn identity(&self) -> Hash {
        let subjects: Vec<Subject> = self.subjects.iter().map(Subject::identity).collect();
        canonical::hash(&json!(subjects))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(resource_version: &str, age: u32) -> Verdict {
        Verdict::pass(format!("{age} s old"))
            .about(Subject::Object(ObjectReference {
                cluster: "home".to_owned(),
                group: String::new(),
                kind: "Node".to_owned(),
                namespace: None,
                name: "node1".to_owned(),
                uid: Some("1".to_owned()),
                resource_version: Some(resource_version.to_owned()),
            }))
            .with_evidence(json!({ "ready": ["node1"] }))
            .with_measured(json!({ "age_seconds": age }))
    }

    #[test]
    fn time_alone_does_not_change_the_digest() {
        assert_eq!(verdict("10", 3).digest(), verdict("11", 9).digest());
    }

    #[test]
    fn facts_answers_and_identities_change_the_digest() {
        let before = verdict("10", 3);
        let mut facts = before.clone();
        facts.evidence = json!({ "ready": ["node2"] });
        let mut answer = before.clone();
        answer.answer = Answer::Fail;
        let mut replaced = before.clone();
        if let Subject::Object(node) = &mut replaced.subjects[0] {
            node.uid = Some("2".to_owned());
        }
        for changed in [facts, answer, replaced] {
            assert_ne!(changed.digest(), before.digest(), "{changed:?}");
        }
    }

    #[test]
    fn a_verdict_reads_back_as_it_was_written() {
        let verdict = verdict("10", 3).until(Timestamp::UNIX_EPOCH);
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}
