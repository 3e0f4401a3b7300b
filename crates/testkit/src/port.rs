//! Ports for servers whose port must be known before they listen, and stay theirs while they are
//! away.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

/// Below the ports that the system gives to whoever asks for any (`ip_local_port_range`, 32768 and
/// above), which another test may be given in between.
const FIRST: u16 = 10_000;
const MANY: u16 = 20_000;

/// A port of the loopback interface that nobody has, and that this process gives out once only.
///
/// # Panics
///
/// If none of 20,000 ports is free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different places, so that they seldom meet.
    let own = u16::try_from(std::process::id() * 97 % u32::from(MANY)).unwrap_or_default();
    let mut candidates = (0..MANY).map(|_| {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        FIRST + (own + next % MANY) % MANY
    });
    let is_free = |port: &u16| claim(*port) && TcpListener::bind(("127.0.0.1", *port)).is_ok();
    candidates.find(is_free).expect("a port is free")
}

/// Keeps the other test processes of this machine from a port until this process ends. A server may
/// take seconds until it listens, and another process that got its port would talk to it.
fn claim(port: u16) -> bool {
    static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let name = format!("hubctl-test-port-{port}");
    let claimed =
        SocketAddr::from_abstract_name(name).and_then(|address| UnixListener::bind_addr(&address));
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    claimed.map(|claim| claims.push(claim)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_out_once_also_while_nobody_listens() {
        let port = free_port();
        assert!(!claim(port), "another process would get it as well");
        assert_ne!(free_port(), port);
    }
}
