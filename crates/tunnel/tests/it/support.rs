//! The parts of every test: a server, a target behind it, and a supervisor.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use testkit::Sshd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tunnel::{Endpoint, Event, Expected, Forward, Probe, State, Supervisor, Tunnel, TunnelStatus};

/// Every wait takes far less, except on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A service that tells who it is: HTTP/1.1 with one answer per connection, and an echo where the
/// first byte is `!`.
pub(crate) struct Hub {
    pub(crate) port: u16,
    manner: Arc<Mutex<Manner>>,
    task: JoinHandle<()>,
}

/// The behaviour of the service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Manner {
    /// It answers as this identity.
    Answers(&'static str),
    /// It accepts and says nothing.
    Frozen,
    /// It is in trouble, and says so.
    Unwell,
    /// It answers with a stream that never ends.
    Streams,
}

impl Hub {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::at("127.0.0.1", 0, manner).await
    }

    pub(crate) async fn at(host: &str, port: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind((host, port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let manner = Arc::new(Mutex::new(manner));
        let shared = Arc::clone(&manner);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let manner = shared.lock().unwrap().clone();
                tokio::spawn(serve(stream, manner));
            }
        });
        Self { port, manner, task }
    }

    pub(crate) fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub(crate) fn end(&self) -> Endpoint {
        Endpoint::tcp("127.0.0.1", self.port)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, manner: Manner) {
    let mut first = [0; 1];
    if stream.read_exact(&mut first).await.is_err() {
        return;
    }
    if first == *b"!" {
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        return;
    }
    // Whoever closes with bytes unread takes back what was said.
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let answer = |status: &str, length: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{length}connection: close\r\n\r\n{body}"
        )
    };
    match manner {
        Manner::Answers(identity) => {
            let body = format!("{{\"state\": {{\"identity\": \"{identity}\"}}}}");
            let length = format!("content-length: {}\r\n", body.len());
            let _ = stream.write_all(answer("200 OK", &length, &body).as_bytes()).await;
        }
        Manner::Unwell => {
            let _ = stream.write_all(answer("503 Service Unavailable", "", "").as_bytes()).await;
        }
        Manner::Streams => {
            let _ = stream.write_all(answer("200 OK", "", "data: hello\n\n").as_bytes()).await;
            std::future::pending::<()>().await;
        }
        Manner::Frozen => std::future::pending::<()>().await,
    }
}

/// A supervisor in a directory of its own.
pub(crate) struct Rig {
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) runtime: PathBuf,
    events: broadcast::Receiver<Event>,
    _directory: TempDir,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("tun").tempdir().unwrap();
        let runtime = directory.path().join("run");
        let supervisor = Arc::new(Supervisor::open(&runtime).unwrap());
        Self { events: supervisor.events(), supervisor, runtime, _directory: directory }
    }

    /// Starts the tunnel `hub`, and waits until it is up or has failed.
    pub(crate) async fn start(&self, tunnel: Tunnel) -> TunnelStatus {
        self.supervisor.start("hub", tunnel).await.unwrap();
        self.supervisor.settled("hub", PATIENCE).await.unwrap()
    }

    /// Starts a tunnel from a free port to the hub, which must come up; returns its local end.
    pub(crate) async fn up(&self, sshd: &Sshd, hub: &Hub) -> Endpoint {
        let forward = forward(hub);
        let local = forward.local.clone();
        let status = self.start(tunnel(sshd, forward)).await;
        assert!(status.is_up(), "{status:?}\n{}", sshd.log());
        local
    }

    pub(crate) fn status(&self) -> TunnelStatus {
        self.supervisor.status().remove(0)
    }

    pub(crate) fn state(&self) -> State {
        self.status().forwards[0].state.clone()
    }

    /// The next event whose state is like this, skipping others.
    pub(crate) async fn event(&mut self, word: &str) -> Event {
        let wait = async {
            loop {
                let event = self.events.recv().await.unwrap();
                if event.state.word() == word {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("never {word}, but {:?}", self.state()))
    }

    /// Waits until the first forward is in this state.
    pub(crate) async fn until(&self, word: &str) -> State {
        until(word, || {
            let state = self.state();
            (state.word() == word).then_some(state)
        })
        .await
    }
}

/// The parts most tests start from.
pub(crate) async fn ground() -> (Sshd, Hub, Rig) {
    let hub = Hub::start(Manner::Answers("hub-1")).await;
    (Sshd::start("").unwrap(), hub, Rig::new())
}

/// Waits until there is something.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A tunnel of one forward through the server.
pub(crate) fn tunnel(sshd: &Sshd, forward: Forward) -> Tunnel {
    let mut tunnel = Tunnel::new("node").with_forward(forward);
    tunnel.ssh_config = Some(sshd.client_config());
    tunnel
}

/// From a free port of this machine to the hub, proven by its identity, asked often.
pub(crate) fn forward(hub: &Hub) -> Forward {
    let probe = Probe::http("/health", Expected::json("state.identity", "hub-1"));
    Forward::to(free_end(), hub.end()).with_probe(often(probe))
}

pub(crate) fn often(probe: Probe) -> Probe {
    probe.every(Duration::from_millis(200), Duration::from_millis(500))
}

pub(crate) fn free_end() -> Endpoint {
    Endpoint::tcp("127.0.0.1", testkit::free_port())
}

/// Connects, and lets the echo of the hub answer.
pub(crate) async fn echo(end: &Endpoint) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(end.to_string()).await?;
    stream.write_all(b"!").await?;
    say(&mut stream).await?;
    Ok(stream)
}

/// Sends some bytes, and waits for the same.
pub(crate) async fn say(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"hello").await?;
    let mut back = [0; 5];
    stream.read_exact(&mut back).await?;
    assert_eq!(&back, b"hello");
    Ok(())
}

/// The processes whose arguments name this directory.
pub(crate) fn processes_of(directory: &std::path::Path) -> Vec<u32> {
    let needle = directory.to_str().unwrap().as_bytes();
    let entries = fs_err::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let arguments = fs_err::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.windows(needle.len()).any(|window| window == needle)
    })
    .collect()
}

/// The `ssh` itself, without its guard.
pub(crate) fn ssh_of(directory: &std::path::Path) -> Vec<u32> {
    let is_ssh = |pid: &u32| {
        fs_err::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "ssh")
    };
    processes_of(directory).into_iter().filter(is_ssh).collect()
}

/// A file of this name in one of the directories below.
pub(crate) fn find(directory: &std::path::Path, name: &str) -> Option<PathBuf> {
    let entries = fs_err::read_dir(directory).ok()?.flatten();
    entries.map(|entry| entry.path().join(name)).find(|path| path.exists())
}
