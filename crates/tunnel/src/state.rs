//! What is known of a tunnel and of each of its forwards.

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
        /// What the probe met.
        reason: String,
    },
    /// There is no connection.
    #[non_exhaustive]
    Backoff {
        /// When the next attempt begins.
        until: Timestamp,
        /// What ended the last one.
        reason: String,
    },
    /// The end where connections are to be taken is not free. It is tried again.
    #[non_exhaustive]
    Blocked {
        /// Who has it, or why it cannot be taken.
        holder: String,
    },
    /// Somebody else answers at the other end.
    #[non_exhaustive]
    Mismatch {
        /// What was expected.
        expected: String,
        /// Who answers.
        found: String,
    },
    /// Trying again cannot help: a human must do something, and then restart the tunnel.
    #[non_exhaustive]
    Failed {
        /// What is wrong.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
}

impl State {
    /// Whether bytes were proven to get through, to whom they should.
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

    /// Why, for people, where there is more to say than the word.
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

/// What is known of a forward, with the proof.
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
    /// What the probe does.
    pub probe: String,
    /// When the probe was last answered as it should be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proven: Option<Timestamp>,
    /// How long that answer took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub round_trip_ms: Option<f64>,
    /// Who answered, where the probe asks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<String>,
    /// Open connections of clients.
    pub connections: u64,
    /// Bytes that clients sent, of all connections so far.
    pub sent: u64,
    /// Bytes that clients received.
    pub received: u64,
    /// When a byte of a client last passed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_byte: Option<Timestamp>,
}

/// What is known of a tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TunnelStatus {
    /// Its name.
    pub name: String,
    /// What `ssh` connects to.
    pub destination: String,
    /// How often `ssh` was started since the tunnel was.
    pub starts: u64,
    /// How often a proven connection was replaced by another.
    pub reconnects: u64,
    /// Its forwards, in the order of the configuration.
    pub forwards: Vec<ForwardStatus>,
}

impl TunnelStatus {
    /// Whether every forward is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.forwards.iter().all(|forward| forward.state.is_up())
    }

    /// How each forward stands, as the change that led there; what was before is not known.
    pub fn as_events(&self) -> impl Iterator<Item = Event> {
        self.forwards.iter().map(|forward| Event {
            at: forward.since,
            tunnel: self.name.clone(),
            local: forward.local.clone(),
            from: None,
            state: forward.state.clone(),
        })
    }

    /// Whether a forward needs a human.
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
    /// When.
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
