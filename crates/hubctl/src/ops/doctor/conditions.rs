//! Questions that the gates know how to ask: clusters, clocks, room.

use std::collections::BTreeMap;
use std::path::Path;

use gates::condition::{Clock, Disk, Identity};
use gates::{Answer, Condition, Gate, Gates, Rule, Size};

use super::{Finding, Health};
use crate::ops::Ops;
use crate::ops::gates::Asking;
use crate::settings::Settings;

/// One condition, and what it is about.
pub(super) struct Question {
    subject: String,
    condition: Condition,
    /// The state that a no amounts to.
    no: Health,
}

impl Question {
    /// Asks if each cluster is the pinned one, and agrees what time it is.
    pub(super) fn of_clusters(settings: &Settings) -> impl Iterator<Item = Self> {
        settings.clusters.keys().flat_map(|name| {
            let asked = |condition, no| Self { subject: format!("cluster {name}"), condition, no };
            [
                asked(Condition::Identity(Identity::new(name)), Health::Fail),
                asked(Condition::Clock(Clock::new(name)), Health::Warn),
            ]
        })
    }

    /// Asks if a copy of the largest database would find room.
    pub(super) fn of_room(directory: &Path, bytes: u64) -> Self {
        let room = Disk::new(directory.display().to_string(), Size::of(bytes));
        Self { subject: "vault".to_owned(), condition: Condition::Disk(room), no: Health::Warn }
    }

    fn gate(&self) -> Gate {
        Gate::new(Rule::Condition(self.condition.clone()))
    }

    fn finding(&self, asked: gates::Verdict) -> Finding {
        let health = match asked.answer {
            Answer::Pass => Health::Ok,
            Answer::Fail => self.no,
            _ => Health::Unknown,
        };
        let finding = Finding::new(health, &self.subject, asked.reason);
        match asked.hint {
            Some(hint) => finding.hint(hint),
            None => finding,
        }
    }
}

pub(super) async fn ask(ops: &Ops, questions: Vec<Question>, findings: &mut Vec<Finding>) {
    let names: Vec<String> = (0..questions.len()).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let asked = async {
        let gates = questions.iter().map(Question::gate);
        let named = names.iter().map(|name| (*name).to_owned()).zip(gates);
        let gates = Gates::new(named.collect())?;
        let asking = Asking::new(ops, &gates, &names)?;
        anyhow::Ok(asking.ask(&BTreeMap::new()).await?.verdicts)
    };
    match asked.await {
        Ok(mut verdicts) => findings.extend(
            names
                .iter()
                .zip(&questions)
                .filter_map(|(name, question)| Some(question.finding(verdicts.remove(*name)?))),
        ),
        Err(error) => findings.push(Finding::of("conditions", &error)),
    }
}
