//! `hubctl demo --tunnel`: a forward that survives the death of its server.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use pgsnap::{ScratchOptions, ScratchServer};
use tokio::process::{Child, Command};
use tokio::sync::broadcast::Receiver;
use tunnel::{Endpoint, Event, Forward, PostgresProbe, Probe, Question, Supervisor, Tunnel};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::ops::TunnelEvent;

/// Keys, and lists of processes.
const LARGEST: u64 = 64 * 1024;
/// What happens here takes a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let printer = &context.printer;
    let directory = tempfile::Builder::new().prefix("hubctl-demo").tempdir()?;
    printer.say("Starting a database, and an SSH server of our own in front of it …");
    let database = ScratchServer::start(&ScratchOptions::default()).await?;
    let mut sshd = Sshd::start(directory.path()).await?;

    let supervisor = Supervisor::open(directory.path().join("run"))?;
    let mut events = supervisor.events();
    let local = Endpoint::tcp("127.0.0.1", free_port()?);
    let socket = database.directory().join(format!(".s.PGSQL.{}", database.port()));
    let mut probe = PostgresProbe::default();
    (probe.user, probe.database) = (Some("postgres".to_owned()), Some("postgres".to_owned()));
    let forward = Forward::to(local, Endpoint::unix(socket)).with_probe(
        Probe::new(Question::Postgres(probe))
            .every(Duration::from_millis(500), Duration::from_secs(2)),
    );
    let mut tunnel = Tunnel::new("node1").with_forward(forward);
    tunnel.ssh_config = Some(sshd.path("ssh_config"));
    supervisor.start("hub", tunnel).await?;
    until(context, &mut events, "up").await?;
    let status = supervisor.settled("hub", PATIENCE).await?;
    let forward = &status.forwards[0];
    printer.say(format_args!(
        "Bytes come back from PostgreSQL {} in {:.1} ms: that, and not an open port, is what `up` means.\n\nNow the SSH server is killed, with its sessions …",
        forward.identity.as_deref().unwrap_or("?"),
        forward.round_trip_ms.unwrap_or_default()
    ));
    sshd.kill().await;
    until(context, &mut events, "backoff").await?;
    printer
        .say("… and comes back after two seconds. The port stayed bound; new connections waited.");
    tokio::time::sleep(Duration::from_secs(2)).await;
    sshd.listen().await?;
    until(context, &mut events, "up").await?;
    let status = supervisor.settled("hub", PATIENCE).await?;
    printer.say(format_args!("{} ssh were started in all.", status.starts));
    supervisor.close().await;
    Ok(Exit::Yes)
}

/// Prints changes, as `hubctl tunnel status --watch` does, until the forward is in this state.
async fn until(context: &Context, events: &mut Receiver<Event>, word: &str) -> anyhow::Result<()> {
    let wait = async {
        loop {
            let event = TunnelEvent(events.recv().await?);
            context.printer.line(&event, ToString::to_string)?;
            if event.0.state.word() == word {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.map_err(|_| {
        Refusal::no(format!("the forward was not `{word}` within {} s", PATIENCE.as_secs()))
    })?
}

fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A server with keys of its own, for this user only, on the loopback interface.
struct Sshd {
    directory: PathBuf,
    port: u16,
    listener: Option<Child>,
}

impl Sshd {
    async fn start(directory: &Path) -> anyhow::Result<Self> {
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

    async fn listen(&mut self) -> anyhow::Result<()> {
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
    async fn kill(&mut self) {
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

    fn path(&self, name: &str) -> PathBuf {
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
