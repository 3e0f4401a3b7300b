//! What stands between a configured tunnel and its work.

use std::collections::BTreeMap;

use tunnel::{Client, HostKey, Overview, Tunnel, Way};

use super::{Finding, Verdict};
use crate::commands::tunnel::Place;
use crate::environment as env;
use crate::human;
use crate::settings::Settings;

pub(super) async fn examine(settings: &Settings, findings: &mut Vec<Finding>) {
    if settings.tunnels.is_empty() {
        return;
    }
    let overview = match supervisor(settings).await {
        Ok(overview) => overview,
        Err(error) => {
            findings.push(Finding::of("tunnels", &error));
            None
        }
    };
    findings.extend(idle_machine());
    for (name, tunnel) in &settings.tunnels {
        let subject = format!("tunnel {name}");
        let running = overview
            .as_ref()
            .and_then(|overview| states(overview, name));
        findings.extend(targets(&subject, &tunnel.value));
        findings.extend(agent(&subject, &tunnel.value));
        if let Some(finding) = running {
            findings.push(finding);
            continue;
        }
        findings.extend(ports(&subject, &tunnel.value).await);
        findings.push(host_key(name, &subject, &tunnel.value).await);
    }
}

async fn supervisor(settings: &Settings) -> anyhow::Result<Option<Overview>> {
    let place = Place::of(settings)?;
    match Client::connect(&place.runtime).await {
        Ok(mut client) => Ok(Some(client.status().await?)),
        Err(tunnel::Error::NotRunning { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A tunnel that runs was asked by its probes already.
fn states(overview: &Overview, name: &str) -> Option<Finding> {
    let tunnel = overview.tunnels.iter().find(|tunnel| tunnel.name == name)?;
    let said = tunnel.forwards.iter().map(|forward| {
        let reason = forward
            .state
            .reason()
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        format!("{} is {}{reason}", forward.local, forward.state.word())
    });
    let fact = said.collect::<Vec<_>>().join("; ");
    let verdict = if tunnel.is_up() {
        Verdict::Ok
    } else {
        Verdict::Fail
    };
    Some(Finding::new(verdict, format!("tunnel {name}"), fact))
}

/// Names that only pods resolve.
fn targets(subject: &str, tunnel: &Tunnel) -> Vec<Finding> {
    let is_literal = |way: &Way| matches!(way, Way::To(target) if target.is_cluster_name());
    let literal = tunnel
        .forwards
        .iter()
        .filter(|forward| is_literal(&forward.way));
    let finding = |forward: &tunnel::Forward| {
        let fact = format!(
            "the host of a node does not resolve {}, only pods do",
            forward.way
        );
        Finding::new(Verdict::Fail, subject, fact)
            .hint("say `service = \"NAMESPACE/NAME:PORT\"` instead of `target`")
    };
    literal.map(finding).collect()
}

fn agent(subject: &str, tunnel: &Tunnel) -> Option<Finding> {
    let is_named = tunnel.identity_file.is_some()
        || tunnel.identity_agent.is_some()
        || tunnel.ssh_config.is_some();
    let has_agent = env::get("SSH_AUTH_SOCK").is_some();
    (!is_named && has_agent).then(|| {
        let fact =
            "its key may be in the agent of this session, which a unit of systemd does not inherit";
        Finding::new(Verdict::Warn, subject, fact)
            .hint("name `identity_file` or `identity_agent` before `hubctl tunnel install`")
    })
}

/// Who listens where the tunnel is to listen: perhaps the very service that was moved away.
async fn ports(subject: &str, tunnel: &Tunnel) -> Vec<Finding> {
    let mut holders: BTreeMap<String, String> = BTreeMap::new();
    for forward in &tunnel.forwards {
        if matches!(forward.way, Way::From(_)) {
            continue;
        }
        if let Some(holder) = tunnel::holder(&forward.local).await {
            holders.insert(forward.local.to_string(), holder);
        }
    }
    let finding = |(local, holder): (String, String)| {
        Finding::new(
            Verdict::Fail,
            subject,
            format!("{local} is taken by {holder}"),
        )
        .hint("clients there are answered by that program: stop it, or forward from another port")
    };
    holders.into_iter().map(finding).collect()
}

async fn host_key(name: &str, subject: &str, tunnel: &Tunnel) -> Finding {
    let asked = async {
        let key = HostKey::shown(tunnel).await?;
        let known = key.known().await?;
        anyhow::Ok((key, known))
    };
    match asked.await {
        Err(error) => Finding::of(subject, &error),
        Ok((key, known)) if known.contains(&key.fingerprint) => Finding::new(
            Verdict::Ok,
            subject,
            format!("{} greets with the key it is known by", key.host),
        ),
        Ok((key, known)) => {
            let fact = if known.is_empty() {
                format!("{} is not known; it shows {}", key.host, key.fingerprint)
            } else {
                let known = human::quoted(known.iter().map(String::as_str));
                format!(
                    "{} shows {}, and is known by {known}",
                    key.host, key.fingerprint
                )
            };
            Finding::new(Verdict::Fail, subject, fact).hint(format!(
                "compare it with the host's own, then `hubctl tunnel trust {name}`"
            ))
        }
    }
}

/// The virtual machine of WSL2 stops when no terminal is open, whatever systemd runs in it (microsoft/WSL#9667).
fn idle_machine() -> Option<Finding> {
    let version = fs_err::read_to_string("/proc/version").unwrap_or_default();
    version.to_ascii_lowercase().contains("microsoft").then(|| {
        Finding::new(
            Verdict::Warn,
            "tunnels",
            "WSL2 stops this machine when no terminal is open, and tunnels with it",
        )
        .hint("set vmIdleTimeout=-1 under [wsl2] in .wslconfig")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunnel::{Endpoint, Forward};

    #[test]
    fn a_literal_name_of_the_cluster_is_found() {
        let to = |target: &str| {
            let local = Endpoint::tcp("127.0.0.1", 1);
            Tunnel::new("node").with_forward(Forward::to(local, target.parse().unwrap()))
        };
        let found = targets("tunnel hub", &to("hub.ns.svc.cluster.local:80"));
        assert_eq!(found.len(), 1);
        assert!(found[0].hint.as_ref().unwrap().contains("service ="));
        assert!(targets("tunnel hub", &to("10.43.0.7:80")).is_empty());
    }
}
