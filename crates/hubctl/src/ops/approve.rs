//! Agree with an SSH signature that a gate opens, or take that back.

use std::path::PathBuf;
use std::time::Duration;

use gates::{
    APPROVAL_NAMESPACE, Answer, ApprovalRequest, ApprovalRule, Approvals, Approver, Policy, Verdict,
};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use journal::evidence;
use serde::Serialize;
use sshsig::{AllowedSigners, Prompt, PublicKey};

use super::gates::{Asking, approvals_directory};
use super::{Ops, Report};
use crate::failure::Refusal;
use crate::settings::Settings;

/// The gate to approve, and who signs.
#[derive(Debug, Clone, Default)]
pub struct ApproveOrder {
    /// A gate of the configuration that needs an approval.
    pub gate: String,
    /// The SSH key that signs; a public one if an agent has the other half. Without one, that of
    /// the settings.
    pub key: Option<PathBuf>,
    /// The name of the key among the allowed signers; without one, the only one it has there.
    pub principal: Option<String>,
}

/// Everything a person agrees to; the signature covers it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApprovalPlan {
    /// The plan of the gate, the facts that were found, and the consequences.
    pub request: ApprovalRequest,
    /// The name of the person who signs.
    pub principal: String,
    /// The time for which the approval counts.
    pub expires: Duration,
    /// The number of people who have to approve.
    pub persons: usize,
}

/// An approval that was signed, or approvals that were revoked.
#[derive(Debug, Clone, Serialize)]
pub struct ApproveReport {
    /// The gate.
    pub gate: String,
    /// The person who signed.
    pub principal: String,
    /// The files that were written.
    pub files: Vec<String>,
    /// True if approvals were revoked.
    pub revoked: bool,
    /// The SHA-256 of what the gate asks, in hexadecimal.
    pub plan_hash: Option<String>,
    /// The SHA-256 of what was found, in hexadecimal.
    pub evidence_hash: Option<String>,
    /// The end of the approval, in RFC 3339.
    pub expires_at: Option<String>,
}

impl Report for ApproveReport {
    const SCHEMA: &'static str = "hubctl.approve.v1";
}

impl ApproveReport {
    fn evidence(&self) -> evidence::Approve {
        evidence::Approve {
            gate: self.gate.clone(),
            principal: self.principal.clone(),
            files: self.files.clone(),
            revoked: self.revoked,
            plan_hash: self.plan_hash.clone(),
            evidence_hash: self.evidence_hash.clone(),
            expires_at: self.expires_at.clone(),
        }
    }
}

/// Approves a gate: asks it, lets a person agree, and signs.
///
/// `agree` shows the plan to the person and returns an error unless they agree; then nothing is
/// signed. The approval counts for exactly this plan and this evidence, and for as long as the gate
/// says. The result is recorded in the journal in each case.
///
/// # Errors
/// A gate that is not configured or needs no approval; a console without a person; a key that may
/// not approve; a gate that is open, closed or unknown; the error of `agree`.
pub async fn approve(
    ops: &Ops,
    order: &ApproveOrder,
    agree: impl FnOnce(&ApprovalPlan) -> anyhow::Result<()>,
) -> anyhow::Result<ApproveReport> {
    let (person, rule) = Person::of(ops, order)?;
    let act = ops.act(&order.gate)?;
    let approved = sign(ops, &order.gate, &person, rule, agree).await;
    act.end(approved, ApproveReport::evidence)
}

/// Revokes every approval of a gate that exists now, those of others included.
///
/// `agree` shows the name of the person who signs and returns an error unless they agree.
///
/// # Errors
/// Those of [`approve`], except that the gate is not asked.
pub fn revoke_approvals(
    ops: &Ops,
    order: &ApproveOrder,
    agree: impl FnOnce(&str) -> anyhow::Result<()>,
) -> anyhow::Result<ApproveReport> {
    let (person, _) = Person::of(ops, order)?;
    let act = ops.act(&order.gate)?;
    let revoked = revoke(ops, &order.gate, &person, agree);
    act.end(revoked, ApproveReport::evidence)
}

async fn sign(
    ops: &Ops,
    name: &str,
    person: &Person,
    rule: &ApprovalRule,
    agree: impl FnOnce(&ApprovalPlan) -> anyhow::Result<()>,
) -> anyhow::Result<ApproveReport> {
    let names = [name];
    let asking = Asking::new(ops, &ops.settings().gates, &names)?;
    let asked = asking.ask(&Default::default()).await?;
    let verdict = &asked.verdicts[name];
    require_open_but_for_people(name, verdict)?;
    let plan = ApprovalPlan {
        request: asked.gates.request(name, verdict),
        principal: person.principal.clone(),
        expires: rule.expires,
        persons: rule.persons,
    };
    agree(&plan)?;
    let request = &plan.request;
    let now = ops.now();
    let expires_at = now.checked_add(SignedDuration::try_from(rule.expires)?)?;
    let approvals = Approvals::open(approvals_directory(ops.settings()))?;
    let file = approvals.approve(request, person.approver(), now, expires_at, &person.policy)?;
    Ok(ApproveReport {
        gate: name.to_owned(),
        principal: person.principal.clone(),
        files: vec![file.display().to_string()],
        revoked: false,
        plan_hash: Some(request.plan_hash().to_string()),
        evidence_hash: Some(request.evidence_hash.to_string()),
        expires_at: Some(expires_at.to_string()),
    })
}

fn revoke(
    ops: &Ops,
    name: &str,
    person: &Person,
    agree: impl FnOnce(&str) -> anyhow::Result<()>,
) -> anyhow::Result<ApproveReport> {
    let approvals = Approvals::open(approvals_directory(ops.settings()))?;
    agree(&person.principal)?;
    let files = approvals.revoke(name, person.approver(), ops.now(), &person.policy)?;
    Ok(ApproveReport {
        gate: name.to_owned(),
        principal: person.principal.clone(),
        files: files.iter().map(|file| file.display().to_string()).collect(),
        revoked: true,
        plan_hash: None,
        evidence_hash: None,
        expires_at: None,
    })
}

/// Refuses a gate that does not hold, or is not known: there is nothing to agree to.
fn require_open_but_for_people(name: &str, verdict: &Verdict) -> anyhow::Result<()> {
    let reason = &verdict.reason;
    let refusal = match verdict.answer {
        Answer::NeedsApproval => return Ok(()),
        Answer::Pass => Refusal::no(format!("{name} is open already: {reason}")),
        Answer::Fail => Refusal::no(format!("{name} is closed: {reason}")),
        Answer::Unknown | Answer::Waiting => {
            Refusal::could_not_ask(format!("{name} cannot be approved yet: {reason}"))
        }
    };
    Err(match &verdict.hint {
        Some(hint) => refusal.hint(hint.clone()),
        None => refusal,
    }
    .into())
}

/// The approval that a gate asks for.
fn rule<'a>(settings: &'a Settings, name: &str) -> anyhow::Result<&'a ApprovalRule> {
    let Some(gate) = settings.gates.get(name) else {
        return Err(Refusal::usage(format!("no gate `{name}` is configured")).into());
    };
    gate.approval.as_ref().ok_or_else(|| {
        Refusal::usage(format!("the gate `{name}` needs no approval"))
            .hint("approval = { signers = \"allowed_signers\", expires = \"4h\" } in its table asks for one")
            .into()
    })
}

/// A person who signs, and the rule by which that counts.
struct Person {
    principal: String,
    key: PathBuf,
    policy: Policy,
}

impl Person {
    fn of<'a>(ops: &'a Ops, order: &ApproveOrder) -> anyhow::Result<(Self, &'a ApprovalRule)> {
        let settings = ops.settings();
        let rule = rule(settings, &order.gate)?;
        if !ops.console().can_ask() {
            return Err(Refusal::usage("an approval needs a terminal")
                .hint("run it on a terminal: a person must read the gate and type its name")
                .into());
        }
        let configured = settings.approval_key.as_ref().map(|key| key.value.clone());
        let Some(key) = order.key.clone().or(configured) else {
            return Err(Refusal::usage("no key is named that signs")
                .hint("name one with --key, or in [approval] key")
                .into());
        };
        let signers =
            AllowedSigners::load(&rule.signers, &TimeZone::system()).map_err(gates::Error::from)?;
        let policy = Policy::of(rule, signers);
        let public = PublicKey::of_file(&key).map_err(gates::Error::from)?;
        let wanted = order.principal.as_deref();
        let signer = policy
            .signers
            .signer(&public, wanted, APPROVAL_NAMESPACE, ops.now())
            .map_err(gates::Error::from)?;
        let principal = match wanted {
            Some(principal) => principal.to_owned(),
            None if signer.principals.contains([',', '*', '?', '!']) => {
                let fact = format!("this key may sign as {}", signer.principals);
                return Err(Refusal::usage(fact).hint("name yourself with --as").into());
            }
            None => signer.principals,
        };
        Ok((Self { principal, key, policy }, rule))
    }

    fn approver(&self) -> Approver<'_> {
        Approver { principal: &self.principal, key: &self.key, prompt: Prompt::Allowed }
    }
}
