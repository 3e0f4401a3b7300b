//! The process of `sshd` that serves a session, and so listens for its remote forwards. When its
//! client fell silent it goes on to listen until it notices, which without `ClientAliveInterval`
//! takes hours, and nobody else can have the port.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use openssh::Session;
use tokio::process::Command;

/// The destination answers within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The parent of a command of the session, with the name and the start time that no later process
/// of its number has (proc(5)). Not every login shell knows `$PPID`.
const TELL: &str = "exec sh -c 'cat /proc/$PPID/stat'";

/// One such process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteSession {
    pid: u32,
    /// Clock ticks after the boot of the destination.
    started: u64,
}

impl RemoteSession {
    /// Asks through the session itself. Nothing where it runs no commands, or the destination has
    /// no `/proc`.
    pub(crate) async fn of(control: &Path) -> Option<Self> {
        let session = Session::resume_mux(control.into(), None);
        let mut tell = session.raw_command(TELL);
        let told = tokio::time::timeout(PATIENCE, tell.output()).await;
        let output = told.ok()?.ok()?;
        Self::read(&String::from_utf8_lossy(&output.stdout))
    }

    fn read(stat: &str) -> Option<Self> {
        let (pid, rest) = stat.trim().split_once(" (")?;
        let (name, fields) = rest.rsplit_once(") ")?;
        // `sshd`, or `sshd-session` since OpenSSH 9.8.
        let started = fields.split(' ').nth(19)?;
        Some(Self {
            pid: pid.parse().ok().filter(|_| name.starts_with("sshd"))?,
            started: started.parse().ok()?,
        })
    }

    /// Kills it over a connection of its own, if it still is the same process.
    pub(crate) async fn kill(&self, configuration: &Path, destination: &str) {
        let Self { pid, started } = self;
        // A process that is stopped obeys no other signal. The name has no blank in it, so the fields count from the left.
        let command = format!(
            "read -r line < /proc/{pid}/stat && set -- $line && [ \"${{22}}\" = {started} ] && kill -KILL {pid}"
        );
        let ssh = Command::new("ssh")
            .arg("-F")
            .arg(configuration)
            .args(["-S", "none", "-o", "SessionType=default", "--"])
            .args([destination, "sh", "-c"])
            .arg(format!("'{command}'"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        match tokio::time::timeout(PATIENCE, ssh).await {
            Ok(Ok(status)) if status.success() => {
                tracing::info!(
                    pid,
                    "a session on the destination that nobody used any more was ended"
                );
            }
            // It is gone already, or the destination cannot be reached: the next attempt shows.
            _ => tracing::debug!(pid, "no such session was found on the destination"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_number_name_and_time() {
        let stat = "4711 (sshd) S 1 4711 4711 0 -1 4194560 913 0 0 0 1 0 0 0 20 0 1 0 5150 17825792 2560 1844";
        let session = RemoteSession { pid: 4711, started: 5150 };
        assert_eq!(RemoteSession::read(stat), Some(session));
        assert_eq!(RemoteSession::read(&stat.replace("sshd", "init")), None);
        assert_eq!(RemoteSession::read("This account is not available."), None);
    }
}
