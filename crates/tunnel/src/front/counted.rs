//! What passes through a forward.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll};

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
        if bytes > 0 {
            direction.fetch_add(bytes as u64, Ordering::Relaxed);
            let now = Timestamp::now().as_millisecond();
            self.last_byte.store(now, Ordering::Relaxed);
        }
    }
}

/// A client's connection whose bytes are counted.
#[derive(Debug)]
pub(super) struct Counted<S> {
    stream: Option<S>,
    counters: Arc<Counters>,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S, counters: Arc<Counters>) -> Self {
        counters.connections.fetch_add(1, Ordering::Relaxed);
        Self {
            stream: Some(stream),
            counters,
        }
    }

    pub(super) fn into_inner(mut self) -> S {
        self.stream
            .take()
            .expect("only this takes it, and consumes")
    }

    fn stream(&mut self) -> &mut S {
        self.stream
            .as_mut()
            .expect("only `into_inner` takes it, and consumes")
    }
}

impl<S> Drop for Counted<S> {
    fn drop(&mut self) {
        self.counters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(self.stream()).poll_read(context, buffer);
        self.counters
            .moved(&self.counters.sent, buffer.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(self.stream()).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            self.counters.moved(&self.counters.received, written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()).poll_shutdown(context)
    }
}
