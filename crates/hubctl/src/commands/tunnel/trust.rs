//! `hubctl tunnel trust`: a host's key becomes known because a human said so.

use std::io::{BufRead as _, Write as _};

use tunnel::HostKey;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::ops::{self, Ops, TrustPlan, blocking};
use crate::printer::can_ask;

pub(super) async fn run(
    context: &Context,
    ops: &Ops,
    name: String,
    expected: Option<String>,
) -> anyhow::Result<Exit> {
    let plan = ops::plan_trust(ops, name).await?;
    if !plan.is_trusted() {
        agree(context, &plan, expected).await?;
    }
    let trusted = ops::trust_host(plan).await?;
    context.printer.report(&trusted, |trusted| {
        format!("{} is known by {}, in {}", trusted.host, trusted.fingerprint, trusted.known_hosts)
    })?;
    Ok(Exit::Yes)
}

/// The fingerprint was given, or is compared by a person at the terminal.
async fn agree(
    context: &Context,
    plan: &TrustPlan,
    expected: Option<String>,
) -> anyhow::Result<()> {
    let HostKey { host, fingerprint, kind, .. } = &plan.key;
    if let Some(expected) = expected {
        if expected == *fingerprint {
            return Ok(());
        }
        return Err(Refusal::no(format!(
            "{host} shows the {kind} key {fingerprint}, not {expected}"
        ))
        .hint(
            "on the host, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` tells which is right",
        )
        .into());
    }
    context.printer.talk(format_args!("{host} shows the {kind} key {fingerprint}"));
    for known in &plan.known {
        context
            .printer
            .warn(format_args!("it is known by another one, {known}: find out why that changed"));
    }
    if !can_ask() {
        return Err(Refusal::no("the fingerprint must be compared at a terminal")
            .hint(format!("compare it with the host's own, then say --fingerprint {fingerprint}"))
            .into());
    }
    let typed = blocking(|| {
        let _ = write!(
            std::io::stderr(),
            "Is it the fingerprint that the host itself shows? Type yes: "
        );
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    })
    .await?;
    if typed.trim() == "yes" {
        Ok(())
    } else {
        Err(Refusal::no("the key is not trusted; nothing was changed").into())
    }
}
