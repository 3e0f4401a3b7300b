//! A connected socket, of whatever kind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Does `work` when the socket is ready for it, and again when it was not after all.
    pub(super) async fn when_ready<T>(
        &self,
        interest: Interest,
        mut work: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.async_io(interest, &mut work).await,
            Self::Unix(stream) => stream.async_io(interest, &mut work).await,
        }
    }

    /// Tells the peer that no more bytes come.
    pub(super) fn end(&self) {
        // It may be gone already, and then needs no telling.
        let _ = rustix::net::shutdown(self, Shutdown::Write);
    }

    /// Closes it so that the peer sees an error, and not an orderly end.
    pub(super) fn reset(self) {
        if let Self::Tcp(stream) = self {
            let _ = stream.set_zero_linger();
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}
