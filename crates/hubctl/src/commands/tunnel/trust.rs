//! `hubctl tunnel trust`: a host's key becomes known because a human said so.

use std::io::{BufRead as _, Write as _};

use serde::Serialize;
use tunnel::{Client, HostKey};

use super::place::Place;
use super::{Names, chosen};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::ops::blocking;
use crate::printer::can_ask;
use crate::settings::Settings;

#[derive(Serialize)]
struct Trusted {
    host: String,
    fingerprint: String,
    kind: String,
    known_hosts: String,
    /// The fingerprints by which it was known before, and is no longer.
    replaced: Vec<String>,
}

pub(super) async fn run(
    context: &Context,
    settings: &Settings,
    place: &Place,
    name: String,
    expected: Option<String>,
) -> anyhow::Result<Exit> {
    let names = Names { names: vec![name] };
    let tunnels = chosen(settings, &names)?;
    let tunnel = tunnels.values().next().expect("one was named and found");
    let key = HostKey::shown(tunnel).await?;
    let known = key.known().await?;
    if known != [key.fingerprint.clone()] {
        agree(context, &key, &known, expected).await?;
        key.trust().await?;
        // It may have waited for just this.
        if let Ok(mut client) = Client::connect(&place.runtime).await {
            client.start(tunnels).await?;
        }
    }
    let trusted = Trusted {
        replaced: known.into_iter().filter(|known| *known != key.fingerprint).collect(),
        host: key.host,
        fingerprint: key.fingerprint,
        kind: key.kind,
        known_hosts: key.known_hosts.display().to_string(),
    };
    context.printer.result("hubctl.tunnel-trust.v1", &trusted, || {
        format!("{} is known by {}, in {}", trusted.host, trusted.fingerprint, trusted.known_hosts)
    })?;
    Ok(Exit::Yes)
}

/// The fingerprint was given, or is compared by whoever sits at the terminal.
async fn agree(
    context: &Context,
    key: &HostKey,
    known: &[String],
    expected: Option<String>,
) -> anyhow::Result<()> {
    let HostKey { host, fingerprint, kind, .. } = key;
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
    for known in known {
        context
            .printer
            .warn(format_args!("it is known by another one, {known}: find out why that changed"));
    }
    if !can_ask() {
        return Err(Refusal::no("nobody is here to compare the fingerprint")
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
