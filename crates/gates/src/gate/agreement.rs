//! Requests for approval, and the effect of approvals on a verdict.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{ApprovalRule, Gate, Gates};
use crate::Error;
use crate::answer::Answer;
use crate::approval::{ApprovalRequest, Standing};
use crate::condition::words::{ago, list};
use crate::evidence::redact;
use crate::verdict::Verdict;

/// Knows what approvals are worth.
pub trait Approving {
    /// The standing of what is requested.
    ///
    /// # Errors
    ///
    /// The reason why it is unknown.
    fn standing(
        &self,
        request: &ApprovalRequest,
        rule: &ApprovalRule,
        now: Timestamp,
    ) -> Result<Standing, Error>;
}

/// Nobody approves anything.
pub(super) struct Nobody;

impl Approving for Nobody {
    fn standing(
        &self,
        _: &ApprovalRequest,
        rule: &ApprovalRule,
        _: Timestamp,
    ) -> Result<Standing, Error> {
        Ok(Standing::Missing { have: 0, need: rule.persons })
    }
}

impl Gates {
    /// Returns the request to approve for this gate to open: its question with all parts, and the
    /// evidence of its verdict.
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
            consequences: approval.map_or_else(Vec::new, |approval| {
                let shown = approval.consequences.iter();
                shown.map(|text| redact::text(text)).collect()
            }),
            way_back: approval
                .map_or_else(String::new, |approval| redact::text(&approval.way_back)),
        }
    }

    /// If everything else holds, checks that enough people approved exactly this.
    pub(super) fn approved(
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
                return Verdict { reason, ..verdict.until(until) };
            }
            Ok(Standing::Missing { have: 0, .. }) => "not approved yet".to_owned(),
            Ok(Standing::Missing { have, need }) => {
                format!("{have} of {need} people have approved it")
            }
            Ok(Standing::Expired { at }) => {
                format!("its approval expired {}", ago(now.duration_since(at)))
            }
            Ok(Standing::Void { why }) => format!("its approval is void: {why}"),
            Err(error) => {
                let reason = format!("its approvals cannot be read: {error}");
                let hint = error.hint().map(Cow::into_owned);
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
}
