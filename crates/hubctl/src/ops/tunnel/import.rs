//! The tunnels of ops-bridge's `tunnels.yaml`, as sections of `hubctl.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::tunnel::{Endpoint, Expected, Forward, Probe, Tunnel};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::failure::Refusal;

/// Tunnels as a configuration writes them.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ImportedTunnels {
    /// Sections of `hubctl.toml`.
    pub toml: String,
    /// Settings without an equivalent, each with its tunnel.
    pub left_out: Vec<String>,
}

/// The file, as its README describes it.
#[derive(Debug, Deserialize)]
struct Bridge {
    tunnels: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    host: String,
    remote_port: u16,
    local_port: u16,
    ssh_user: Option<String>,
    ssh_key: Option<PathBuf>,
    #[serde(default)]
    direction: Direction,
    health_check: Option<HealthCheck>,
    /// Settings that have another meaning here, or none.
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

/// Which side listens: `ssh -R` unless said otherwise.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    #[default]
    Reverse,
    Local,
}

#[derive(Debug, Deserialize)]
struct HealthCheck {
    url: String,
    interval_seconds: Option<u64>,
    timeout_seconds: Option<u64>,
}

/// No such file is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Sections of the configuration.
#[derive(Serialize)]
struct Sections {
    tunnels: BTreeMap<String, Tunnel>,
}

/// Reads a `tunnels.yaml` of ops-bridge. Nothing is changed.
///
/// # Errors
/// A file that cannot be read, or is no such file; a tunnel that cannot be one here.
pub fn import_tunnels(path: &Path) -> anyhow::Result<ImportedTunnels> {
    let text = regularfile::read_to_string(path, LARGEST)?;
    let bridge: Bridge = serde_saphyr::from_str(&text).map_err(|error| {
        Refusal::usage(format!("{} is no tunnels.yaml: {error}", path.display()))
            .hint("each tunnel needs `host`, `remote_port` and `local_port`")
    })?;
    let mut imported = ImportedTunnels::default();
    for (name, entry) in bridge.tunnels {
        let left_out = entry.left_out().into_iter().map(|left| format!("{name}: {left}"));
        imported.left_out.extend(left_out);
        let tunnel = entry.tunnel();
        tunnel.check(&name)?;
        let tunnels = BTreeMap::from([(name, tunnel)]);
        let section = toml::to_string(&Sections { tunnels }).context("a tunnel is always TOML")?;
        writeln!(imported.toml, "{}", section.trim_end())?;
    }
    Ok(imported)
}

impl Entry {
    fn tunnel(&self) -> Tunnel {
        let destination = match &self.ssh_user {
            Some(user) => format!("{user}@{}", self.host),
            None => self.host.clone(),
        };
        let mut tunnel = Tunnel::new(destination).with_forward(self.forward());
        tunnel.identity_file.clone_from(&self.ssh_key);
        tunnel
    }

    fn forward(&self) -> Forward {
        let at = |port| Endpoint::tcp("127.0.0.1", port);
        let forward = match self.direction {
            Direction::Reverse => Forward::from(at(self.remote_port), at(self.local_port)),
            Direction::Local => Forward::to(at(self.local_port), at(self.remote_port)),
        };
        match self.probe() {
            Some(probe) => forward.with_probe(probe),
            None => forward,
        }
    }

    /// Its health check asked through the forward; what leads elsewhere proves nothing of it.
    fn probe(&self) -> Option<Probe> {
        let check = self.health_check.as_ref()?;
        let url = url::Url::parse(&check.url).ok()?;
        let listens = match self.direction {
            Direction::Reverse => self.remote_port,
            Direction::Local => self.local_port,
        };
        if url.scheme() != "http" || url.port_or_known_default() != Some(listens) {
            return None;
        }
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let probe = Probe::http(path, Expected::Success);
        let seconds = |written: Option<u64>, default| written.map_or(default, Duration::from_secs);
        let interval = seconds(check.interval_seconds, probe.interval);
        let timeout = seconds(check.timeout_seconds, probe.timeout);
        Some(probe.every(interval, timeout))
    }

    /// Settings that have no place here, each with its replacement.
    fn left_out(&self) -> Vec<String> {
        let mut left = Vec::new();
        if self.health_check.is_some() && self.probe().is_none() {
            left.push(
                "its health check asks another port than the forward's, and is left out".to_owned(),
            );
        }
        left.extend(self.rest.keys().map(|key| match key.as_str() {
            "reconnect" => "`reconnect` is left out: a tunnel never gives up, and pauses 5 s at most".to_owned(),
            "actor" => "`actor` is left out: `hubctl tunnel logs` tells what happened".to_owned(),
            "cert_command" => "`cert_command` is left out: let `Match exec` in ~/.ssh/config run it before ssh connects".to_owned(),
            other => format!("`{other}` is not known, and left out"),
        }));
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn a_reverse_tunnel_becomes_a_remote_forward() {
        let entry = entry(
            "host: node1\nremote_port: 18000\nlocal_port: 8000\nssh_user: ubuntu\nssh_key: ~/.ssh/id_ops\nactor: agent\n\
             health_check:\n  url: http://127.0.0.1:18000/health?deep=1\n  interval_seconds: 30\n",
        );
        let tunnel = entry.tunnel();
        assert_eq!(tunnel.destination, "ubuntu@node1");
        assert_eq!(tunnel.forwards[0].to_string(), "127.0.0.1:8000 <- 127.0.0.1:18000");
        let probe = &tunnel.forwards[0].probe;
        assert_eq!(probe.to_string(), "GET /health?deep=1");
        assert_eq!(probe.interval, Duration::from_secs(30));
        assert_eq!(entry.left_out().len(), 1);
    }

    #[test]
    fn a_local_tunnel_leads_to_the_host() {
        let entry = entry(
            "host: node1\nremote_port: 6443\nlocal_port: 16443\ndirection: local\nsurprise: 1\n\
             health_check:\n  url: http://127.0.0.1:9/health\n",
        );
        let tunnel = entry.tunnel();
        assert_eq!(tunnel.forwards[0].to_string(), "127.0.0.1:16443 -> 127.0.0.1:6443");
        let left = entry.left_out().join("\n");
        assert!(left.contains("another port") && left.contains("`surprise`"), "{left}");
    }
}
