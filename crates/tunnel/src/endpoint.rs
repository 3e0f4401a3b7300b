//! Addresses that accept connections, and addresses that connections are made to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// One end of a forward: `127.0.0.1:8000`, `[::1]:8000`, `name:8000`, or the absolute path of a
/// unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-form" = "ADDRESS")))]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Endpoint {
    /// A TCP port. The host is a name or an address, an IPv6 address without its brackets.
    #[non_exhaustive]
    Tcp {
        /// The name or address.
        host: String,
        /// The port, never 0: a forward whose port changes breaks its clients.
        port: u16,
    },
    /// A unix socket.
    #[non_exhaustive]
    Unix {
        /// Its absolute path.
        path: PathBuf,
    },
}

impl Endpoint {
    /// A TCP port of a host.
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    /// A unix socket.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix { path: path.into() }
    }

    /// Returns true if only processes of the same machine can reach it. A name other than
    /// `localhost` may mean any address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                host == "localhost"
                    || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            Self::Unix { .. } => true,
        }
    }

    /// Returns true for the name of a Kubernetes service. The host of a node does not resolve it:
    /// that name server is for pods.
    #[must_use]
    pub fn is_cluster_name(&self) -> bool {
        matches!(self, Self::Tcp { host, .. } if host.trim_end_matches('.').ends_with(".svc.cluster.local")
            || host.ends_with(".svc"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.starts_with('/') {
            return Ok(Self::unix(text));
        }
        tcp(text).ok_or_else(|| {
            Error::invalid(format!(
                "`{text}` is neither HOST:PORT, [ADDRESS]:PORT nor the absolute path of a socket"
            ))
        })
    }
}

fn tcp(text: &str) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    // What ssh would take as an option, or as two words.
    let is_safe = !host.starts_with('-')
        && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:%".contains(c));
    (!host.is_empty() && is_safe).then(|| Endpoint::tcp(host, port))
}

impl TryFrom<String> for Endpoint {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_the_same() {
        for text in ["127.0.0.1:8000", "[::1]:8000", "node-1.lan:22", "/run/a b.sock"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_end_is_refused() {
        for text in [
            "",
            "8000",
            ":8000",
            "::1:8000",
            "[::1]",
            "a:0",
            "a:65536",
            "-oX=y:1",
            "a b:1",
            "run/x.sock",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_what_only_this_machine_reaches() {
        let is = |text: &str| text.parse::<Endpoint>().unwrap().is_loopback();
        assert!(is("127.0.0.2:1") && is("[::1]:1") && is("localhost:1") && is("/run/s"));
        assert!(!is("0.0.0.0:1") && !is("[::]:1") && !is("node:1"));
    }

    #[test]
    fn names_of_a_cluster_are_known() {
        let is = |text: &str| text.parse::<Endpoint>().unwrap().is_cluster_name();
        assert!(is("hub.ns.svc.cluster.local:8000") && is("hub.ns.svc:8000"));
        assert!(!is("10.43.0.7:8000") && !is("node:8000"));
    }
}
