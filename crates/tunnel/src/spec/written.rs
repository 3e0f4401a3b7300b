//! Forwards as they are written in a configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::forward::{Bind, Forward, HOLD, OnMismatch, Way};
use crate::endpoint::Endpoint;
use crate::probe::Probe;
use crate::service::Service;
use crate::{Error, Result};

/// The same as it is written: one of `target` and `remote` says the direction.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct RawForward {
    /// Address on this machine: `HOST:PORT`, `[ADDRESS]:PORT`, or the absolute path of a socket.
    local: Endpoint,
    /// Address that the destination reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Endpoint>,
    /// Kubernetes service, as `NAMESPACE/NAME:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
    /// Address on the destination that leads to `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote: Option<Endpoint>,
    /// `any` is required if other machines can reach `local`. Default: `loopback`.
    #[serde(default)]
    bind: Bind,
    /// The proof that bytes get through, and of who answers.
    #[serde(default)]
    probe: Probe,
    /// `report` leaves the port open if another service answers. Default: `close`.
    #[serde(default)]
    on_mismatch: OnMismatch,
    /// How long new connections wait during a reconnection. Default: 5s.
    #[serde(default = "hold", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
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
