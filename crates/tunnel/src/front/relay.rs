//! Bytes between two sockets, without a copy in this process: splice(2) through a pipe. `ssh -L`
//! reads the client's socket itself; what stands in front of it must not cost a second copy of
//! every byte (docs/benchmarks.md has both).

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::io::Interest;

use super::socket::Socket;

/// At most as much is taken at once. A pipe has room for 64 KiB by default, and for up to 1 MiB if
/// asked (pipe(7)); only what is on its way takes memory.
const AT_ONCE: usize = 256 * 1024;

/// Moves bytes both ways until both ends are closed. The closures are told of bytes that went from
/// `client` and that came to it.
///
/// A service that takes no more may still have an answer to give, such as why. So it is an error
/// only where that did not reach the client whole.
pub(super) async fn relay(
    client: &Socket,
    service: &Socket,
    sent: impl Fn(usize),
    received: impl Fn(usize),
) -> io::Result<()> {
    let (_, answered) =
        tokio::join!(stream(client, service, sent), stream(service, client, received));
    answered
}

/// One direction, until the end of `from`, which `to` is told.
async fn stream(from: &Socket, to: &Socket, moved: impl Fn(usize)) -> io::Result<()> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // Refused to a user who has very many pipes already; a smaller one serves as well.
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, AT_ONCE);
    loop {
        let take = || splice(from, &writer, AT_ONCE);
        let taken = from.when_ready(Interest::READABLE, take).await?;
        if taken == 0 {
            to.end();
            return Ok(());
        }
        let mut left = taken;
        while left > 0 {
            let give = || splice(&reader, to, left);
            let given = to.when_ready(Interest::WRITABLE, give).await?;
            moved(given);
            left -= given;
        }
    }
}

/// The pipe is empty when it is written and has `length` bytes when it is read, so only the socket
/// can make this wait.
fn splice(from: &impl AsFd, to: &impl AsFd, length: usize) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    loop {
        match rustix::pipe::splice(from, None, to, None, length, flags) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}
