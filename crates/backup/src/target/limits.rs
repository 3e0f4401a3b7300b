//! How long a target may take, and how much of the line it may use.

use std::time::{Duration, Instant};

/// Bytes per second below which a transfer is given up, except where `bandwidth` asks for less.
const SLOWEST: u64 = 16 * 1024;

/// The limits of one target.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// How long a connection may take to be made, with its TLS handshake.
    pub connect: Duration,
    /// How long nothing may arrive, or leave, in the middle of a transfer.
    pub stall: Duration,
    /// How long an answer may take after everything was sent. Servers hash and move whole files in
    /// that time.
    pub answer: Duration,
    /// How often something is tried that may be tried again.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles, with some chance, up to a minute.
    pub pause: Duration,
    /// When everything must be over; no limit by default. No attempt begins later or takes longer.
    pub until: Option<Instant>,
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
            until: None,
            bandwidth: None,
            part: 64 << 20,
        }
    }
}

impl Limits {
    /// How long a transfer may take as a whole: a far end that sends a byte now and then is never
    /// silent, and never done.
    pub(super) fn total(&self, patience: Duration, bytes: u64) -> Duration {
        // Half of what was asked for, since several transfers share it.
        let slowest = self.bandwidth.map_or(SLOWEST, |wanted| wanted / 2);
        let allowed = patience + Duration::from_secs(bytes / slowest.clamp(1, SLOWEST));
        self.left().map_or(allowed, |left| left.min(allowed))
    }

    /// How long there is until everything must be over.
    pub(super) fn left(&self) -> Option<Duration> {
        let until = self.until?;
        Some(until.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_follows_the_size_the_bandwidth_and_the_end_of_everything() {
        let second = Duration::from_secs(1);
        let mut limits = Limits::default();
        assert_eq!(limits.total(second, 0), second);
        assert_eq!(limits.total(second, 160 * 1024), 11 * second);
        limits.bandwidth = Some(2048);
        assert_eq!(limits.total(second, 10 * 1024), 11 * second);
        limits.until = Some(Instant::now() + 5 * second);
        assert!(limits.total(second, 10 * 1024) <= 5 * second);
        limits.until = Some(Instant::now());
        assert!(limits.left().is_some_and(|left| left.is_zero()));
    }
}
