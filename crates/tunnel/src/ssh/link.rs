//! One `ssh` with all forwards of a tunnel, each at a unix socket that only this supervisor uses.
//!
//! Its configuration clears every forward, since those of the user for the same host are not ours
//! to open. That clears the command line's as well (ssh_config(5)), so ours are asked for through
//! the control socket.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::configuration;
use super::forwarding::{Request, Unforwarded, establish};
use super::reason::Reason;
use crate::endpoint::Endpoint;
use crate::spec::{Tunnel, Way};

const GUARD: &str = include_str!("guard.sh");

/// The last output of a dying `ssh` arrives within this time.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// This many lines of an `ssh` are kept to explain its end.
const LINES: usize = 50;

/// A running `ssh`. Dropped, it is killed, with everything it started, and its sockets are removed.
#[derive(Debug)]
pub(crate) struct Link {
    directory: PathBuf,
    child: Child,
    group: Option<Pid>,
    /// Held for the guard, which ends everything when this is closed.
    _stdin: Option<ChildStdin>,
    /// Nothing once its end was reported.
    forwarding: Option<AbortOnDropHandle<Result<(), Unforwarded>>>,
    said: mpsc::Receiver<String>,
    lines: Vec<String>,
}

/// The result of waiting for an `ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// It is connected, and all its forwards listen.
    Ready,
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
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARD, "tunnel-guard", "ssh", "-M", "-N", "-T", "-F"])
            .arg(Self::configuration(&directory))
            .arg("-S")
            .arg(control(&directory))
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
        let patience = 2 * tunnel.profile.silence();
        let forwarding = establish(control(&directory), requests(&directory, tunnel), patience);
        Ok(Self {
            directory,
            child,
            group,
            _stdin: stdin,
            forwarding: Some(AbortOnDropHandle::new(tokio::spawn(forwarding))),
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

    /// Waits for the next thing that it says, for its forwards, or for its end. May be dropped and
    /// called again.
    pub(crate) async fn next(&mut self) -> Report {
        tokio::select! {
            biased;
            Some(line) = self.said.recv() => {
                self.keep(line.clone());
                Report::Said(line)
            }
            _ = self.child.wait() => self.last_words(None).await,
            Some(forwarded) = forwarded(&mut self.forwarding) => {
                self.forwarding = None;
                match forwarded {
                    Ok(()) => Report::Ready,
                    // One that lacks a forward is no tunnel.
                    Err(error) => self.last_words(Some(error)).await,
                }
            }
        }
    }

    /// Ends what is left of it, and tells why from all that was said.
    async fn last_words(&mut self, unforwarded: Option<Unforwarded>) -> Report {
        self.kill();
        while let Ok(Some(line)) = tokio::time::timeout(LAST_WORDS, self.said.recv()).await {
            self.keep(line);
        }
        // Its own last line tells more, where it wrote one.
        let said = unforwarded.map(|error| error.to_string());
        let said: Vec<_> = said.into_iter().chain(self.lines.drain(..)).collect();
        Report::Gone(Reason::of(&said.join("\n")))
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

/// The forwards to ask for at once. The place of a service is found out through the session first.
fn requests(directory: &Path, tunnel: &Tunnel) -> Vec<Request> {
    let forwards = tunnel.forwards.iter().enumerate();
    let requests = forwards.flat_map(|(index, forward)| {
        let socket = Endpoint::unix(socket(directory, index));
        match &forward.way {
            Way::Service(_) => Vec::new(),
            Way::To(target) => vec![Request::to(socket, target.clone())],
            Way::From(remote) => vec![
                Request::from(remote.clone(), forward.local.clone()),
                // What comes back through it is what the probe sees.
                Request::to(socket, remote.clone()),
            ],
        }
    });
    requests.collect()
}

/// Never, where it was told already.
async fn forwarded(
    forwarding: &mut Option<AbortOnDropHandle<Result<(), Unforwarded>>>,
) -> Option<Result<(), Unforwarded>> {
    let done = forwarding.as_mut()?.await;
    Some(done.unwrap_or_else(|error| Err(Unforwarded::Unasked(error.to_string()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Forward;

    #[test]
    fn a_forward_from_the_destination_leads_back_to_the_probe_and_a_service_waits() {
        let (hub, remote) = (Endpoint::tcp("::1", 80), Endpoint::tcp("127.0.0.1", 9));
        let socket = |index| Endpoint::unix(socket(Path::new("/run/x"), index));
        let mut service = Forward::to(Endpoint::unix("/b"), hub.clone());
        service.way = Way::Service("ns/hub:80".parse().unwrap());
        let tunnel = Tunnel::new("node")
            .with_forward(Forward::to(Endpoint::unix("/a"), hub.clone()))
            .with_forward(service)
            .with_forward(Forward::from(remote.clone(), hub.clone()));
        assert_eq!(
            requests(Path::new("/run/x"), &tunnel),
            [
                Request::to(socket(0), hub.clone()),
                Request::from(remote.clone(), hub),
                Request::to(socket(2), remote),
            ]
        );
    }
}
