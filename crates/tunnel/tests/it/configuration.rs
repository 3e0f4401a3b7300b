//! A configuration of `ssh` that is legal and made for a person at a terminal: a tunnel opens, runs
//! and keeps nothing of it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::support::*;
use testkit::{Signal, Sshd, signal};
use tunnel::{Endpoint, Forward, Tunnel};

/// The files its commands and its master make.
const FILES: [&str; 3] = ["local-command", "remote-command", "master"];

/// The configuration, the ports that it opens and the files that its commands make.
struct Habits {
    config: PathBuf,
    local: Endpoint,
    remote: Endpoint,
    dynamic: Endpoint,
    directory: TempDir,
}

impl Habits {
    fn of(sshd: &Sshd, hub: &Hub) -> Self {
        let directory = tempfile::Builder::new().prefix("ssh").tempdir().unwrap();
        let (local, remote, dynamic) = (free_end(), free_end(), free_end());
        let file = |name: &str| directory.path().join(name).display().to_string();
        let text = format!(
            "Host node\n  LocalForward {local} {hub}\n  RemoteForward {remote} {hub}\n  DynamicForward {dynamic}\n  \
             Tunnel yes\n  ForwardAgent yes\n  ForwardX11 yes\n  GatewayPorts yes\n  ExitOnForwardFailure no\n  \
             PermitLocalCommand yes\n  LocalCommand touch {}\n  RemoteCommand touch {}; exec sleep 60\n  RequestTTY force\n  \
             ControlMaster auto\n  ControlPath {}\n  ControlPersist yes\n  ForkAfterAuthentication yes\n  \
             BatchMode no\n  StrictHostKeyChecking no\n  LogLevel QUIET\nInclude {}\n",
            file("local-command"),
            file("remote-command"),
            file("master"),
            sshd.client_config().display(),
            hub = hub.end(),
        );
        let config = directory.path().join("config");
        fs_err::write(&config, text).unwrap();
        Self { config, local, remote, dynamic, directory }
    }

    fn applied_to(&self, mut tunnel: Tunnel) -> Tunnel {
        tunnel.ssh_config = Some(self.config.clone());
        tunnel
    }

    /// Its visible effects: open ports and files.
    async fn seen(&self) -> Vec<String> {
        let mut seen = Vec::new();
        for end in [&self.local, &self.remote, &self.dynamic] {
            if TcpStream::connect(end.to_string()).await.is_ok() {
                seen.push(end.to_string());
            }
        }
        for name in FILES {
            if self.directory.path().join(name).exists() {
                seen.push(name.to_owned());
            }
        }
        seen
    }

    /// Shows that plain `ssh` does all of it, and takes that back.
    async fn shown(&self) {
        let mut ssh = Command::new("ssh")
            .arg("-F")
            .arg(&self.config)
            .args(["-o", "ForkAfterAuthentication=no", "-o", "Tunnel=no", "node"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.until_seen(6).await;
        // Its master went to the background.
        for pid in processes_of(self.directory.path()) {
            signal(pid, Signal::KILL);
        }
        ssh.wait().unwrap();
        for name in FILES {
            fs_err::remove_file(self.directory.path().join(name)).unwrap();
        }
        self.until_seen(0).await;
    }

    async fn until_seen(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.seen().await;
            if seen.len() == count {
                return;
            }
            assert!(Instant::now() < deadline, "{seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_users_configuration_forwards_and_runs_is_left_out() {
    let (sshd, hub, rig) = ground().await;
    let habits = Habits::of(&sshd, &hub);
    habits.shown().await;

    let to = forward(&hub);
    let ends = [to.local.clone(), free_end()];
    let from = Forward::from(ends[1].clone(), hub.end()).with_probe(forward(&hub).probe);
    let tunnel = habits.applied_to(tunnel(&sshd, to).with_forward(from));
    let status = rig.start(tunnel).await;
    assert!(status.is_up(), "{status:?}\n{}", sshd.log());
    assert_eq!(habits.seen().await, Vec::<String>::new());
    for end in &ends {
        echo(end).await.unwrap();
    }

    assert!(rig.supervisor.stop("hub").await);
    until("no ssh is left", || ssh_of(&rig.runtime).is_empty().then_some(())).await;
    assert_eq!(habits.seen().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_of_the_users_configuration_hinders_no_tunnel() {
    let (sshd, hub, rig) = ground().await;
    let habits = Habits::of(&sshd, &hub);
    let mut taken = Vec::new();
    for end in [&habits.local, &habits.remote, &habits.dynamic] {
        taken.push(TcpListener::bind(end.to_string()).await.unwrap());
    }
    let from = Forward::from(free_end(), hub.end()).with_probe(forward(&hub).probe);
    for forward in [forward(&hub), from] {
        let status = rig.start(habits.applied_to(tunnel(&sshd, forward))).await;
        assert!(status.is_up(), "{status:?}\n{}", sshd.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_may_have_the_very_ports_of_the_users_configuration() {
    let (sshd, hub, rig) = ground().await;
    let habits = Habits::of(&sshd, &hub);
    let mut to = forward(&hub);
    to.local = habits.local.clone();
    let from = Forward::from(habits.remote.clone(), hub.end()).with_probe(forward(&hub).probe);
    let tunnel = habits.applied_to(tunnel(&sshd, to).with_forward(from));
    let status = rig.start(tunnel).await;
    assert!(status.is_up(), "{status:?}\n{}", sshd.log());
    for end in [&habits.local, &habits.remote] {
        echo(end).await.unwrap();
    }
}
