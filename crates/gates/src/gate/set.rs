//! All gates of a configuration: checked once, read for together, and judged without asking
//! anybody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::agreement::{Approving, Nobody};
use super::{Gate, Rule, combine};
use crate::Error;
use crate::answer::Answer;
use crate::condition::words::{after, ago, span};
use crate::evidence::{Evidence, Held, Read};
use crate::verdict::Verdict;

/// The verdicts of gates by their names.
pub type Verdicts = BTreeMap<String, Verdict>;

/// Gates whose parts are there and do not go in circles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    gates: BTreeMap<String, Gate>,
}

impl Gates {
    /// Checks that every part is a gate, and that none is a part of itself.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRule`] names the first gate that is wrong.
    pub fn new(gates: BTreeMap<String, Gate>) -> Result<Self, Error> {
        let set = Self { gates };
        for (name, gate) in &set.gates {
            let invalid = |reason: String| Error::InvalidRule { gate: name.clone(), reason };
            let is_combined = matches!(gate.rule, Rule::All(_) | Rule::Any(_));
            if is_combined && gate.parts().is_empty() {
                return Err(invalid("it is made of nothing".to_owned()));
            }
            if let Some(part) = gate.parts().iter().find(|part| !set.gates.contains_key(*part)) {
                return Err(invalid(format!("there is no gate `{part}`")));
            }
        }
        for name in set.gates.keys() {
            set.walk(name, &mut Vec::new())?;
        }
        Ok(set)
    }

    fn walk<'a>(&'a self, name: &'a str, above: &mut Vec<&'a str>) -> Result<(), Error> {
        if above.contains(&name) {
            return Err(Error::InvalidRule {
                gate: name.to_owned(),
                reason: "it is a part of itself".to_owned(),
            });
        }
        above.push(name);
        for part in self.get(name).map_or(&[][..], Gate::parts) {
            self.walk(part, above)?;
        }
        above.pop();
        Ok(())
    }

    /// The gate of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Gate> {
        self.gates.get(name)
    }

    /// The same gates, each with what the names in it stand for.
    #[must_use]
    pub fn resting_on(&self, find: impl Fn(&Gate) -> BTreeMap<String, Value>) -> Self {
        let mut resolved = self.clone();
        for gate in resolved.gates.values_mut() {
            gate.rests_on = find(gate);
        }
        resolved
    }

    /// All gates, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Gate)> {
        self.gates.iter().map(|(name, gate)| (name.as_str(), gate))
    }

    /// These gates and all their parts, parts before wholes.
    #[must_use]
    pub fn with_parts<'a>(&'a self, names: &[&'a str]) -> Vec<&'a str> {
        let mut order = Vec::new();
        for name in names {
            self.push_with_parts(name, &mut order);
        }
        order
    }

    /// The gates with these names and their parts, without the others.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        let kept = self.with_parts(names).into_iter();
        let kept = kept.filter_map(|name| Some((name.to_owned(), self.get(name)?.clone())));
        Self { gates: kept.collect() }
    }

    fn push_with_parts<'a>(&'a self, name: &'a str, order: &mut Vec<&'a str>) {
        if order.contains(&name) {
            return;
        }
        for part in self.get(name).map_or(&[][..], Gate::parts) {
            self.push_with_parts(part, order);
        }
        order.push(name);
    }

    /// Returns the evidence needed to judge these gates, each question once.
    #[must_use]
    pub fn reads(&self, names: &[&str]) -> Vec<Read> {
        let mut known = std::collections::HashSet::new();
        let gates = self.with_parts(names).into_iter().filter_map(|name| self.get(name));
        gates
            .filter_map(|gate| match &gate.rule {
                Rule::Condition(condition) => Some(condition.reads()),
                _ => None,
            })
            .flatten()
            .filter(|read| known.insert(read.clone()))
            .collect()
    }

    /// Judges these gates and their parts by the evidence alone, when it is `now`: nobody has
    /// approved anything. A name that is no gate is unknown.
    #[must_use]
    pub fn evaluate(&self, names: &[&str], evidence: &Evidence, now: Timestamp) -> Verdicts {
        self.evaluate_with(names, evidence, now, &Nobody)
    }

    /// The same, asking `approvals` where everything else holds.
    #[must_use]
    pub fn evaluate_with(
        &self,
        names: &[&str],
        evidence: &Evidence,
        now: Timestamp,
        approvals: &dyn Approving,
    ) -> Verdicts {
        let mut verdicts = Verdicts::new();
        for name in self.with_parts(names) {
            let verdict = match self.get(name) {
                Some(gate) => {
                    let verdict = Self::rule(gate, &verdicts, evidence, now);
                    let verdict = expiring(gate, verdict, now);
                    let verdict = stable(name, gate, verdict, evidence, now);
                    self.approved(name, gate, verdict, approvals, now)
                }
                None => Verdict::unknown("there is no such gate"),
            };
            verdicts.insert(name.to_owned(), verdict);
        }
        verdicts
    }

    /// Notes in the evidence since when gates with a `stable_for` have passed without a break,
    /// given what was noted before.
    pub fn hold(
        &self,
        names: &[&str],
        evidence: &mut Evidence,
        before: &BTreeMap<String, Held>,
        now: Timestamp,
    ) {
        evidence.held.clear();
        for name in self.with_parts(names) {
            let Some(gate) = self.get(name).filter(|gate| gate.stable_for.is_some()) else {
                continue;
            };
            let parts: Vec<&str> = gate.parts().iter().map(String::as_str).collect();
            let verdicts = self.evaluate(&parts, evidence, now);
            let verdict = expiring(gate, Self::rule(gate, &verdicts, evidence, now), now);
            if verdict.answer != Answer::Pass {
                continue;
            }
            let identity = verdict.identity().to_string();
            let same = before.get(name).filter(|held| held.identity == identity);
            let since = same.map_or(now, |held| held.since);
            evidence.held.insert(name.to_owned(), Held::new(since, identity));
        }
    }

    fn rule(gate: &Gate, verdicts: &Verdicts, evidence: &Evidence, now: Timestamp) -> Verdict {
        let names: BTreeSet<&str> = gate.parts().iter().map(String::as_str).collect();
        let parts: Vec<combine::Part<'_>> =
            names.into_iter().filter_map(|name| Some((name, verdicts.get(name)?))).collect();
        match &gate.rule {
            Rule::Condition(condition) => condition.judge(evidence, now),
            Rule::All(_) => combine::all(&parts),
            Rule::Any(_) => combine::any(&parts),
            Rule::Not(_) => parts
                .first()
                .map_or_else(|| Verdict::unknown("nothing was asked"), |part| combine::not(*part)),
            Rule::Nothing => Verdict::pass("nothing but an approval is asked"),
        }
    }
}

/// A pass stands no longer than its gate says.
fn expiring(gate: &Gate, verdict: Verdict, now: Timestamp) -> Verdict {
    let (Answer::Pass, Some(expires), Some(observed)) =
        (verdict.answer, gate.expires, verdict.observed_at)
    else {
        return verdict;
    };
    let end = after(observed, expires);
    if end < now {
        let age = ago(now.duration_since(observed));
        let reason = format!("it passed {age}, which stands for {} only", span(expires));
        let mut expired = Verdict::unknown(reason).about_all(verdict.subjects);
        expired.observed_at = Some(observed);
        return expired.with_hint("ask again");
    }
    verdict.until(end)
}

/// A pass that has not lasted yet is waited for.
fn stable(
    name: &str,
    gate: &Gate,
    verdict: Verdict,
    evidence: &Evidence,
    now: Timestamp,
) -> Verdict {
    let (Answer::Pass, Some(wanted)) = (verdict.answer, gate.stable_for) else {
        return verdict;
    };
    let identity = verdict.identity().to_string();
    let held = evidence.held.get(name).filter(|held| held.identity == identity);
    let lasted = held.map_or(SignedDuration::ZERO, |held| now.duration_since(held.since));
    if !lasted.is_negative() && lasted.unsigned_abs() >= wanted {
        return verdict;
    }
    Verdict {
        answer: Answer::Waiting,
        reason: format!(
            "passed for {} ({} required): {}",
            span(lasted.unsigned_abs()),
            span(wanted),
            verdict.reason
        ),
        expires_at: None,
        hint: Some("keep asking, with --wait".to_owned()),
        ..verdict
    }
}
