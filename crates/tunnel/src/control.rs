//! The socket over which a living supervisor is asked: a line of JSON each way. There is no file
//! with a state in it that could be older than the truth.

mod client;
mod server;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use client::{Change, Client, Watch};

use crate::spec::Tunnel;
use crate::state::{Event, TunnelStatus};

/// The state of a supervisor and its tunnels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Overview {
    /// Its process.
    pub pid: u32,
    /// The moment it began.
    pub since: Timestamp,
    /// Its tunnels, by name.
    pub tunnels: Vec<TunnelStatus>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
enum Request {
    Status,
    /// The status, then a line for each change from then on.
    Watch,
    Start {
        tunnels: BTreeMap<String, Tunnel>,
    },
    /// All, where no name is given. The supervisor ends with its last tunnel.
    Stop {
        names: Vec<String>,
    },
    Restart {
        names: Vec<String>,
    },
    /// Answered when each of them is up, has failed, or the time is over.
    Settle {
        names: Vec<String>,
        within_ms: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
enum Response {
    Status(Overview),
    Event(Event),
    Refused { reason: String },
}
