//! The examination of the tunnels: everything between a configured one and its work.

use std::collections::BTreeMap;
use std::time::Duration;

use tunnel::{
    Client, Endpoint, ForwardStatus, HostKey, Overview, State, Supervisor, Tunnel, TunnelStatus,
    Way,
};

use super::{Finding, Health};
use crate::environment as env;
use crate::human;
use crate::ops::tunnel::SupervisorPaths;
use crate::settings::Settings;

/// The length of the longest name below the library's directory, such as
/// `/0123abcd/89abcdef-123456/forward-12`.
const LONGEST_NAME: usize = 38;

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
    findings.extend(SupervisorPaths::of(settings).ok().and_then(|paths| length(&paths)));
    findings.extend(idle_machine());
    for (name, tunnel) in &settings.tunnels {
        let subject = format!("tunnel {name}");
        let running = overview.as_ref().and_then(|overview| states(overview, name));
        findings.extend(targets(&subject, &tunnel.value));
        findings.extend(agent(&subject, &tunnel.value));
        findings.extend(remote_listener(&subject, &tunnel.value));
        if let Some(finding) = running {
            findings.push(finding);
            continue;
        }
        findings.extend(ports(&subject, &tunnel.value).await);
        let host_key = host_key(name, &subject, &tunnel.value).await;
        let is_known = host_key.health == Health::Ok;
        findings.push(host_key);
        if is_known {
            findings.extend(trial(&subject, &tunnel.value).await);
        }
    }
}

async fn supervisor(settings: &Settings) -> anyhow::Result<Option<Overview>> {
    let paths = SupervisorPaths::of(settings)?;
    match Client::connect(&paths.runtime).await {
        Ok(mut client) => Ok(Some(client.status().await?)),
        Err(tunnel::Error::NotRunning { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A tunnel that runs was asked by its probes already.
fn states(overview: &Overview, name: &str) -> Option<Finding> {
    let tunnel = overview.tunnels.iter().find(|tunnel| tunnel.name == name)?;
    let said = tunnel.forwards.iter().map(|forward| {
        let reason =
            forward.state.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{} is {}{reason}", forward.local, forward.state.word())
    });
    let fact = said.collect::<Vec<_>>().join("; ");
    let health = if tunnel.is_up() { Health::Ok } else { Health::Fail };
    Some(Finding::new(health, format!("tunnel {name}"), fact))
}

/// Names that only pods resolve.
fn targets(subject: &str, tunnel: &Tunnel) -> Vec<Finding> {
    let is_literal = |way: &Way| matches!(way, Way::To(target) if target.is_cluster_name());
    let literal = tunnel.forwards.iter().filter(|forward| is_literal(&forward.way));
    let finding = |forward: &tunnel::Forward| {
        let fact = format!("the host of a node does not resolve {}, only pods do", forward.way);
        Finding::new(Health::Fail, subject, fact)
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
        Finding::new(Health::Warn, subject, fact)
            .hint("name `identity_file` or `identity_agent` before `hubctl tunnel install`")
    })
}

/// `sshd` of its own accord does not notice a client that fell silent, and goes on to listen for
/// it.
fn remote_listener(subject: &str, tunnel: &Tunnel) -> Option<Finding> {
    let mut ways = tunnel.forwards.iter().map(|forward| &forward.way);
    ways.any(|way| matches!(way, Way::From(_))).then(|| {
        Finding::new(
            Health::Warn,
            subject,
            "after a sleep of this machine its server may go on to listen for the connection of before",
        )
        .hint("set `ClientAliveInterval 15` and `ClientAliveCountMax 2` in its sshd_config; `hubctl tunnel restart` ends such a session")
    })
}

/// A unix socket's address holds 108 bytes, and `ssh` adds 17 to the longest for a moment (mux.c).
fn length(paths: &SupervisorPaths) -> Option<Finding> {
    let longest = paths.runtime.as_os_str().len() + LONGEST_NAME;
    (longest > 90).then(|| {
        let fact = format!(
            "the sockets of its tunnels would have names of {longest} characters, and ssh takes 90"
        );
        Finding::new(Health::Fail, "tunnels", fact)
            .hint("name a shorter directory: XDG_RUNTIME_DIR")
    })
}

/// Ports of the tunnel that others listen on: perhaps the very service that was moved away.
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
        Finding::new(Health::Fail, subject, format!("{local} is taken by {holder}")).hint(
            "clients there are answered by that program: stop it, or forward from another port",
        )
    };
    holders.into_iter().map(finding).collect()
}

/// The time that a tunnel has to show that it works.
const TRIAL: Duration = Duration::from_secs(10);

/// Makes the tunnel for a moment, from sockets instead of its ports: whether the server allows the
/// forwards, and whether what is behind them answers, shows in no other way. A forward from the
/// destination would take its port there, and is left out.
async fn trial(subject: &str, tunnel: &Tunnel) -> Vec<Finding> {
    let mut tunnel = tunnel.clone();
    tunnel.forwards.retain(|forward| !matches!(forward.way, Way::From(_)));
    if tunnel.forwards.is_empty() {
        return Vec::new();
    }
    match tried(tunnel).await {
        Ok(status) => status.forwards.iter().map(|forward| shown(subject, forward)).collect(),
        Err(error) => vec![Finding::of(subject, &error)],
    }
}

async fn tried(mut tunnel: Tunnel) -> anyhow::Result<TunnelStatus> {
    let directory = tempfile::Builder::new().prefix("hubctl").tempdir()?;
    for (index, forward) in tunnel.forwards.iter_mut().enumerate() {
        forward.local = Endpoint::unix(directory.path().join(format!("local-{index}")));
    }
    let supervisor = Supervisor::open(directory.path().join("run"))?;
    supervisor.start("trial", tunnel).await?;
    let status = supervisor.settled("trial", TRIAL).await;
    supervisor.close().await;
    Ok(status?)
}

fn shown(subject: &str, forward: &ForwardStatus) -> Finding {
    let way = &forward.way;
    match &forward.state {
        State::Up => Finding::new(Health::Ok, subject, format!("{way}: tried, and it answers")),
        State::Failed { reason, remedy, .. } => {
            Finding::new(Health::Fail, subject, format!("{way}: {reason}")).hint(remedy)
        }
        state => {
            let reason = state.reason().unwrap_or_else(|| "no answer yet".to_owned());
            let fact = format!("{way}: tried, and it is {} ({reason})", state.word());
            Finding::new(Health::Fail, subject, fact)
        }
    }
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
            Health::Ok,
            subject,
            format!("{} greets with the key it is known by", key.host),
        ),
        Ok((key, known)) => {
            let fact = if known.is_empty() {
                format!("{} is not known; it shows {}", key.host, key.fingerprint)
            } else {
                let known = human::quoted(known.iter().map(String::as_str));
                format!("{} shows {}, and is known by {known}", key.host, key.fingerprint)
            };
            Finding::new(Health::Fail, subject, fact)
                .hint(format!("compare it with the host's own, then `hubctl tunnel trust {name}`"))
        }
    }
}

fn idle_machine() -> Option<Finding> {
    tunnel::is_wsl().then(|| {
        Finding::new(
            Health::Warn,
            "tunnels",
            "WSL2 stops this machine when no terminal is open, and tunnels with it",
        )
        .hint("set vmIdleTimeout=-1 under [wsl2] in .wslconfig")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunnel::Forward;

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

    #[test]
    fn a_listener_that_may_outlive_its_client_is_told() {
        let (here, there) = (Endpoint::tcp("127.0.0.1", 1), Endpoint::tcp("127.0.0.1", 2));
        let remote = Tunnel::new("node").with_forward(Forward::from(there.clone(), here.clone()));
        assert!(remote_listener("tunnel hub", &remote).is_some());
        let local = Tunnel::new("node").with_forward(Forward::to(here, there));
        assert!(remote_listener("tunnel hub", &local).is_none());
    }

    #[test]
    fn a_directory_too_long_for_sockets_is_told() {
        let paths = |runtime: String| SupervisorPaths {
            config: "/c".into(),
            runtime: runtime.into(),
            log: "/l".into(),
        };
        assert!(length(&paths("/run/user/1000/hubctl/0123456789ab".to_owned())).is_none());
        assert!(length(&paths(format!("/{}", "x".repeat(60)))).is_some());
    }
}
