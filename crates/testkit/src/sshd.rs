//! A real `sshd` on the loopback interface, with keys of its own, that can be killed, frozen and
//! brought back.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::network::{Machine, Network};
use crate::port::free_port;

/// The line it logs when it is ready.
const LISTENING: &str = "Server listening on";

/// A running server, and what a client needs to reach it. Dropped, it ends with all its sessions.
///
/// The `ssh_config` of [`Sshd::client_config`] knows it as `node`.
#[derive(Debug)]
pub struct Sshd {
    directory: TempDir,
    /// Words before its command, such as the network to run in.
    prefix: Vec<String>,
    address: String,
    port: u16,
    options: String,
    listener: Option<Child>,
}

impl Sshd {
    /// Starts a server. `options` are lines of `sshd_config` that come first, so that they count.
    ///
    /// # Errors
    ///
    /// If OpenSSH's server and client are not installed.
    pub fn start(options: &str) -> io::Result<Self> {
        Self::start_at("127.0.0.1", &[], options)
    }

    /// Starts a server on the machine of a network that serves.
    ///
    /// # Errors
    ///
    /// As [`Sshd::start`].
    pub fn start_on(network: &Network, options: &str) -> io::Result<Self> {
        let prefix = network.on(Machine::Server);
        Self::start_at(network.server_address(), &prefix, options)
    }

    fn start_at(address: &str, prefix: &[String], options: &str) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("sshd").tempdir()?;
        let mut sshd = Self {
            port: free_port(),
            directory,
            prefix: prefix.to_vec(),
            address: address.to_owned(),
            options: options.to_owned(),
            listener: None,
        };
        sshd.make_key("host-key")?;
        sshd.make_key("client-key")?;
        fs_err::copy(sshd.path("client-key.pub"), sshd.path("authorized_keys"))?;
        sshd.know_host()?;
        sshd.write_client_config()?;
        // As root, sshd wants the directory it separates privileges in.
        let _ = fs_err::create_dir_all("/run/sshd");
        sshd.resume()?;
        Ok(sshd)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// An `ssh_config` that knows it as `node`, with the key that it accepts.
    #[must_use]
    pub fn client_config(&self) -> PathBuf {
        self.path("ssh_config")
    }

    /// The file of known hosts that the client uses.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.path("known_hosts")
    }

    /// Ends the server and all its sessions, as a machine that loses its power does, but that TCP
    /// says goodbye.
    pub fn stop(&mut self) {
        // Their parent is how they are found, and it must not start another one.
        if let Some(listener) = &self.listener {
            signal(listener.id(), Signal::STOP);
        }
        self.kill_sessions();
        if let Some(mut listener) = self.listener.take() {
            let _ = listener.kill();
            let _ = listener.wait();
        }
    }

    /// Starts it again, on the same port.
    ///
    /// # Errors
    ///
    /// If it does not start within some seconds; its log is part of the error.
    pub fn resume(&mut self) -> io::Result<()> {
        let begun = self.log().matches(LISTENING).count();
        let config = self.path("sshd_config");
        fs_err::write(&config, self.config())?;
        let mut words = self.prefix.iter().map(String::as_str).chain(["/usr/sbin/sshd"]);
        let mut command = Command::new(words.next().expect("there is one word at least"));
        let listener = command
            .args(words)
            .args(["-D", "-f"])
            .arg(&config)
            .arg("-E")
            .arg(self.path("log"))
            .stdin(Stdio::null())
            .spawn()?;
        self.listener = Some(listener);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.log().matches(LISTENING).count() == begun {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("sshd does not listen: {}", self.log())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Returns its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs_err::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Kills the sessions and leaves the server; tells how many processes that were.
    pub fn kill_sessions(&self) -> usize {
        self.signal_sessions(Signal::KILL)
    }

    /// Stops the sessions without ending them: the connections stay, and nothing answers on them.
    pub fn freeze_sessions(&self) -> usize {
        self.signal_sessions(Signal::STOP)
    }

    /// Lets frozen sessions go on.
    pub fn thaw_sessions(&self) -> usize {
        self.signal_sessions(Signal::CONT)
    }

    /// Gives the server another host key. It takes effect with the next [`Sshd::resume`].
    ///
    /// # Errors
    ///
    /// If the key cannot be made.
    pub fn change_host_key(&self) -> io::Result<()> {
        fs_err::remove_file(self.path("host-key"))?;
        self.make_key("host-key")
    }

    /// Lets the client know the present host key, and no other.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn know_host(&self) -> io::Result<()> {
        let key = fs_err::read_to_string(self.path("host-key.pub"))?;
        fs_err::write(self.known_hosts(), format!("[{}]:{} {key}", self.address, self.port))
    }

    /// Lets the client know no host at all.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn forget_host(&self) -> io::Result<()> {
        fs_err::write(self.known_hosts(), "")
    }

    /// Takes the client's key out of the authorized ones.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn refuse_client(&self) -> io::Result<()> {
        fs_err::write(self.path("authorized_keys"), "")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self) -> String {
        let mut config = self.options.clone();
        let path = |name: &str| self.path(name).display().to_string();
        let _ = writeln!(
            config,
            "\nListenAddress {}\nPort {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups 100\nSubsystem sftp internal-sftp",
            self.address,
            self.port,
            path("host-key"),
            path("authorized_keys")
        );
        config
    }

    fn write_client_config(&self) -> io::Result<()> {
        let path = |name: &str| self.path(name).display().to_string();
        fs_err::write(
            self.client_config(),
            format!(
                "Host node\n  HostName {}\n  Port {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n",
                self.address,
                self.port,
                path("client-key"),
                path("known_hosts")
            ),
        )
    }

    fn make_key(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let _ = fs_err::remove_file(&path);
        let status = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&path)
            .stdin(Stdio::null())
            .status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("ssh-keygen made no key")) }
    }

    fn signal_sessions(&self, sent: Signal) -> usize {
        let sessions = self.sessions();
        for pid in &sessions {
            signal(*pid, sent);
        }
        sessions.len()
    }

    /// The processes below the listener.
    fn sessions(&self) -> Vec<u32> {
        let Some(listener) = &self.listener else {
            return Vec::new();
        };
        let parents = parents();
        let mut found = vec![listener.id()];
        let mut index = 0;
        while index < found.len() {
            let parent = found[index];
            found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            index += 1;
        }
        found.split_off(1)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends a signal to a process, which may be gone already.
pub fn signal(pid: u32, sent: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = rustix::process::kill_process(pid, sent);
    }
}

/// Every process with its parent (proc(5): the fields of `stat` after the name, which is in
/// parentheses).
fn parents() -> Vec<(u32, u32)> {
    let directories = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    let pids = directories.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, parent(Path::new(&format!("/proc/{pid}/stat")))?)))
        .collect()
}

fn parent(stat: &Path) -> Option<u32> {
    let stat = fs_err::read_to_string(stat).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
