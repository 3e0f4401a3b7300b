//! The known state of a tunnel and of each of its forwards.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The state of a forward, with why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// Nobody asked for it, or it was asked to end.
    Stopped,
    /// The first connection is being made, or has not been proven yet.
    Starting,
    /// The last probe was answered, by whom it should be.
    Up,
    /// The connection stands, but the last probe was not answered as it should be.
    #[non_exhaustive]
    Degraded {
        /// The result of the probe.
        reason: String,
    },
    /// There is no connection.
    #[non_exhaustive]
    Backoff {
        /// The moment the next attempt begins.
        until: Timestamp,
        /// The end of the last attempt.
        reason: String,
    },
    /// The end where connections are to be taken is not free. It is tried again.
    #[non_exhaustive]
    Blocked {
        /// The process that holds the port, or the reason why it cannot be taken.
        holder: String,
    },
    /// Somebody else answers at the other end.
    #[non_exhaustive]
    Mismatch {
        /// The expected server.
        expected: String,
        /// The server that answers.
        found: String,
    },
    /// Trying again cannot help: a human must do something, and then restart the tunnel.
    #[non_exhaustive]
    Failed {
        /// The fault.
        reason: String,
        /// The remedy.
        remedy: String,
    },
}

impl State {
    /// Returns true if bytes were proven to reach the right server.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }

    /// The one word for it, as in JSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Degraded { .. } => "degraded",
            Self::Backoff { .. } => "backoff",
            Self::Blocked { .. } => "blocked",
            Self::Mismatch { .. } => "mismatch",
            Self::Failed { .. } => "failed",
        }
    }

    /// Returns the reason for people, if the word alone does not say everything.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Stopped | Self::Starting | Self::Up => None,
            Self::Degraded { reason } | Self::Backoff { reason, .. } => Some(reason.clone()),
            Self::Blocked { holder } => Some(format!("not free: {holder}")),
            Self::Mismatch { expected, found } => {
                Some(format!("`{found}` answers, not `{expected}`"))
            }
            Self::Failed { reason, remedy } => Some(format!("{reason}; {remedy}")),
        }
    }

    /// The same but for the time of the next attempt, which is no change worth an event.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Backoff { reason: a, .. }, Self::Backoff { reason: b, .. }) => a == b,
            _ => self == other,
        }
    }
}

/// The known state of a forward, with the proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ForwardStatus {
    /// The local end.
    pub local: String,
    /// `->` and the target, or `<-` and the remote end.
    pub way: String,
    /// The state, and why.
    #[serde(flatten)]
    pub state: State,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// The probe in words.
    pub probe: String,
    /// The moment of the last correct answer to the probe.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proven: Option<Timestamp>,
    /// The duration of that answer in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub round_trip_ms: Option<f64>,
    /// The identity of the server, if the probe asks for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<String>,
    /// Open connections of clients.
    pub connections: u64,
    /// Bytes that clients sent, of all connections so far.
    pub sent: u64,
    /// Bytes that clients received.
    pub received: u64,
    /// The moment a client's byte last passed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_byte: Option<Timestamp>,
}

/// The known state of a tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TunnelStatus {
    /// Its name.
    pub name: String,
    /// The destination of `ssh`.
    pub destination: String,
    /// The number of `ssh` processes started since the tunnel began.
    pub starts: u64,
    /// The number of proven connections that were replaced by others.
    pub reconnects: u64,
    /// Its forwards, in the order of the configuration.
    pub forwards: Vec<ForwardStatus>,
}

impl TunnelStatus {
    /// Returns true if every forward is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.forwards.iter().all(|forward| forward.state.is_up())
    }

    /// Returns the state of each forward as the event that led to it; earlier events are not known.
    pub fn as_events(&self) -> impl Iterator<Item = Event> {
        self.forwards.iter().map(|forward| Event {
            at: forward.since,
            tunnel: self.name.clone(),
            local: forward.local.clone(),
            from: None,
            state: forward.state.clone(),
        })
    }

    /// Returns true if a forward needs a person.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let is_failed = |state: &State| matches!(state, State::Failed { .. });
        self.forwards.iter().any(|forward| is_failed(&forward.state))
    }
}

/// A change of a forward's state, as it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The moment of the change.
    pub at: Timestamp,
    /// The tunnel.
    pub tunnel: String,
    /// The local end of the forward.
    pub local: String,
    /// The word of the state before, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// The state since, and why.
    #[serde(flatten)]
    pub state: State,
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 100.0
}
