//! One `ssh` with all forwards of a tunnel, each at a unix socket that only this supervisor uses.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::configuration;
use super::reason::Reason;
use crate::endpoint::Endpoint;
use crate::spec::{Tunnel, Way};

const GUARD: &str = include_str!("guard.sh");

/// How often it is looked whether a starting `ssh` is ready.
const READY_POLL: Duration = Duration::from_millis(5);

/// How many lines of an `ssh` are kept to tell why it ended.
const LINES: usize = 50;

/// A running `ssh`. Dropped, it is killed, with everything it started, and its sockets are removed.
#[derive(Debug)]
pub(crate) struct Link {
    directory: PathBuf,
    child: Child,
    group: Option<Pid>,
    /// Held for the guard, which ends everything when this is closed.
    _stdin: Option<ChildStdin>,
    said: mpsc::Receiver<String>,
    lines: Vec<String>,
}

/// What came of waiting for an `ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It wrote a line that says that the target of a connection was refused, or the like.
    Said(String),
    /// It is gone.
    Gone(Reason),
}

impl Link {
    /// Writes the configuration into a new directory, which must not exist yet.
    pub(crate) fn prepare(directory: &Path, tunnel: &Tunnel) -> io::Result<()> {
        std::fs::DirBuilder::new().mode(0o700).create(directory)?;
        // The directory is nobody else's.
        regularfile::create(Self::configuration(directory), configuration::text(tunnel))
    }

    pub(crate) fn configuration(directory: &Path) -> PathBuf {
        directory.join("config")
    }

    /// Starts `ssh` in a prepared directory.
    pub(crate) fn start(directory: PathBuf, tunnel: &Tunnel) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", GUARD, "tunnel-guard", "ssh", "-M", "-N", "-T", "-F"])
            .arg(Self::configuration(&directory))
            .arg("-S")
            .arg(control(&directory));
        for (index, forward) in tunnel.forwards.iter().enumerate() {
            let socket = Endpoint::unix(socket(&directory, index));
            match &forward.way {
                // Where it is is asked through the session.
                Way::Service(_) => &mut command,
                Way::To(target) => command.arg("-L").arg(pair(&socket, target)),
                Way::From(remote) => command
                    .arg("-R")
                    .arg(pair(remote, &forward.local))
                    // What comes back through it is what the probe sees.
                    .arg("-L")
                    .arg(pair(&socket, remote)),
            };
        }
        let mut child = command
            .arg("--")
            .arg(&tunnel.destination)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let stdin = child.stdin.take();
        let stderr = child.stderr.take().expect("the output was asked for");
        let (sender, said) = mpsc::channel(LINES);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                if sender.send(line).await.is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            directory,
            child,
            group,
            _stdin: stdin,
            said,
            lines: Vec::new(),
        })
    }

    /// The socket at which a forward, by its number, is reached.
    pub(crate) fn socket(&self, index: usize) -> PathBuf {
        socket(&self.directory, index)
    }

    /// The control socket of the session.
    pub(crate) fn control(&self) -> PathBuf {
        control(&self.directory)
    }

    /// Waits until it is connected and listens: `ssh` makes its control socket last (ssh.c, `ssh_session2`).
    pub(crate) async fn ready(control: PathBuf) {
        while !control.exists() {
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Waits for the next thing that it says or for its end. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Ended {
        tokio::select! {
            biased;
            Some(line) = self.said.recv() => {
                self.keep(line.clone());
                Ended::Said(line)
            }
            _ = self.child.wait() => {
                // What is left of it must not outlive it.
                self.kill();
                while let Ok(Some(line)) = tokio::time::timeout(Duration::from_millis(100), self.said.recv()).await {
                    self.keep(line);
                }
                Ended::Gone(Reason::of(&self.lines.join("\n")))
            }
        }
    }

    fn keep(&mut self, line: String) {
        if self.lines.len() == LINES {
            self.lines.remove(0);
        }
        self.lines.push(line);
    }

    fn kill(&self) {
        if let Some(group) = self.group {
            // It may be gone already.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.kill();
        // What cannot be removed goes with the supervisor's directory.
        let _ = fs_err::remove_dir_all(&self.directory);
    }
}

fn control(directory: &Path) -> PathBuf {
    directory.join("control")
}

fn socket(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("forward-{index}"))
}

/// As `-L` and `-R` take it: brackets around addresses, unix sockets as they are.
fn pair(listen: &Endpoint, connect: &Endpoint) -> String {
    format!("{listen}:{connect}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_paired_as_ssh_takes_them() {
        let socket = Endpoint::unix("/run/s");
        assert_eq!(pair(&socket, &Endpoint::tcp("::1", 80)), "/run/s:[::1]:80");
        assert_eq!(
            pair(&Endpoint::tcp("127.0.0.1", 9), &socket),
            "127.0.0.1:9:/run/s"
        );
    }
}
