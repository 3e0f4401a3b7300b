//! All gates of a configuration: checked once, read for together, and judged without asking anybody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Approval, Gate, Rule, combine};
use crate::Error;
use crate::answer::Answer;
use crate::approval::{ApprovalRequest, Standing};
use crate::condition::words::{after, ago, list, span};
use crate::evidence::{Evidence, Held, Read};
use crate::verdict::Verdict;

/// The verdicts of gates by their names.
pub type Verdicts = BTreeMap<String, Verdict>;

/// Knows what approvals are worth.
pub trait Approving {
    /// The standing of what is requested.
    ///
    /// # Errors
    ///
    /// Why nobody knows.
    fn standing(
        &self,
        request: &ApprovalRequest,
        rule: &Approval,
        now: Timestamp,
    ) -> Result<Standing, Error>;
}

/// Nobody approves anything.
struct Nobody;

impl Approving for Nobody {
    fn standing(
        &self,
        _: &ApprovalRequest,
        rule: &Approval,
        _: Timestamp,
    ) -> Result<Standing, Error> {
        Ok(Standing::Missing {
            have: 0,
            need: rule.persons,
        })
    }
}

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
            let invalid = |reason: String| Error::InvalidRule {
                gate: name.clone(),
                reason,
            };
            let is_combined = matches!(gate.rule, Rule::All(_) | Rule::Any(_));
            if is_combined && gate.parts().is_empty() {
                return Err(invalid("it is made of nothing".to_owned()));
            }
            if let Some(part) = gate
                .parts()
                .iter()
                .find(|part| !set.gates.contains_key(*part))
            {
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

    fn push_with_parts<'a>(&'a self, name: &'a str, order: &mut Vec<&'a str>) {
        if order.contains(&name) {
            return;
        }
        for part in self.get(name).map_or(&[][..], Gate::parts) {
            self.push_with_parts(part, order);
        }
        order.push(name);
    }

    /// What has to be read to judge these gates, each question once.
    #[must_use]
    pub fn reads(&self, names: &[&str]) -> Vec<Read> {
        let mut known = std::collections::HashSet::new();
        let gates = self
            .with_parts(names)
            .into_iter()
            .filter_map(|name| self.get(name));
        gates
            .filter_map(|gate| match &gate.rule {
                Rule::Condition(condition) => Some(condition.reads()),
                _ => None,
            })
            .flatten()
            .filter(|read| known.insert(read.clone()))
            .collect()
    }

    /// Judges these gates and their parts by the evidence alone, when it is `now`: nobody has approved anything.
    /// A name that is no gate is unknown.
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

    /// Notes in the evidence since when gates with a `stable_for` have passed without a break, given what was noted
    /// before.
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
            evidence
                .held
                .insert(name.to_owned(), Held::new(since, identity));
        }
    }

    /// What has to be approved for this gate to open: what it asks, with all its parts, and the evidence of its verdict.
    #[must_use]
    pub fn request(&self, name: &str, verdict: &Verdict) -> ApprovalRequest {
        let approval = self.get(name).and_then(|gate| gate.approval.as_ref());
        let members = self.with_parts(&[name]).into_iter();
        let members: BTreeMap<&str, Option<&Gate>> =
            members.map(|name| (name, self.get(name))).collect();
        ApprovalRequest {
            gate: name.to_owned(),
            plan: serde_json::to_string_pretty(&members).unwrap_or_default(),
            subjects: verdict.subjects.iter().map(ToString::to_string).collect(),
            evidence_summary: vec![verdict.reason.clone()],
            evidence_hash: verdict.approves.unwrap_or_else(|| verdict.digest()),
            consequences: approval.map_or_else(Vec::new, |approval| approval.consequences.clone()),
            way_back: approval.map_or_else(String::new, |approval| approval.way_back.clone()),
        }
    }

    /// Where everything else holds, asks whether enough people agreed to exactly this.
    fn approved(
        &self,
        name: &str,
        gate: &Gate,
        mut verdict: Verdict,
        approvals: &dyn Approving,
        now: Timestamp,
    ) -> Verdict {
        let (Answer::Pass, Some(approval)) = (verdict.answer, &gate.approval) else {
            return verdict;
        };
        verdict.approves = Some(verdict.digest());
        let missing = match approvals.standing(&self.request(name, &verdict), approval, now) {
            Ok(Standing::Granted { by, until }) => {
                let names: BTreeSet<String> = by.into_iter().map(|grant| grant.principal).collect();
                let reason = format!("{}; approved by {}", verdict.reason, list(names));
                return Verdict {
                    reason,
                    ..verdict.until(until)
                };
            }
            Ok(Standing::Missing { have: 0, .. }) => "nobody has approved it".to_owned(),
            Ok(Standing::Missing { have, need }) => {
                format!("{have} of {need} people have approved it")
            }
            Ok(Standing::Expired { at }) => {
                format!("its approval expired {}", ago(now.duration_since(at)))
            }
            Ok(Standing::Void { why }) => format!("its approval is void: {why}"),
            Err(error) => {
                let reason = format!("its approvals cannot be read: {error}");
                let hint = error.hint();
                return Verdict {
                    answer: Answer::Unknown,
                    reason,
                    hint,
                    expires_at: None,
                    ..verdict
                };
            }
        };
        Verdict {
            answer: Answer::NeedsApproval,
            reason: format!("{}; {missing}", verdict.reason),
            hint: Some(format!("`hubctl approve {name}`, at a terminal")),
            expires_at: None,
            ..verdict
        }
    }

    fn rule(gate: &Gate, verdicts: &Verdicts, evidence: &Evidence, now: Timestamp) -> Verdict {
        let names: BTreeSet<&str> = gate.parts().iter().map(String::as_str).collect();
        let parts: Vec<combine::Part<'_>> = names
            .into_iter()
            .filter_map(|name| Some((name, verdicts.get(name)?)))
            .collect();
        match &gate.rule {
            Rule::Condition(condition) => condition.judge(evidence, now),
            Rule::All(_) => combine::all(&parts),
            Rule::Any(_) => combine::any(&parts),
            Rule::Not(_) => parts.first().map_or_else(
                || Verdict::unknown("nothing was asked"),
                |part| combine::not(*part),
            ),
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
    let held = evidence
        .held
        .get(name)
        .filter(|held| held.identity == identity);
    let lasted = held.map_or(SignedDuration::ZERO, |held| now.duration_since(held.since));
    if !lasted.is_negative() && lasted.unsigned_abs() >= wanted {
        return verdict;
    }
    Verdict {
        answer: Answer::Waiting,
        reason: format!(
            "it has passed for {}, {} asked for: {}",
            span(lasted.unsigned_abs()),
            span(wanted),
            verdict.reason
        ),
        expires_at: None,
        hint: Some("keep asking, with --wait".to_owned()),
        ..verdict
    }
}
