//! `tcp`: somebody accepts connections.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Judge;
use super::http::ten_seconds;
use super::look::{Judged, Look};
use crate::evidence::{Absence, Read};
use crate::verdict::{Subject, Verdict};

/// A TCP connection is accepted. By whom is not asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tcp {
    /// `HOST:PORT`.
    pub address: String,
    /// The longest to wait.
    #[serde(default = "ten_seconds", with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub limit: Duration,
}

impl Tcp {
    fn connect(&self) -> Read {
        Read::Tcp { address: self.address.clone(), limit_seconds: self.limit.as_secs().max(1) }
    }
}

impl Judge for Tcp {
    fn check(&self) -> Result<(), String> {
        is_address(&self.address)
    }

    fn reads(&self) -> Vec<Read> {
        vec![self.connect()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.connect();
        let address = &self.address;
        let verdict = match look.content(&read) {
            Ok(answer) if answer.get("accepted") == Some(&Value::Bool(true)) => {
                Verdict::pass(format!("{address} accepts connections"))
            }
            Ok(_) => Verdict::fail(format!("{address} refuses connections")),
            // A firewall that swallows and a host that is off look the same.
            Err(absence @ (Absence::TimedOut { .. } | Absence::Unreachable { .. })) => {
                Verdict::fail(format!("{address}: {absence}"))
            }
            Err(_) => *look.found(&read).expect_err("it is absent"),
        };
        Ok(verdict.about(Subject::named("address", address)))
    }
}

/// `HOST:PORT`, where the host may be in brackets.
pub(super) fn is_address(text: &str) -> Result<(), String> {
    let parts = text.rsplit_once(':');
    match parts.map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(1..))) if !host.is_empty() => Ok(()),
        _ => Err(format!("`{text}` is not HOST:PORT")),
    }
}
