//! The configuration of a tunnel.

mod forward;
mod written;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use forward::{Bind, Forward, OnMismatch, Way};

use crate::service::ClusterDns;
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tunnel {
    /// Destination of ssh: a host, `USER@HOST`, or a `Host` of `ssh_config`.
    pub destination: String,
    /// How soon a silent peer is cut: `default` after 15 seconds, `fast` after 3.
    #[serde(default)]
    pub profile: Profile,
    /// Configuration of ssh, instead of `~/.ssh/config` and the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    pub ssh_config: Option<PathBuf>,
    /// Known host keys, instead of those of `ssh_config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    pub known_hosts: Option<PathBuf>,
    /// SSH key to try before those of `ssh_config`. An agent offers no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    pub identity_file: Option<PathBuf>,
    /// Socket of an SSH agent, for a supervisor that does not inherit `SSH_AUTH_SOCK`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    pub identity_agent: Option<PathBuf>,
    /// Name server of the cluster that services are looked up in. Default: `10.43.0.10:53` and
    /// `cluster.local`.
    #[serde(default)]
    pub cluster_dns: ClusterDns,
    /// The forwards, at least one, as `[[tunnels.NAME.forwards]]`.
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
            forward.check().or_else(|reason| refuse(format!("{forward}: {reason}")))?;
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

/// The time after which silence is noticed and a silent peer is cut: `ServerAliveInterval` and
/// `ServerAliveCountMax`.
///
/// OpenSSH cuts a peer after one interval more than the count says (`clientloop.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;

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
        assert_eq!(tunnel.forwards[1].to_string(), "/run/hub.sock <- 127.0.0.1:9000");
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
            read("destination = 'a'\nforwards = []").unwrap_err().contains("nothing is forwarded")
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
