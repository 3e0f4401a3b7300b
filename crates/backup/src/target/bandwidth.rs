//! Not using all of the line.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What one read may take at a time, so that the line is used evenly.
const PIECE: usize = 16 * 1024;

/// Bytes per second that everything of one target shares.
#[derive(Debug, Clone)]
pub(super) struct Bandwidth {
    per_second: u64,
    /// When what was let through so far has had its time.
    free_at: Arc<Mutex<Instant>>,
}

impl Bandwidth {
    pub(super) fn new(per_second: u64) -> Self {
        Self { per_second: per_second.max(1), free_at: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Waits until this many bytes had their time.
    pub(super) fn take(&self, bytes: u64) {
        let time = Duration::from_secs_f64(bytes as f64 / self.per_second as f64);
        let free_at = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(Instant::now()) + time;
            *free_at
        };
        thread::sleep(free_at.saturating_duration_since(Instant::now()));
    }
}

/// Reads no faster than the bandwidth, if there is one.
pub(super) struct Throttled<R> {
    pub(super) inner: R,
    pub(super) bandwidth: Option<Bandwidth>,
}

impl<R: Read> Read for Throttled<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(bandwidth) = &self.bandwidth else {
            return self.inner.read(buf);
        };
        let longest = buf.len().min(PIECE);
        let n = self.inner.read(&mut buf[..longest])?;
        bandwidth.take(n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time_and_are_the_same() {
        let begin = Instant::now();
        let bytes = vec![7; 30_000];
        let mut throttled =
            Throttled { inner: &bytes[..], bandwidth: Some(Bandwidth::new(200_000)) };
        let mut read = Vec::new();
        throttled.read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        // A lower bound is no matter of the machine's speed.
        assert!(begin.elapsed() >= Duration::from_millis(140));
    }
}
