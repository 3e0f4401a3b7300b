//! How long a target may take, and how much of the line it may use.

use std::time::Duration;

/// The limits of one target.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// How long a connection may take to be made, with its TLS handshake.
    pub connect: Duration,
    /// How long nothing may arrive, or leave, in the middle of a transfer.
    pub stall: Duration,
    /// How long an answer may take after everything was sent. Servers hash and move whole files in that time.
    pub answer: Duration,
    /// How often something is tried that may be tried again.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles, with some chance, up to a minute.
    pub pause: Duration,
    /// Bytes per second, both ways together; no limit by default.
    pub bandwidth: Option<u64>,
    /// Files longer than this are sent in parts of this length, where the target knows parts.
    pub part: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(60),
            answer: Duration::from_secs(15 * 60),
            attempts: 5,
            pause: Duration::from_secs(1),
            bandwidth: None,
            part: 64 << 20,
        }
    }
}
