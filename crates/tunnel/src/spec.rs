//! What an operator writes down about a tunnel.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;
use crate::probe::Probe;
use crate::service::{ClusterDns, Service};
use crate::{Error, Result};

/// A named SSH connection, and what is forwarded over it.
///
/// ```
/// let tunnel: tunnel::Tunnel = toml::from_str(
///     r#"
///     destination = "node1"
///     [[forwards]]
///     local = "127.0.0.1:8000"
///     target = "10.43.7.1:8000"
///     probe = { http = "/state/health", json = "identity", equals = "hub-1" }
///     "#,
/// )?;
/// tunnel.check("hub")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tunnel {
    /// What `ssh` is told to connect to: a host, `user@host`, or a `Host` of the user's `ssh_config`.
    pub destination: String,
    /// How soon silence is noticed and cut.
    #[serde(default)]
    pub profile: Profile,
    /// The user's configuration instead of `~/.ssh/config` and the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_config: Option<PathBuf>,
    /// Where the keys of hosts are known from, instead of what the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<PathBuf>,
    /// The private key to use, and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<PathBuf>,
    /// The socket of the agent, for a supervisor that does not inherit `SSH_AUTH_SOCK`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_agent: Option<PathBuf>,
    /// The name server of the cluster that services are looked up in.
    #[serde(default)]
    pub cluster_dns: ClusterDns,
    /// What is forwarded, at least one.
    pub forwards: Vec<Forward>,
}

impl Tunnel {
    /// A tunnel to a destination, without forwards yet.
    #[must_use]
    pub fn new(destination: impl Into<String>) -> Self {
        Self {
            destination: destination.into(),
            profile: Profile::default(),
            ssh_config: None,
            known_hosts: None,
            identity_file: None,
            identity_agent: None,
            cluster_dns: ClusterDns::default(),
            forwards: Vec::new(),
        }
    }

    /// The same with one more forward.
    #[must_use]
    pub fn with_forward(mut self, forward: Forward) -> Self {
        self.forwards.push(forward);
        self
    }

    /// Says what of it cannot be, under the name it has.
    pub fn check(&self, name: &str) -> Result<()> {
        let refuse = |reason: String| Err(Error::invalid(format!("tunnel `{name}`: {reason}")));
        if !is_name(name) {
            return refuse("a name is made of letters, digits, `-`, `_` and `.`".to_owned());
        }
        if self.destination.is_empty() || self.destination.starts_with('-') {
            return refuse(format!("`{}` is not a destination", self.destination));
        }
        if self.forwards.is_empty() {
            return refuse("nothing is forwarded".to_owned());
        }
        for (index, forward) in self.forwards.iter().enumerate() {
            forward
                .check()
                .or_else(|reason| refuse(format!("{forward}: {reason}")))?;
            let is_taken = self.forwards[..index]
                .iter()
                .any(|other| other.listens_on() == forward.listens_on());
            if is_taken {
                return refuse(format!("{forward}: another forward listens there"));
            }
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(is_allowed)
        && !name.starts_with(['-', '.'])
}

/// How soon silence is noticed, and how soon a silent peer is cut: `ServerAliveInterval` and `ServerAliveCountMax`.
///
/// OpenSSH cuts a peer after one interval more than the count says (`clientloop.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Profile {
    /// 5 seconds, twice: a peer that is silent for 15 seconds is cut.
    #[default]
    Default,
    /// 1 second, twice: 3 seconds. For links without pauses.
    Fast,
}

impl Profile {
    pub(crate) const fn alive_interval(self) -> Duration {
        match self {
            Self::Default => Duration::from_secs(5),
            Self::Fast => Duration::from_secs(1),
        }
    }

    pub(crate) const ALIVE_COUNT: u32 = 2;

    /// After how long a peer that says nothing is cut.
    #[must_use]
    pub const fn silence(self) -> Duration {
        self.alive_interval().saturating_mul(Self::ALIVE_COUNT + 1)
    }
}

/// One forward of a tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawForward", into = "RawForward")]
#[non_exhaustive]
pub struct Forward {
    /// The end on this machine: where connections are taken, or, with [`Way::From`], where they lead.
    pub local: Endpoint,
    /// The other end, and the direction.
    pub way: Way,
    /// Whether `local` may be reached from other machines.
    pub bind: Bind,
    /// How it is proven that bytes get through, and to whom.
    pub probe: Probe,
    /// What becomes of the local end when somebody else answers.
    pub on_mismatch: OnMismatch,
    /// How long a new connection waits while the connection to the destination is being made again.
    pub hold: Duration,
}

/// The other end of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// To an end that the destination reaches: `ssh -L`.
    To(Endpoint),
    /// To a Kubernetes service, wherever it is at the time.
    Service(Service),
    /// From an end on the destination: `ssh -R`.
    From(Endpoint),
}

/// Who may connect to the local end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Bind {
    /// This machine.
    #[default]
    Loopback,
    /// Whoever reaches the address. It must be said in words.
    Any,
}

/// What becomes of the local end of a forward when somebody else answers at the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OnMismatch {
    /// The port stops answering.
    #[default]
    Close,
    /// The state says so; the port stays open.
    Report,
}

const HOLD: Duration = Duration::from_secs(5);

impl Forward {
    /// From a local end to one that the destination reaches.
    #[must_use]
    pub fn to(local: Endpoint, target: Endpoint) -> Self {
        Self::new(local, Way::To(target))
    }

    /// From an end on the destination to a local one.
    #[must_use]
    pub fn from(remote: Endpoint, local: Endpoint) -> Self {
        Self::new(local, Way::From(remote))
    }

    fn new(local: Endpoint, way: Way) -> Self {
        Self {
            local,
            way,
            bind: Bind::default(),
            probe: Probe::default(),
            on_mismatch: OnMismatch::default(),
            hold: HOLD,
        }
    }

    /// The same with another probe.
    #[must_use]
    pub fn with_probe(mut self, probe: Probe) -> Self {
        self.probe = probe;
        self
    }

    fn listens_on(&self) -> (bool, &Endpoint) {
        match &self.way {
            Way::To(_) | Way::Service(_) => (true, &self.local),
            Way::From(remote) => (false, remote),
        }
    }

    fn check(&self) -> std::result::Result<(), String> {
        let (_, listening) = self.listens_on();
        if self.bind == Bind::Loopback && !listening.is_loopback() {
            return Err(format!(
                "other machines reach `{listening}`; if they may, say `bind = \"any\"`"
            ));
        }
        self.probe.check()
    }
}

impl std::fmt::Display for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.way {
            Way::To(_) | Way::Service(_) => write!(f, "{} -> {}", self.local, self.way),
            Way::From(_) => write!(f, "{} <- {}", self.local, self.way),
        }
    }
}

impl std::fmt::Display for Way {
    /// The other end alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::To(end) | Self::From(end) => write!(f, "{end}"),
            Self::Service(service) => write!(f, "{service}"),
        }
    }
}

/// The same as it is written: one of `target` and `remote` says the direction.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawForward {
    local: Endpoint,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Endpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote: Option<Endpoint>,
    #[serde(default)]
    bind: Bind,
    #[serde(default)]
    probe: Probe,
    #[serde(default)]
    on_mismatch: OnMismatch,
    #[serde(default = "hold", with = "humantime_serde")]
    hold: Duration,
}

fn hold() -> Duration {
    HOLD
}

impl TryFrom<RawForward> for Forward {
    type Error = Error;

    fn try_from(raw: RawForward) -> Result<Self> {
        let way = match (raw.target, raw.service, raw.remote) {
            (Some(target), None, None) => Way::To(target),
            (None, Some(service), None) => Way::Service(service),
            (None, None, Some(remote)) => Way::From(remote),
            _ => {
                return Err(Error::invalid(
                    "a forward has one of `target`, `service` and `remote`",
                ));
            }
        };
        Ok(Self {
            local: raw.local,
            way,
            bind: raw.bind,
            probe: raw.probe,
            on_mismatch: raw.on_mismatch,
            hold: raw.hold,
        })
    }
}

impl From<Forward> for RawForward {
    fn from(forward: Forward) -> Self {
        let (target, service, remote) = match forward.way {
            Way::To(target) => (Some(target), None, None),
            Way::Service(service) => (None, Some(service), None),
            Way::From(remote) => (None, None, Some(remote)),
        };
        Self {
            local: forward.local,
            target,
            service,
            remote,
            bind: forward.bind,
            probe: forward.probe,
            on_mismatch: forward.on_mismatch,
            hold: forward.hold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Tunnel, String> {
        let tunnel: Tunnel = toml::from_str(text).map_err(|error| error.to_string())?;
        tunnel.check("hub").map_err(|error| error.to_string())?;
        Ok(tunnel)
    }

    #[test]
    fn a_tunnel_is_read_as_it_is_written() {
        let text = r#"
            destination = "node1"
            profile = "fast"
            [[forwards]]
            local = "127.0.0.1:8000"
            target = "127.0.0.1:8000"
            probe = { http = "/health", json = "identity", equals = "a", interval = "3s" }
            hold = "1s"
            [[forwards]]
            local = "/run/hub.sock"
            remote = "127.0.0.1:9000"
        "#;
        let tunnel = read(text).unwrap();
        assert_eq!(tunnel.profile.silence(), Duration::from_secs(3));
        assert_eq!(tunnel.forwards[0].hold, Duration::from_secs(1));
        assert_eq!(tunnel.forwards[0].probe.interval, Duration::from_secs(3));
        assert_eq!(
            tunnel.forwards[1].to_string(),
            "/run/hub.sock <- 127.0.0.1:9000"
        );
        let again: Tunnel = toml::from_str(&toml::to_string(&tunnel).unwrap()).unwrap();
        assert_eq!(again, tunnel);
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let refusal = |forward: &str| {
            read(&format!("destination = 'node1'\n[[forwards]]\n{forward}")).unwrap_err()
        };
        assert!(refusal("local = '0.0.0.0:1'\ntarget = 'a:1'").contains("bind = \"any\""));
        assert!(
            refusal("local = '127.0.0.1:1'").contains("one of `target`, `service` and `remote`")
        );
        assert!(
            refusal("local = '127.0.0.1:1'\ntarget = 'a:1'\nsurprise = 1").contains("surprise")
        );
        let twice = "local = '127.0.0.1:1'\ntarget = 'a:1'\n[[forwards]]\nlocal = '127.0.0.1:1'\ntarget = 'b:1'";
        assert!(refusal(twice).contains("another forward listens there"));
        assert!(
            read("destination = '-oProxyCommand=x'\nforwards = []")
                .unwrap_err()
                .contains("not a destination")
        );
        assert!(
            read("destination = 'a'\nforwards = []")
                .unwrap_err()
                .contains("nothing is forwarded")
        );
    }

    #[test]
    fn a_name_is_a_word() {
        let tunnel = Tunnel::new("a").with_forward(Forward::to(
            Endpoint::tcp("127.0.0.1", 1),
            Endpoint::tcp("127.0.0.1", 2),
        ));
        assert!(tunnel.check("hub-1.a_b").is_ok());
        for name in ["", "a b", "../a", "-a", ".a"] {
            assert!(tunnel.check(name).is_err(), "{name}");
        }
    }
}
