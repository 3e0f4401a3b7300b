//! An SSH server of the demo's own.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::{Child, Command};

use crate::failure::Refusal;

/// Keys, and lists of processes.
const LARGEST: u64 = 64 * 1024;

/// A port of the loopback interface that nothing listens on.
pub(crate) fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A server with keys of its own, for this user only, on the loopback interface.
pub(crate) struct Sshd {
    directory: PathBuf,
    port: u16,
    listener: Option<Child>,
}

impl Sshd {
    pub(crate) async fn start(directory: &Path) -> anyhow::Result<Self> {
        let mut sshd = Self { directory: directory.to_owned(), port: free_port()?, listener: None };
        for name in ["host-key", "client-key"] {
            let made =
                program("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &sshd.word(name)])
                    .await?;
            if !made.status.success() {
                return Err(Refusal::could_not_ask("ssh-keygen made no key").into());
            }
        }
        let host_key = regularfile::read_to_string(sshd.path("host-key.pub"), LARGEST)?;
        regularfile::create(
            sshd.path("known_hosts"),
            format!("[127.0.0.1]:{} {host_key}", sshd.port),
        )?;
        regularfile::create(
            sshd.path("sshd_config"),
            format!(
                "ListenAddress 127.0.0.1\nPort {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n",
                sshd.port,
                sshd.word("host-key"),
                sshd.word("client-key.pub")
            ),
        )?;
        regularfile::create(
            sshd.path("ssh_config"),
            format!(
                "Host node1\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {}\n",
                sshd.port,
                sshd.word("client-key"),
                sshd.word("known_hosts")
            ),
        )?;
        sshd.listen().await?;
        Ok(sshd)
    }

    pub(crate) async fn listen(&mut self) -> anyhow::Result<()> {
        // As root, sshd wants the directory in which it separates privileges; the package makes it at each start.
        let _ = fs_err::create_dir_all("/run/sshd");
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-f", &self.word("sshd_config"), "-E", &self.word("log")]);
        let listener =
            command.stdin(Stdio::null()).kill_on_drop(true).spawn().map_err(|error| {
                Refusal::could_not_ask(format!("sshd could not be started: {error}")).hint(
                    "install the OpenSSH server, for example `apt-get install openssh-server`",
                )
            })?;
        self.listener = Some(listener);
        Ok(())
    }

    /// Ends the listener and the sessions it had begun.
    pub(crate) async fn kill(&mut self) {
        let Some(mut listener) = self.listener.take() else {
            return;
        };
        let children = listener.id().map(|pid| format!("/proc/{pid}/task/{pid}/children"));
        let sessions = children
            .and_then(|path| regularfile::read_to_string(path, LARGEST).ok())
            .unwrap_or_default();
        let _ = listener.kill().await;
        for pid in sessions.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn word(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

async fn program(name: &str, arguments: &[&str]) -> anyhow::Result<Output> {
    let run = Command::new(name).args(arguments).stdin(Stdio::null()).output().await;
    run.map_err(|error| {
        let refusal = Refusal::could_not_ask(format!("{name} could not be started: {error}"));
        refusal.hint("install OpenSSH").into()
    })
}
