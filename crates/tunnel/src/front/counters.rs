//! Counters of the bytes and connections of a forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;

/// Counts of one forward, of all its connections.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// Milliseconds since 1970, 0 for never.
    last_byte: AtomicI64,
}

/// The same at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    pub(crate) connections: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) last_byte: Option<Timestamp>,
}

/// One connection, for as long as it is open.
#[derive(Debug)]
pub(super) struct Counted {
    counters: Arc<Counters>,
}

impl Counters {
    pub(crate) fn read(&self) -> Traffic {
        let last_byte = self.last_byte.load(Ordering::Relaxed);
        Traffic {
            connections: self.connections.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            last_byte: (last_byte != 0)
                .then(|| Timestamp::from_millisecond(last_byte).ok())
                .flatten(),
        }
    }

    fn moved(&self, direction: &AtomicU64, bytes: usize) {
        direction.fetch_add(bytes as u64, Ordering::Relaxed);
        let now = Timestamp::now().as_millisecond();
        self.last_byte.store(now, Ordering::Relaxed);
    }
}

impl Counted {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        counters.connections.fetch_add(1, Ordering::Relaxed);
        Self { counters }
    }

    /// Bytes went from the client to the service.
    pub(super) fn sent(&self, bytes: usize) {
        self.counters.moved(&self.counters.sent, bytes);
    }

    /// Bytes came from the service.
    pub(super) fn received(&self, bytes: usize) {
        self.counters.moved(&self.counters.received, bytes);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
