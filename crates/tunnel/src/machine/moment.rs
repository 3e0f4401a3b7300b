//! A moment, as the machine is told it.

use std::ops::Add;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A moment by two clocks: one that measures, and one that people read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) timestamp: Timestamp,
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self { instant: self.instant + duration, timestamp: self.timestamp + duration }
    }
}
