//! The tools that keep a forward: hubctl, and its alternatives.

use std::fmt;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use testkit::{Machine, Signal, signal};

use super::world::{LOCAL, SERVICE, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Hubctl,
    Autossh,
    Loop,
    Tuned,
}

pub(crate) const TOOLS: [Tool; 4] = [Tool::Hubctl, Tool::Autossh, Tool::Loop, Tool::Tuned];

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hubctl => "hubctl",
            Self::Autossh => "autossh",
            Self::Loop => "loop",
            Self::Tuned => "tuned loop",
        })
    }
}

/// A running tool. Dropped, it is killed with all its processes.
pub(crate) struct Running<'a> {
    pub(crate) world: &'a World,
    pub(crate) child: Child,
}

impl Tool {
    /// Starts it, as the leader of a group.
    pub(crate) fn start(self, world: &World) -> Running<'_> {
        self.start_with(world, "default")
    }

    /// The same; hubctl with this profile.
    pub(crate) fn start_with<'a>(self, world: &'a World, profile: &str) -> Running<'a> {
        let mut command = match self {
            Self::Hubctl => {
                fs_err::write(world.path("hubctl.toml"), configuration(world, 1, profile)).unwrap();
                let mut command = world.command(Machine::Client, crate::hubctl());
                command.arg("--config").arg(world.path("hubctl.toml")).args(["tunnel", "run"]);
                command
            }
            Self::Autossh => {
                let mut command = world.command(Machine::Client, "autossh");
                command
                    .env("AUTOSSH_GATETIME", "0")
                    .env("AUTOSSH_PATH", world.path("bin").join("ssh"));
                command
                    .args(["-M", "0"])
                    .args(ssh(world, &["ServerAliveInterval=5", "ServerAliveCountMax=3"]));
                command
            }
            Self::Loop => looped(world, &["ServerAliveInterval=5", "ServerAliveCountMax=3"], "1"),
            Self::Tuned => looped(
                world,
                &["ConnectTimeout=2", "ServerAliveInterval=1", "ServerAliveCountMax=2"],
                "0.25",
            ),
        };
        let child = command.stdout(Stdio::null()).process_group(0).spawn().unwrap();
        Running { world, child }
    }
}

fn looped(world: &World, options: &[&str], pause: &str) -> std::process::Command {
    let mut command = world.command(Machine::Client, "sh");
    command.args(["-c", &format!("while true; do ssh \"$@\"; sleep {pause}; done"), "loop"]);
    command.args(ssh(world, options));
    command
}

/// The arguments of an `ssh` that forwards and does nothing else.
pub(crate) fn ssh(world: &World, options: &[&str]) -> Vec<String> {
    let mut words = vec![
        "-N".to_owned(),
        "-F".to_owned(),
        world.sshd.borrow().client_config().display().to_string(),
    ];
    for option in ["BatchMode=yes", "ExitOnForwardFailure=yes"].iter().chain(options) {
        words.extend(["-o".to_owned(), (*option).to_owned()]);
    }
    let forward = format!("127.0.0.1:{LOCAL}:{}:{SERVICE}", world.network.server_address());
    words.extend(["-L".to_owned(), forward, "node".to_owned()]);
    words
}

/// As many tunnels as wanted, each with a port of its own.
pub(crate) fn configuration(world: &World, tunnels: u16, profile: &str) -> String {
    (0..tunnels)
        .map(|number| {
            format!(
                "[tunnels.hub{number}]\ndestination = \"node\"\nprofile = \"{profile}\"\nssh_config = \"{}\"\n[[tunnels.hub{number}.forwards]]\nlocal = \"127.0.0.1:{}\"\n\
                 target = \"{}:{SERVICE}\"\nprobe = {{ http = \"/health\", json = \"identity\", equals = \"hub-1\" }}\n",
                world.sshd.borrow().client_config().display(),
                LOCAL + number,
                world.network.server_address()
            )
        })
        .collect()
}

impl Running<'_> {
    /// Ends all of it: supervisors in their group, and every `ssh`.
    pub(crate) fn end(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        for name in ["ssh", "autossh", "sh", "hubctl"] {
            for pid in self.world.processes(name) {
                signal(pid, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
