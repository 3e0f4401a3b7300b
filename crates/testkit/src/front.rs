//! The address that clients use, which leads them to one site or another.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// So that nothing hangs: everything is on this machine.
const LIMIT: Duration = Duration::from_secs(5);

/// A listener that forwards each new connection to the address in a file of `KEY=VALUE` lines, as
/// it stands at that moment: to redirect clients is to change the file.
///
/// Open connections live on until they are [cut](Front::cut), as streams behind a real proxy do.
/// Dropped, it closes everything.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: PathBuf,
    key: String,
    accepted: AtomicU64,
    is_closed: AtomicBool,
    open: Mutex<BTreeMap<u64, Connection>>,
    /// The target of the last connection from each port of a client.
    led: Mutex<BTreeMap<u16, SocketAddr>>,
}

#[derive(Debug)]
struct Connection {
    target: SocketAddr,
    client: TcpStream,
    server: TcpStream,
}

impl Front {
    /// Starts to listen on a free port of 127.0.0.1.
    ///
    /// The file need not exist yet; its line is `KEY=http://ADDRESS:PORT`.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub fn start(file: &Path, key: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let shared = Arc::new(Shared {
            file: file.to_owned(),
            key: key.to_owned(),
            accepted: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            open: Mutex::default(),
            led: Mutex::default(),
        });
        let address = listener.local_addr()?;
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { address, shared })
    }

    /// The address for clients; it stays the same.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address that new connections are led to.
    #[must_use]
    pub fn target(&self) -> Option<SocketAddr> {
        self.shared.target()
    }

    /// Returns the address that the last connection from this port of a client was led to.
    #[must_use]
    pub fn target_of(&self, port: u16) -> Option<SocketAddr> {
        lock(&self.shared.led).get(&port).copied()
    }

    /// Returns the number of connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Closes every open connection that leads elsewhere than the file does; returns their number.
    pub fn cut(&self) -> usize {
        let target = self.target();
        let open = lock(&self.shared.open);
        let old = open.values().filter(|connection| Some(connection.target) != target);
        old.map(Connection::close).count()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        // It waits for a connection.
        let _ = TcpStream::connect_timeout(&self.address, LIMIT);
        lock(&self.shared.open).values().for_each(Connection::close);
    }
}

impl Shared {
    fn target(&self) -> Option<SocketAddr> {
        let text = fs_err::read_to_string(&self.file).ok()?;
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        let (_, value) = lines.find(|(key, _)| key.trim() == self.key)?;
        value.trim().trim_start_matches("http://").trim_end_matches('/').parse().ok()
    }
}

impl Connection {
    fn close(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        if shared.is_closed.load(Ordering::SeqCst) {
            return;
        }
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        // A target that cannot be reached looks like one that hangs up.
        thread::spawn(move || forward(client, number, &shared));
    }
}

fn forward(client: TcpStream, number: u64, shared: &Shared) -> Option<()> {
    let target = shared.target()?;
    let port = client.peer_addr().ok()?.port();
    lock(&shared.led).insert(port, target);
    let server = TcpStream::connect_timeout(&target, LIMIT).ok()?;
    let (to_client, to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let connection = Connection { target, client, server };
    let (from_client, from_server) =
        (connection.client.try_clone().ok()?, connection.server.try_clone().ok()?);
    lock(&shared.open).insert(number, connection);
    thread::scope(|scope| {
        scope.spawn(|| pump(from_client, to_server));
        pump(from_server, to_client);
    });
    lock(&shared.open).remove(&number);
    Some(())
}

/// Forwards one direction up to its end.
fn pump(mut from: TcpStream, mut to: TcpStream) {
    let copied = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    if copied.is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// A server that says its name to each client, and then waits for the client to go.
    fn greeter(name: &'static str) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    client.write_all(name.as_bytes()).unwrap();
                    let _ = client.read(&mut [0]);
                });
            }
        });
        address
    }

    fn greeted(client: &mut TcpStream) -> String {
        let mut name = [0; 3];
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client.read_exact(&mut name).unwrap();
        String::from_utf8(name.to_vec()).unwrap()
    }

    #[test]
    fn new_clients_are_led_to_where_the_file_says_and_old_ones_are_cut() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hub.env");
        let front = Front::start(&file, "API").unwrap();
        let mut early = TcpStream::connect(front.address()).unwrap();
        assert_eq!(early.read(&mut [0]).unwrap(), 0, "the file leads nowhere yet");

        let (old, new) = (greeter("old"), greeter("new"));
        fs_err::write(&file, format!("# clients\nAPI=http://{old}\n")).unwrap();
        let mut first = TcpStream::connect(front.address()).unwrap();
        assert_eq!(greeted(&mut first), "old");
        assert_eq!(front.target_of(first.local_addr().unwrap().port()), Some(old));
        assert_eq!(front.cut(), 0);

        fs_err::write(&file, format!("API=http://{new}/\n")).unwrap();
        let mut second = TcpStream::connect(front.address()).unwrap();
        assert_eq!(greeted(&mut second), "new");
        assert_eq!(front.cut(), 1);
        assert_eq!(first.read(&mut [0]).unwrap_or(0), 0);
        assert_eq!(front.connections(), 3);
        second.write_all(b"x").unwrap();
    }
}
