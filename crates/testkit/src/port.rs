//! Ports for servers whose port must be known before they listen, and stay theirs while they are
//! away.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that the system gives to whoever asks for any (`ip_local_port_range`, 32768 and
/// above), which another test may be given in between.
const FIRST: u16 = 10_000;
const MANY: u16 = 20_000;

/// A port of the loopback interface that nobody has, and that this process gives out once only.
///
/// # Panics
///
/// Where none of 20 000 ports is free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different places, so that they seldom meet.
    let own = u16::try_from(std::process::id() * 97 % u32::from(MANY)).unwrap_or_default();
    let mut candidates = (0..MANY).map(|_| {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        FIRST + (own + next % MANY) % MANY
    });
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    candidates.find(is_free).expect("a port is free")
}
