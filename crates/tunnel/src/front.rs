//! The local end of a forward. The port is ours and stays bound while one `ssh` is replaced by
//! another; each connection is handed on to the unix socket of the `ssh` that serves when it
//! begins.

mod counters;
mod holder;
mod listener;
mod relay;
mod socket;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use counters::Counted;
pub(crate) use counters::Counters;
pub use holder::holder;
use listener::Listener;
use socket::Socket;

use crate::endpoint::Endpoint;

/// A taken port is tried again at this interval.
const TAKEN_POLL: Duration = Duration::from_millis(500);

/// The `ssh` that new connections are handed to.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) socket: PathBuf,
    /// Ends the connections that were handed to it.
    pub(crate) cut: CancellationToken,
    /// Those that are open.
    pub(crate) connections: TaskTracker,
    pub(crate) counters: Arc<Counters>,
}

/// The state of the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Not yet, or the port was closed on purpose.
    Closed,
    /// It takes connections.
    Open,
    /// Somebody else has it.
    Taken(String),
}

/// The state the port should be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    is_open: bool,
    /// Another number asks for another listener.
    binding: u64,
}

/// The listener of one forward. Dropped, it closes the port and all connections.
#[derive(Debug)]
pub(crate) struct Front {
    upstream: watch::Sender<Option<Upstream>>,
    wanted: watch::Sender<Wanted>,
    bound: watch::Receiver<Bound>,
    task: JoinHandle<()>,
    connections: CancellationToken,
}

impl Front {
    /// Begins to listen, and goes on trying while the end is taken. Without an end, `sshd` has the
    /// listener.
    pub(crate) fn start(local: Option<Endpoint>, hold: Duration) -> Self {
        let (upstream, _) = watch::channel(None);
        let (wanted, is_wanted) = watch::channel(Wanted { is_open: true, binding: 0 });
        let (sender, bound) = watch::channel(Bound::Closed);
        let connections = CancellationToken::new();
        let task = match local {
            Some(local) => {
                let door = Door {
                    local,
                    hold,
                    upstream: upstream.clone(),
                    connections: connections.clone(),
                };
                tokio::spawn(door.keep(is_wanted, sender))
            }
            None => tokio::spawn(async {}),
        };
        Self { upstream, wanted, bound, task, connections }
    }

    /// Hands new connections to another `ssh`, or lets them wait. Those that are open stay where
    /// they are.
    pub(crate) fn serve(&self, upstream: Option<Upstream>) {
        self.upstream.send_replace(upstream);
    }

    /// Closes the port and all connections, and waits until the port is free.
    pub(crate) async fn end(mut self) {
        self.task.abort();
        // Its end is what was asked for.
        let _ = (&mut self.task).await;
    }

    /// Opens or closes the port.
    pub(crate) fn set_open(&self, is_open: bool) {
        self.wanted
            .send_if_modified(|wanted| std::mem::replace(&mut wanted.is_open, is_open) != is_open);
    }

    /// Closes the port and opens it again, if it is open. Connections stay.
    pub(crate) fn rebind(&self) {
        self.wanted.send_modify(|wanted| wanted.binding += 1);
    }

    /// Reports changes of the port's state.
    pub(crate) fn bound(&self) -> watch::Receiver<Bound> {
        self.bound.clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
        self.connections.cancel();
    }
}

/// The state of the listening task.
struct Door {
    local: Endpoint,
    hold: Duration,
    upstream: watch::Sender<Option<Upstream>>,
    connections: CancellationToken,
}

impl Door {
    async fn keep(self, mut wanted: watch::Receiver<Wanted>, bound: watch::Sender<Bound>) {
        loop {
            let Ok(open) = wanted.wait_for(|wanted| wanted.is_open).await.map(|open| *open) else {
                return;
            };
            match Listener::bind(&self.local).await {
                Ok(listener) => {
                    bound.send_replace(Bound::Open);
                    tokio::select! {
                        () = self.accept(listener) => {}
                        _ = wanted.wait_for(|wanted| *wanted != open) => {}
                    }
                    bound.send_replace(Bound::Closed);
                }
                Err(error) => {
                    let holder = holder(&self.local).await;
                    bound.send_replace(Bound::Taken(holder.unwrap_or_else(|| error.to_string())));
                    tokio::time::sleep(TAKEN_POLL).await;
                }
            }
        }
    }

    async fn accept(&self, listener: Listener) {
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    let upstream = self.upstream.subscribe();
                    let connections = self.connections.clone();
                    let hold = self.hold;
                    tokio::spawn(async move {
                        tokio::select! {
                            () = hand_on(accepted, upstream, hold) => {}
                            () = connections.cancelled() => {}
                        }
                    });
                }
                // Out of descriptors, most likely: the next attempt must not come at once.
                Err(error) => {
                    tracing::warn!(%error, local = %self.local, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn hand_on(accepted: Socket, upstream: watch::Receiver<Option<Upstream>>, hold: Duration) {
    let Some((stream, upstream)) = find(upstream, hold).await else {
        return accepted.reset();
    };
    let _open = upstream.connections.token();
    let counted = Counted::new(upstream.counters);
    let moving = relay::relay(
        &accepted,
        &stream,
        |bytes| counted.sent(bytes),
        |bytes| counted.received(bytes),
    );
    let ended = tokio::select! {
        ended = moving => ended.ok(),
        () = upstream.cut.cancelled() => None,
    };
    if ended.is_none() {
        accepted.reset();
    }
}

/// The serving `ssh`, for which a new connection waits a while.
async fn find(
    mut upstream: watch::Receiver<Option<Upstream>>,
    hold: Duration,
) -> Option<(Socket, Upstream)> {
    let find = async {
        loop {
            let found = upstream.wait_for(Option::is_some).await.ok()?.clone()?;
            match UnixStream::connect(&found.socket).await {
                Ok(stream) => return Some((Socket::Unix(stream), found)),
                // It is gone, and that is not known here yet.
                Err(_) => upstream.changed().await.ok()?,
            }
        }
    };
    tokio::time::timeout(hold, find).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpStream, UnixListener};

    use super::*;

    #[tokio::test]
    async fn a_port_is_bound_anew_and_open_connections_stay() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("ssh");
        let ssh = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = ssh.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        });
        let (front, address) = open(socket).await;
        let mut bound = front.bound();
        let mut open = TcpStream::connect(address).await.unwrap();
        echo(&mut open).await;

        bound.mark_unchanged();
        front.rebind();
        bound.changed().await.unwrap();
        bound.wait_for(|bound| *bound == Bound::Open).await.unwrap();
        echo(&mut open).await;
        echo(&mut TcpStream::connect(address).await.unwrap()).await;
    }

    #[tokio::test]
    async fn an_answer_reaches_a_client_that_is_still_sending() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("ssh");
        let ssh = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = ssh.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            // It takes no more, and says why.
            let stream = stream.into_std().unwrap();
            stream.shutdown(std::net::Shutdown::Read).unwrap();
            let mut stream = tokio::net::UnixStream::from_std(stream).unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            stream.write_all(b"too large").await.unwrap();
        });
        let (_front, address) = open(socket).await;
        let client = TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = client.into_split();
        tokio::spawn(async move {
            // Far more than sockets and pipes hold.
            let _ = writer.write_all(&vec![b'x'; 64 << 20]).await;
            std::future::pending::<()>().await;
        });
        let mut answer = [0; 9];
        reader.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"too large");
    }

    /// A front on a free port, before this socket of an `ssh`.
    async fn open(socket: PathBuf) -> (Front, SocketAddr) {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let front =
            Front::start(Some(address.to_string().parse().unwrap()), Duration::from_secs(5));
        let mut bound = front.bound();
        bound.wait_for(|bound| *bound == Bound::Open).await.unwrap();
        front.serve(Some(Upstream {
            socket,
            cut: CancellationToken::new(),
            connections: TaskTracker::new(),
            counters: Arc::default(),
        }));
        (front, address)
    }

    async fn echo(stream: &mut TcpStream) {
        stream.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
    }
}
