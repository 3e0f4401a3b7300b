//! Two machines with a cable between them: network namespaces, a pair of virtual interfaces, and a
//! firewall that swallows.

use std::fmt;
use std::io;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// A network of two namespaces. Dropped, it is gone.
#[derive(Debug)]
pub struct Network {
    id: String,
    /// The last part of the client's address.
    client: AtomicU8,
}

/// One of the two machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// The machine of the clients.
    Client,
    /// The machine of the servers, which listen at [`Network::server_address`].
    Server,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "c",
            Self::Server => "s",
        })
    }
}

impl Network {
    /// Makes the network, with addresses that no other network of this process has.
    ///
    /// # Errors
    ///
    /// If this is not root, or `ip` and `iptables` are missing: the caller then reports that
    /// nothing was tested.
    pub fn new() -> io::Result<Self> {
        static NETWORKS: AtomicU32 = AtomicU32::new(0);
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let network =
            Self { id: format!("tk{}n{number}", std::process::id()), client: AtomicU8::new(1) };
        for machine in [Machine::Client, Machine::Server] {
            ip(&["netns", "add", &network.namespace(machine)])?;
        }
        let (client, server) =
            (network.namespace(Machine::Client), network.namespace(Machine::Server));
        ip(&[
            "link", "add", "wire", "netns", &client, "type", "veth", "peer", "name", "wire",
            "netns", &server,
        ])?;
        network.ip(Machine::Server, &["address", "add", "10.99.0.100/24", "dev", "wire"])?;
        network
            .ip(Machine::Client, &["address", "add", &network.client_address(), "dev", "wire"])?;
        for machine in [Machine::Client, Machine::Server] {
            network.ip(machine, &["link", "set", "lo", "up"])?;
            network.ip(machine, &["link", "set", "wire", "up"])?;
        }
        // Whether there is a firewall shows only when it is asked for something.
        network.deafen(Machine::Client)?;
        network.hear(Machine::Client)?;
        Ok(network)
    }

    /// The address of the server.
    #[must_use]
    pub fn server_address(&self) -> &'static str {
        "10.99.0.100"
    }

    /// The words before a command that is to run on a machine.
    #[must_use]
    pub fn on(&self, machine: Machine) -> Vec<String> {
        let words = ["ip", "netns", "exec", &self.namespace(machine)];
        words.map(ToOwned::to_owned).to_vec()
    }

    /// Lets a machine swallow every packet that comes in over the wire: its side hears nothing any
    /// more.
    ///
    /// # Errors
    ///
    /// If the firewall cannot be changed.
    pub fn deafen(&self, machine: Machine) -> io::Result<()> {
        self.firewall(machine, "-A")
    }

    /// Lets packets in again.
    ///
    /// # Errors
    ///
    /// If the machine was not deaf.
    pub fn hear(&self, machine: Machine) -> io::Result<()> {
        self.firewall(machine, "-D")
    }

    /// Takes the wire out of the client, or puts it back.
    ///
    /// # Errors
    ///
    /// If the interface cannot be changed.
    pub fn plug(&self, is_in: bool) -> io::Result<()> {
        let state = if is_in { "up" } else { "down" };
        self.ip(Machine::Client, &["link", "set", "wire", state])
    }

    /// Gives the client another address, as another network does.
    ///
    /// # Errors
    ///
    /// If the address cannot be changed.
    pub fn move_client(&self) -> io::Result<()> {
        let old = self.client_address();
        // Without its first address an interface loses all others of the same network.
        self.ip(Machine::Client, &["address", "delete", &old, "dev", "wire"])?;
        self.client.fetch_add(1, Ordering::Relaxed);
        let new = self.client_address();
        self.ip(Machine::Client, &["address", "add", &new, "dev", "wire"])
    }

    fn client_address(&self) -> String {
        format!("10.99.0.{}/24", self.client.load(Ordering::Relaxed))
    }

    fn namespace(&self, machine: Machine) -> String {
        format!("{}{machine}", self.id)
    }

    fn firewall(&self, machine: Machine, action: &str) -> io::Result<()> {
        let mut command = self.on(machine);
        command.extend(
            ["iptables", "-w", action, "INPUT", "-i", "wire", "-j", "DROP"].map(ToOwned::to_owned),
        );
        run(&command)
    }

    fn ip(&self, machine: Machine, arguments: &[&str]) -> io::Result<()> {
        let namespace = self.namespace(machine);
        ip(&[&["-n", namespace.as_str()], arguments].concat())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for machine in [Machine::Client, Machine::Server] {
            let _ = ip(&["netns", "delete", &self.namespace(machine)]);
        }
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let command: Vec<String> =
        ["ip"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    run(&command)
}

fn run(command: &[String]) -> io::Result<()> {
    let Output { status, stderr, .. } =
        Command::new(&command[0]).args(&command[1..]).stdin(Stdio::null()).output()?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(io::Error::other(format!("`{}`: {said}", command.join(" "))))
}
