//! One `ssh` and the SFTP session that it carries.

use std::process::Stdio;
use std::time::Duration;

use openssh_sftp_client::error::{Error as SftpError, SftpErrorKind};
use openssh_sftp_client::{Sftp as Session, SftpOptions};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::super::{Limits, TargetFailure};
use super::packets::Packets;

/// How long `ssh` may take to say why it ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A session, and the program that dies with it.
pub(super) struct Link {
    session: Session,
    // Killed when it is dropped.
    _ssh: Child,
}

impl Link {
    pub(super) async fn open(
        destination: &str,
        options: &[String],
        limits: &Limits,
    ) -> Result<Self, TargetFailure> {
        let mut ssh = command(destination, options, limits).spawn().map_err(|error| {
            TargetFailure::Program { program: "ssh".to_owned(), reason: error.to_string() }
        })?;
        let (Some(stdin), Some(stdout)) = (ssh.stdin.take(), ssh.stdout.take()) else {
            unreachable!("both are piped")
        };
        // `ssh` has its own limit for the connection; what follows is the login.
        let limit = limits.total(limits.connect + limits.stall, 0);
        match timeout(limit, Session::new(stdin, Packets::new(stdout), SftpOptions::new())).await {
            Ok(Ok(session)) => Ok(Self { session, _ssh: ssh }),
            Ok(Err(SftpError::SftpServerHelloMsgTooLong { len })) => {
                Err(TargetFailure::Talkative {
                    said: String::from_utf8_lossy(&len.to_be_bytes()).escape_debug().to_string(),
                })
            }
            Ok(Err(_)) => Err(of_ssh(&last_words(&mut ssh).await)),
            Err(_) => Err(TargetFailure::TimedOut),
        }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }
}

fn command(destination: &str, options: &[String], limits: &Limits) -> Command {
    let mut command = Command::new("ssh");
    let connect = format!("ConnectTimeout={}", limits.connect.as_secs().max(1));
    let alive = format!("ServerAliveInterval={}", (limits.stall.as_secs() / 3).max(1));
    for option in [
        "BatchMode=yes",
        &connect,
        &alive,
        "ServerAliveCountMax=3",
        "ControlMaster=no",
        "ControlPath=none",
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        // What the user's configuration does for a person at a terminal is nothing for SFTP.
        "RemoteCommand=none",
        "RequestTTY=no",
        "PermitLocalCommand=no",
        "StdinNull=no",
        "ForkAfterAuthentication=no",
    ] {
        command.args(["-o", option]);
    }
    command
        .args(options)
        .args(["-s", "--", destination, "sftp"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// What `ssh` wrote before it ended.
async fn last_words(ssh: &mut Child) -> String {
    let mut words = String::new();
    if let Some(stderr) = ssh.stderr.take() {
        let mut stderr = stderr.take(16 * 1024);
        // What was read until then is all there is to say.
        let _ = timeout(LAST_WORDS, stderr.read_to_string(&mut words)).await;
    }
    words
}

/// What `ssh` means.
fn of_ssh(words: &str) -> TargetFailure {
    let last = words.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("ssh ended");
    if words.contains("Could not resolve hostname") {
        TargetFailure::NameUnknown
    } else if words.contains("Permission denied")
        || words.contains("Too many authentication failures")
    {
        TargetFailure::Unauthorized
    } else if words.contains("Host key verification failed")
        || words.contains("REMOTE HOST IDENTIFICATION HAS CHANGED")
    {
        TargetFailure::Untrusted { reason: last.to_owned() }
    } else {
        TargetFailure::Unreachable { reason: last.to_owned() }
    }
}

/// What the session says. SFTP version 3 has no word for a full disk: OpenSSH calls it a failure.
pub(super) fn of_sftp(error: SftpError) -> TargetFailure {
    match error {
        SftpError::SftpError(SftpErrorKind::NoSuchFile, _) => TargetFailure::NotFound,
        SftpError::SftpError(SftpErrorKind::PermDenied, _) => {
            TargetFailure::Forbidden { answer: "permission denied".to_owned() }
        }
        SftpError::SftpError(kind, message) => {
            TargetFailure::Unexpected { answer: format!("{kind:?}: {message}") }
        }
        error => TargetFailure::Unreachable { reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_told_apart() {
        assert!(matches!(
            of_ssh("hub@nas: Permission denied (publickey).\n"),
            TargetFailure::Unauthorized
        ));
        assert!(matches!(
            of_ssh("No ED25519 host key is known for nas.\nHost key verification failed.\n"),
            TargetFailure::Untrusted { .. }
        ));
        let failure = of_ssh("ssh: connect to host nas port 22: Connection refused\n");
        assert!(failure.is_retryable());
        assert!(failure.to_string().contains("Connection refused"));
        assert!(matches!(
            of_ssh("ssh: Could not resolve hostname nas: Name or service not known\n"),
            TargetFailure::NameUnknown
        ));
    }
}
