//! `hubctl approve`.

use std::io::{self, BufRead as _};
use std::path::PathBuf;

use clap::Args;

use crate::cli::options::JournalOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::ops::{self, ApprovalPlan, ApproveOrder, ApproveReport};
use crate::settings::Overrides;

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

pub(crate) async fn run(context: &Context, args: ApproveArgs) -> anyhow::Result<Exit> {
    let ops = context.ops(Overrides::default().journal(&args.journal))?;
    let revoke = args.revoke;
    let order = args.order();
    let approved = if revoke {
        ops::revoke_approvals(&ops, &order, |principal| {
            context.printer.say(format_args!(
                "every approval of {} that is here now will count no more, signed by {principal}",
                order.gate
            ));
            confirm(context, &order.gate)
        })?
    } else {
        let agree = |plan: &ApprovalPlan| {
            show(context, plan);
            confirm(context, &order.gate)
        };
        ops::approve(&ops, &order, agree).await?
    };
    context.printer.report(&approved, text)?;
    Ok(Exit::Yes)
}

impl ApproveArgs {
    fn order(self) -> ApproveOrder {
        ApproveOrder { gate: self.gate, key: self.key, principal: self.principal }
    }
}

/// Everything that the signature will be bound to.
fn show(context: &Context, plan: &ApprovalPlan) {
    let ApprovalPlan { request, principal, expires, persons, .. } = plan;
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
    let expires = humantime::format_duration(*expires);
    say(format!("signed by     {principal}, for {expires}, {persons} needed"));
}

/// Asks for the name of the gate, which is not typed by pressing a key too often.
fn confirm(context: &Context, name: &str) -> anyhow::Result<()> {
    context.printer.say(format_args!("type the name of the gate to sign: "));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed)?;
    if typed.trim_end_matches(['\r', '\n']) == name {
        return Ok(());
    }
    Err(Refusal::no("it was not confirmed, and nothing was signed").into())
}

fn text(approved: &ApproveReport) -> String {
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
