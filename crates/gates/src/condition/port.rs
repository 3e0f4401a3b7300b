//! `port`: a port is free to be listened on.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Judge;
use super::look::{Judged, Look};
use super::tcp::is_address;
use crate::evidence::Read;
use crate::verdict::{Subject, Verdict};

/// Nobody listens at an address of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Port {
    /// `ADDRESS:PORT`.
    pub address: String,
}

impl Port {
    fn port(&self) -> Read {
        Read::Port { address: self.address.clone() }
    }
}

impl Judge for Port {
    fn check(&self) -> Result<(), String> {
        is_address(&self.address)
    }

    fn reads(&self) -> Vec<Read> {
        vec![self.port()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.port();
        let free = look.found(&read)?.get("free") == Some(&Value::Bool(true));
        let address = &self.address;
        let verdict = if free {
            Verdict::pass(format!("{address} is free"))
        } else {
            Verdict::fail(format!("{address} is already in use"))
                .with_hint("`ss -ltnp` shows who; a frozen service that still answers there misleads its clients")
        };
        Ok(verdict.about(Subject::named("address", address)).with_evidence(json!({ "free": free })))
    }
}
