//! Two machines, a server, a service behind it, and a client.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use testkit::{Machine, Network, Sshd};

use super::probing::Seen;

/// The local end of the forward, on the client's machine.
pub(crate) const LOCAL: u16 = 18_000;

/// The service's port, on the server's machine.
pub(crate) const SERVICE: u16 = 18_001;

pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) sshd: RefCell<Sshd>,
    pub(crate) directory: TempDir,
    service: Child,
}

impl World {
    pub(crate) fn new() -> Self {
        let network = Network::new().unwrap();
        let sshd = Sshd::start_on(&network, "").unwrap();
        let directory = tempfile::Builder::new().prefix("tb").tempdir().unwrap();
        fs_err::write(directory.path().join("identity"), "hub-1").unwrap();
        let mut world = Self {
            service: Command::new("true").spawn().unwrap(),
            network,
            sshd: RefCell::new(sshd),
            directory,
        };
        world.write_wrapper();
        let address = format!("{}:{SERVICE}", world.network.server_address());
        let identity = world.path("identity").display().to_string();
        let _ = world.service.wait();
        world.service = world.play(Machine::Server, &["serve", &address, &identity]);
        std::thread::sleep(Duration::from_millis(200));
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Sets the identity that the service reports.
    pub(crate) fn identify(&self, identity: &str) {
        fs_err::write(self.path("identity"), identity).unwrap();
    }

    /// A client that connects again and again.
    pub(crate) fn client(&self) -> Seen {
        Seen::of(self.play(Machine::Client, &["probe", &LOCAL.to_string()]))
    }

    /// This program in another role, on one of the machines.
    pub(crate) fn play(&self, machine: Machine, role: &[&str]) -> Child {
        let program = std::env::current_exe().unwrap();
        let mut command = self.command(machine, program);
        command.arg("tunnels").args(role);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }

    /// A program on one of the machines, with an `ssh` that counts its starts.
    pub(crate) fn command(&self, machine: Machine, program: impl AsRef<OsStr>) -> Command {
        let words = self.network.on(machine);
        let mut command = Command::new(&words[0]);
        let path = std::env::var("PATH").unwrap();
        command.args(&words[1..]).arg(program);
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
            .env("HOME", self.directory.path())
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("XDG_STATE_HOME");
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Returns the number of `ssh` processes started to connect.
    pub(crate) fn starts(&self) -> usize {
        fs_err::read_to_string(self.path("starts")).unwrap_or_default().lines().count()
    }

    /// The processes on the client's machine whose name begins like this.
    pub(crate) fn processes(&self, name: &str) -> Vec<u32> {
        let words = self.network.on(Machine::Client);
        let output = Command::new("ip").args(["netns", "pids", &words[3]]).output().unwrap();
        let pids = String::from_utf8(output.stdout).unwrap();
        let is_named = |pid: &u32| {
            let comm = Path::new("/proc").join(pid.to_string()).join("comm");
            fs_err::read_to_string(comm).is_ok_and(|comm| comm.starts_with(name))
        };
        pids.lines().filter_map(|pid| pid.trim().parse().ok()).filter(is_named).collect()
    }

    /// Every `ssh` on the client's machine gets this signal.
    pub(crate) fn signal_ssh(&self, signal: testkit::Signal) {
        for pid in self.processes("ssh") {
            testkit::signal(pid, signal);
        }
    }

    fn write_wrapper(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        let bin = self.path("bin");
        fs_err::create_dir(&bin).unwrap();
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = -G ] || echo >> {}\nexec /usr/bin/ssh \"$@\"\n",
            self.path("starts").display()
        );
        let path = bin.join("ssh");
        fs_err::write(&path, script).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
        for pid in self.processes("") {
            testkit::signal(pid, testkit::Signal::KILL);
        }
    }
}
