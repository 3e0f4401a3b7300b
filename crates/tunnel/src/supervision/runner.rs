//! One `ssh` and its probes, run by tasks that tell what happens.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, SetOnce, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::DRAIN_POLL;
use crate::front::{Counters, Upstream};
use crate::machine::{Event, Generation};
use crate::probe::{self, Answer, Fault, Probe};
use crate::service::Aim;
use crate::spec::{Forward, Tunnel, Way};
use crate::ssh::{Link, Reason, RemoteSession, Report};

/// A live session answers within this time.
const CHECK: std::time::Duration = std::time::Duration::from_secs(2);

/// The number of remembered sessions.
const SESSIONS: usize = 8;

/// The processes on the destination that listened for sessions of a tunnel.
pub(super) type RemoteSessions = Arc<Mutex<BTreeMap<Generation, RemoteSession>>>;

/// A running `ssh`. Dropped, it ends, and so do the connections through it.
#[derive(Debug)]
pub(super) struct Runner {
    generation: Generation,
    sockets: Vec<PathBuf>,
    control: PathBuf,
    happened: mpsc::Sender<Event>,
    wake: Arc<Notify>,
    connections: TaskTracker,
    cut: CancellationToken,
    tasks: JoinSet<()>,
}

impl Runner {
    pub(super) fn start(
        generation: Generation,
        directory: PathBuf,
        tunnel: &Tunnel,
        happened: mpsc::Sender<Event>,
        sessions: RemoteSessions,
    ) -> io::Result<Self> {
        let _ = fs_err::remove_dir_all(&directory);
        Link::prepare(&directory, tunnel)?;
        let link = Link::start(directory, tunnel)?;
        let mut runner = Self {
            generation,
            sockets: (0..tunnel.forwards.len()).map(|index| link.socket(index)).collect(),
            control: link.control(),
            happened,
            wake: Arc::default(),
            connections: TaskTracker::new(),
            cut: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        let ready = Arc::new(SetOnce::new());
        let listening = listen(generation, link, runner.happened.clone(), Arc::clone(&ready));
        runner.tasks.spawn(listening);
        let is_remote = |forward: &Forward| matches!(forward.way, Way::From(_));
        if tunnel.forwards.iter().any(is_remote) {
            let ready = Arc::clone(&ready);
            let learning = learn(generation, runner.control.clone(), ready, sessions);
            runner.tasks.spawn(learning);
        }
        for (index, forward) in tunnel.forwards.iter().enumerate() {
            let asking = Asking {
                generation,
                index,
                probe: forward.probe.clone(),
                aim: aim(tunnel, forward),
                socket: runner.sockets[index].clone(),
                control: runner.control.clone(),
                happened: runner.happened.clone(),
                ready: Arc::clone(&ready),
                wake: Arc::clone(&runner.wake),
            };
            runner.tasks.spawn(asking.ask());
        }
        Ok(runner)
    }

    pub(super) fn upstream(&self, forward: usize, counters: Arc<Counters>) -> Upstream {
        Upstream {
            socket: self.sockets[forward].clone(),
            cut: self.cut.clone(),
            connections: self.connections.clone(),
            counters,
        }
    }

    /// Ends it, and waits until its `ssh` was killed.
    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
    }

    pub(super) fn check(&mut self) {
        let (control, happened) = (self.control.clone(), self.happened.clone());
        let generation = self.generation;
        self.tasks.spawn(async move {
            let is_alive = probe::is_alive(&control, CHECK).await;
            let _ = happened.send(Event::Alive(generation, is_alive)).await;
        });
    }

    pub(super) fn probe_now(&mut self) {
        self.wake.notify_waiters();
    }

    /// Tells that it is gone once no connection is open.
    pub(super) fn drain(&mut self) {
        let (connections, happened) = (self.connections.clone(), self.happened.clone());
        let generation = self.generation;
        self.tasks.spawn(async move {
            while !connections.is_empty() {
                tokio::time::sleep(DRAIN_POLL).await;
            }
            let reason = Reason::transient("replaced");
            let _ = happened.send(Event::Gone(generation, reason)).await;
        });
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

/// Set when an `ssh` is connected and listens.
type Ready = Arc<SetOnce<()>>;

/// Tells when an `ssh` is ready, what it says, and its end.
async fn listen(
    generation: Generation,
    mut link: Link,
    happened: mpsc::Sender<Event>,
    ready: Ready,
) {
    loop {
        let report = link.next().await;
        let (is_ready, is_gone) =
            (matches!(report, Report::Ready), matches!(report, Report::Gone(_)));
        let event = match report {
            Report::Ready => Event::Ready(generation),
            Report::Said(line) => Event::Said(generation, line),
            Report::Gone(reason) => Event::Gone(generation, reason),
        };
        if happened.send(event).await.is_err() || is_gone {
            return;
        }
        if is_ready {
            ready.set(()).expect("a link is ready once");
        }
    }
}

/// Learns who listens for it, while it can still be asked.
async fn learn(generation: Generation, control: PathBuf, ready: Ready, sessions: RemoteSessions) {
    ready.wait().await;
    if let Some(session) = RemoteSession::of(&control).await {
        let mut sessions = sessions.lock().expect("nothing panics while it holds this");
        sessions.insert(generation, session);
        // One that is older has been noticed by its server.
        while sessions.len() > SESSIONS {
            sessions.pop_first();
        }
    }
}

/// Returns the target to find first, for a forward to a service.
fn aim(tunnel: &Tunnel, forward: &Forward) -> Option<Aim> {
    let Way::Service(service) = &forward.way else {
        return None;
    };
    Some(Aim { service: service.clone(), dns: tunnel.cluster_dns.clone(), address: None })
}

/// The probe of one forward over one `ssh`.
struct Asking {
    generation: Generation,
    index: usize,
    probe: Probe,
    aim: Option<Aim>,
    socket: PathBuf,
    control: PathBuf,
    happened: mpsc::Sender<Event>,
    ready: Ready,
    wake: Arc<Notify>,
}

impl Asking {
    async fn ask(mut self) {
        self.ready.wait().await;
        let mut is_well = false;
        loop {
            let begin = Instant::now();
            let verdict = self.verdict(is_well).await;
            is_well = verdict.is_ok();
            let probed = Event::Probed(self.generation, self.index, verdict);
            if self.happened.send(probed).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(begin + self.probe.interval) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// A service that does not answer may be somewhere else by now.
    async fn verdict(&mut self, was_well: bool) -> Result<Answer, Fault> {
        if let Some(aim) = &mut self.aim
            && !was_well
        {
            let taken = aim.take(&self.socket, &self.control);
            let timeout = self.probe.timeout;
            tokio::time::timeout(timeout, taken)
                .await
                .map_err(|_| Fault::Silent(timeout))?
                .map_err(Fault::Unresolved)?;
        }
        self.probe.ask(&self.socket, &self.control).await
    }
}
