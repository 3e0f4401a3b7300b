//! `hubctl approve`.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use gates::{
    APPROVAL_NAMESPACE, Answer, Approval, ApprovalRequest, Approvals, Approver, Policy, Verdict,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;
use sshsig::{AllowedSigners, Prompt, PublicKey};

use crate::act::Act;
use crate::cli::options::JournalOptions;
use crate::commands::gates::approvals::approvals_directory;
use crate::commands::gates::asking::Asking;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::settings::{Overrides, Settings};

/// Agree that a gate opens, with an SSH signature
///
/// The gate is asked first. What it asks, what was found, what will be different and the way back
/// are shown; then its name has to be typed, and the key signs. The approval counts for exactly
/// this plan and this evidence, and for as long as the gate says; whatever changes, voids it. It
/// needs a terminal: a program cannot agree. Keys may be in an agent, have a passphrase, or wait to
/// be touched.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl approve T05
  hubctl approve T05 --key ~/.ssh/id_ed25519_sk
  hubctl approve T05 --revoke          no approval of it counts any more")]
pub(crate) struct ApproveArgs {
    /// A gate of the configuration that needs an approval
    gate: String,
    /// Take back every approval of this gate, also those of others
    #[arg(long)]
    revoke: bool,
    /// The SSH key that signs; a public one where an agent has the other half [default: [approval]
    /// key]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The name under which the key stands among the allowed signers [default: the one there]
    #[arg(long = "as", value_name = "PRINCIPAL")]
    principal: Option<String>,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Debug, Serialize)]
struct Approved {
    gate: String,
    principal: String,
    /// What was written.
    files: Vec<String>,
    revoked: bool,
    plan_hash: Option<String>,
    evidence_hash: Option<String>,
    expires_at: Option<String>,
}

/// Who agrees, and by what rule.
struct Person {
    principal: String,
    key: PathBuf,
    policy: Policy,
}

pub(crate) async fn run(context: &Context, args: ApproveArgs) -> anyhow::Result<Exit> {
    let settings = context.settings(Overrides::default().journal(&args.journal))?;
    let rule = rule(&settings, &args.gate)?;
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Refusal::usage("an approval needs a terminal")
            .hint("run it on a terminal: a person must read the gate and type its name")
            .into());
    }
    let person = Person::of(&settings, &args, rule)?;
    let act = Act::begin(&settings, context.console(), "approve", &args.gate)?;
    let approved = if args.revoke {
        revoke(context, &settings, &args.gate, &person)
    } else {
        approve(context, &settings, &args.gate, &person, rule).await
    };
    let approved = act.end(approved, |approved| json!(approved))?;
    context.printer.result("hubctl.approve.v1", &approved, || text(&approved))?;
    Ok(Exit::Yes)
}

/// What the gate says of approvals.
fn rule<'a>(settings: &'a Settings, name: &str) -> anyhow::Result<&'a Approval> {
    let Some(gate) = settings.gates.get(name) else {
        return Err(Refusal::usage(format!("no gate `{name}` is configured")).into());
    };
    gate.approval.as_ref().ok_or_else(|| {
        Refusal::usage(format!("the gate `{name}` needs no approval"))
            .hint("approval = { signers = \"allowed_signers\", expires = \"4h\" } in its table asks for one")
            .into()
    })
}

async fn approve(
    context: &Context,
    settings: &Settings,
    name: &str,
    person: &Person,
    rule: &Approval,
) -> anyhow::Result<Approved> {
    let names = [name];
    let asking = Asking::new(context, settings, &names)?;
    let asked = asking.ask(&Default::default()).await?;
    let verdict = &asked.verdicts[name];
    require_open_but_for_people(name, verdict)?;
    let request = asked.gates.request(name, verdict);
    show(context, &request, person, rule);
    confirm(context, name)?;
    let now = Timestamp::now();
    let expires_at = now.checked_add(jiff::SignedDuration::try_from(rule.expires)?)?;
    let approvals = Approvals::open(approvals_directory(settings))?;
    let file = approvals.approve(&request, person.approver(), now, expires_at, &person.policy)?;
    Ok(Approved {
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
    context: &Context,
    settings: &Settings,
    name: &str,
    person: &Person,
) -> anyhow::Result<Approved> {
    let approvals = Approvals::open(approvals_directory(settings))?;
    context.printer.say(format_args!(
        "every approval of {name} that is here now will count no more, signed by {}",
        person.principal
    ));
    confirm(context, name)?;
    let now = Timestamp::now();
    let files = approvals.revoke(name, person.approver(), now, &person.policy)?;
    Ok(Approved {
        gate: name.to_owned(),
        principal: person.principal.clone(),
        files: files.iter().map(|file| file.display().to_string()).collect(),
        revoked: true,
        plan_hash: None,
        evidence_hash: None,
        expires_at: None,
    })
}

/// Nobody is asked to agree to what does not hold, or is not known.
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

/// Everything that the signature will be bound to.
fn show(context: &Context, request: &ApprovalRequest, person: &Person, rule: &Approval) {
    let say = |line: String| context.printer.say(line);
    say(format!("gate          {}", request.gate));
    for line in &request.evidence_summary {
        say(format!("found         {line}"));
    }
    for subject in &request.subjects {
        say(format!("about         {subject}"));
    }
    for consequence in &request.consequences {
        say(format!("then          {consequence}"));
    }
    let way_back = match request.way_back.as_str() {
        "" => "nothing is said of one",
        way_back => way_back,
    };
    say(format!("way back      {way_back}"));
    say(format!("plan          SHA-256 {}", request.plan_hash()));
    for line in request.plan.lines() {
        say(format!("              {line}"));
    }
    say(format!("evidence      SHA-256 {}", request.evidence_hash));
    say(format!(
        "signed by     {}, for {}, {} needed",
        person.principal,
        humantime::format_duration(rule.expires),
        rule.persons
    ));
}

/// The name, typed: nobody does that by pressing a key too often.
fn confirm(context: &Context, name: &str) -> anyhow::Result<()> {
    context.printer.say(format_args!("type the name of the gate to sign: "));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed)?;
    if typed.trim_end_matches(['\r', '\n']) == name {
        return Ok(());
    }
    Err(Refusal::no("it was not confirmed, and nothing was signed").into())
}

impl Person {
    fn of(settings: &Settings, args: &ApproveArgs, rule: &Approval) -> anyhow::Result<Self> {
        let configured = settings.approval_key.as_ref().map(|key| key.value.clone());
        let Some(key) = args.key.clone().or(configured) else {
            return Err(Refusal::usage("no key is named that signs")
                .hint("name one with --key, or in [approval] key")
                .into());
        };
        let signers =
            AllowedSigners::load(&rule.signers, &TimeZone::system()).map_err(gates::Error::from)?;
        let policy = policy(rule, signers);
        let public = PublicKey::of_file(&key).map_err(gates::Error::from)?;
        let wanted = args.principal.as_deref();
        let signer = policy
            .signers
            .signer(&public, wanted, APPROVAL_NAMESPACE, Timestamp::now())
            .map_err(gates::Error::from)?;
        let principal = match wanted {
            Some(principal) => principal.to_owned(),
            None if signer.principals.contains([',', '*', '?', '!']) => {
                let fact = format!("this key may sign as {}", signer.principals);
                return Err(Refusal::usage(fact).hint("name yourself with --as").into());
            }
            None => signer.principals,
        };
        Ok(Self { principal, key, policy })
    }

    fn approver(&self) -> Approver<'_> {
        Approver { principal: &self.principal, key: &self.key, prompt: Prompt::Allowed }
    }
}

/// What an approval by this rule has to be.
pub(crate) fn policy(rule: &Approval, signers: AllowedSigners) -> Policy {
    Policy {
        signers,
        persons: NonZeroUsize::new(rule.persons)
            .expect("a gate by nobody is refused when it is read"),
        longest: rule.expires,
    }
}

fn text(approved: &Approved) -> String {
    match (approved.revoked, approved.files.len(), &approved.expires_at) {
        (true, 0, _) => format!("there is no approval of {} to take back", approved.gate),
        (true, count, _) => format!("{count} approvals of {} count no more", approved.gate),
        (false, _, until) => format!(
            "{} is approved by {}, until {}",
            approved.gate,
            approved.principal,
            until.as_deref().unwrap_or("it is taken back")
        ),
    }
}
