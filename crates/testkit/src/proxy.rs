//! A TCP proxy that breaks connections on purpose.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

/// The destination of a [`FaultProxy`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upstream {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix-domain socket; PostgreSQL's is `DIRECTORY/.s.PGSQL.PORT`.
    Unix(PathBuf),
}

/// The side whose bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Bytes from the client.
    Client,
    /// Bytes from the server.
    Server,
}

/// Something that goes wrong once, at one byte of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    effect: Effect,
    side: Side,
    bytes: u64,
    connection: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Cut,
    Freeze,
}

impl Fault {
    /// Closes a connection, both ways, after exactly `bytes` bytes of `side` were forwarded.
    ///
    /// It hits whichever connection gets there first, one that is already past the point at once;
    /// [`Fault::on`] chooses.
    #[must_use]
    pub const fn cut(side: Side, bytes: u64) -> Self {
        Self { effect: Effect::Cut, side, bytes, connection: None }
    }

    /// Forwards nothing more, either way, after `bytes` bytes of `side`, and keeps the connection
    /// open until the proxy is dropped: a network that swallows packets.
    #[must_use]
    pub const fn freeze(side: Side, bytes: u64) -> Self {
        Self { effect: Effect::Freeze, side, bytes, connection: None }
    }

    /// Only on this connection, the first one being 1.
    #[must_use]
    pub const fn on(mut self, connection: usize) -> Self {
        self.connection = Some(connection);
        self
    }

    fn concerns(&self, connection: usize, side: Side) -> bool {
        self.side == side && self.connection.is_none_or(|wanted| wanted == connection)
    }
}

/// A proxy on a free port of 127.0.0.1 that forwards every connection to one server, until told
/// otherwise.
///
/// Dropping it closes everything. It must be started within a Tokio runtime.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    upstream: Upstream,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// A watch rather than a mutex, so that a new fault also wakes connections that are idle.
    faults: watch::Sender<Vec<Fault>>,
    accepted: AtomicUsize,
    fired: AtomicUsize,
    connections: std::sync::Mutex<Vec<AbortHandle>>,
}

impl FaultProxy {
    /// Starts to listen and to forward. The server is not contacted before a client is.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(upstream: Upstream) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut proxy = Self {
            address: listener.local_addr()?,
            upstream,
            shared: Arc::default(),
            listening: None,
        };
        proxy.accept_from(listener);
        Ok(proxy)
    }

    /// Returns the address for clients; it stays the same for the proxy's life.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of connections accepted so far. The next one's number is this plus one.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Returns the number of faults that took effect so far.
    #[must_use]
    pub fn fired(&self) -> usize {
        self.shared.fired.load(Ordering::SeqCst)
    }

    /// Arms a fault. Each takes effect once; several may be armed.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.send_modify(|faults| faults.push(fault));
    }

    /// Disarms every fault that has not taken effect.
    pub fn disarm(&self) {
        self.shared.faults.send_modify(Vec::clear);
    }

    /// Refuses new connections ("connection refused") once this returns; open ones live on.
    pub async fn refuse(&mut self) {
        if let Some(task) = self.listening.take() {
            task.abort();
            // It is over, and the port closed, when its handle says so; that it was cancelled is no news.
            let _ = task.await;
        }
    }

    /// Closes every open connection, both ways, at whatever byte it is.
    pub fn sever(&self) {
        self.shared.open_connections().drain(..).for_each(|connection| connection.abort());
    }

    /// Accepts connections again, at the same address, after [`FaultProxy::refuse`].
    ///
    /// # Errors
    /// When another program has taken the port meanwhile.
    pub async fn accept(&mut self) -> io::Result<()> {
        if self.listening.is_none() {
            self.accept_from(TcpListener::bind(self.address).await?);
        }
        Ok(())
    }

    fn accept_from(&mut self, listener: TcpListener) {
        let (shared, upstream) = (Arc::clone(&self.shared), self.upstream.clone());
        self.listening = Some(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
                let task =
                    tokio::spawn(forward(client, upstream.clone(), number, Arc::clone(&shared)));
                shared.open_connections().push(task.abort_handle());
            }
        }));
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(task) = &self.listening {
            task.abort();
        }
        for connection in self.shared.open_connections().iter() {
            connection.abort();
        }
    }
}

impl Shared {
    fn open_connections(&self) -> std::sync::MutexGuard<'_, Vec<AbortHandle>> {
        self.connections.lock().expect("no code panics while it holds this lock")
    }

    /// Takes the fault that is due on a connection after `seen` bytes of one side.
    fn take_due(&self, connection: usize, side: Side, seen: u64) -> Option<Effect> {
        let mut due = None;
        self.faults.send_if_modified(|faults| {
            let position = faults
                .iter()
                .position(|fault| fault.concerns(connection, side) && fault.bytes <= seen);
            due = position.map(|position| faults.remove(position).effect);
            // Nobody needs to wake up for a fault that is gone.
            false
        });
        if due.is_some() {
            self.fired.fetch_add(1, Ordering::SeqCst);
        }
        due
    }

    /// Returns the number of bytes that may pass before the next fault is due.
    fn allowance(&self, connection: usize, side: Side, seen: u64) -> u64 {
        let faults = self.faults.borrow();
        let concerned = faults.iter().filter(|fault| fault.concerns(connection, side));
        concerned.map(|fault| fault.bytes.saturating_sub(seen)).min().unwrap_or(u64::MAX)
    }
}

async fn forward(client: TcpStream, upstream: Upstream, number: usize, shared: Arc<Shared>) {
    let _ = client.set_nodelay(true);
    // A server that cannot be reached looks like one that hangs up.
    match upstream {
        Upstream::Tcp(address) => {
            if let Ok(server) = TcpStream::connect(address).await {
                let _ = server.set_nodelay(true);
                serve(client, server, number, &shared).await;
            }
        }
        Upstream::Unix(path) => {
            if let Ok(server) = UnixStream::connect(path).await {
                serve(client, server, number, &shared).await;
            }
        }
    }
}

async fn serve<S>(mut client: TcpStream, mut server: S, number: usize, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = tokio::io::split(&mut server);
    let ended = tokio::try_join!(
        pump(from_client, to_server, Side::Client, number, shared),
        pump(from_server, to_client, Side::Server, number, shared),
    );
    if let Err(Some(Effect::Freeze)) = ended {
        std::future::pending::<()>().await;
    }
}

/// Forwards one direction up to its end (`Ok`), an input/output error (`None`) or a fault.
async fn pump<R, W>(
    mut from: R,
    mut to: W,
    side: Side,
    number: usize,
    shared: &Shared,
) -> Result<(), Option<Effect>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut armed = shared.faults.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    let mut seen = 0;
    loop {
        if let Some(effect) = shared.take_due(number, side, seen) {
            return Err(Some(effect));
        }
        let length = tokio::select! {
            length = from.read(&mut buffer) => length.map_err(|_| None)?,
            _ = armed.changed() => continue,
        };
        if length == 0 {
            return to.shutdown().await.map_err(|_| None);
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            if let Some(effect) = shared.take_due(number, side, seen) {
                return Err(Some(effect));
            }
            let allowance = shared.allowance(number, side, seen);
            let (now, later) =
                rest.split_at(usize::try_from(allowance).map_or(rest.len(), |n| n.min(rest.len())));
            to.write_all(now).await.map_err(|_| None)?;
            seen += now.len() as u64;
            rest = later;
        }
    }
}
