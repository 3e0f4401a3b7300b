//! The configuration of a forward.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::written::RawForward;
use crate::endpoint::Endpoint;
use crate::probe::Probe;
use crate::service::Service;

/// One forward of a tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawForward", into = "RawForward")]
#[non_exhaustive]
pub struct Forward {
    /// The end on this machine: where connections are taken, or, with [`Way::From`], where they
    /// lead.
    pub local: Endpoint,
    /// The other end, and the direction.
    pub way: Way,
    /// The machines that may reach `local`.
    pub bind: Bind,
    /// The proof that bytes get through to the right server.
    pub probe: Probe,
    /// The fate of the local end when the wrong server answers.
    pub on_mismatch: OnMismatch,
    /// The time a new connection waits while the connection to the destination is made again.
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

/// The clients that may connect to the local end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Bind {
    /// This machine.
    #[default]
    Loopback,
    /// Every machine that reaches the address. It must be written out.
    Any,
}

/// The fate of a forward's local end when the wrong server answers at the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OnMismatch {
    /// The port stops answering.
    #[default]
    Close,
    /// The state says so; the port stays open.
    Report,
}

pub(super) const HOLD: Duration = Duration::from_secs(5);

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

    pub(super) fn listens_on(&self) -> (bool, &Endpoint) {
        match &self.way {
            Way::To(_) | Way::Service(_) => (true, &self.local),
            Way::From(remote) => (false, remote),
        }
    }

    pub(super) fn check(&self) -> std::result::Result<(), String> {
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
