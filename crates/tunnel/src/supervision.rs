//! One tunnel, kept: the actions of its machine are carried out, and what comes of them is told to
//! it.

mod approach;
mod runner;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::front::{Bound, Counters, Front, Upstream};
use crate::machine::{Action, Event as Happened, Generation, Machine, Moment};
use crate::spec::{Forward, Tunnel, Way};
use crate::ssh::{Link, Reason, RemoteSession};
use crate::state::{Event, ForwardStatus, State, TunnelStatus, milliseconds};
use crate::wake;
use runner::{RemoteSessions, Runner};

/// An order to a kept tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Restart,
    Wake,
}

/// An order, and whom to tell that it was taken in.
pub(crate) type Ordered = (Order, oneshot::Sender<()>);

/// A tunnel that is kept by a task of its own. Dropped, everything of it ends.
#[derive(Debug)]
pub(crate) struct Kept {
    orders: mpsc::Sender<Ordered>,
    status: watch::Receiver<TunnelStatus>,
    counters: Vec<Arc<Counters>>,
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl Kept {
    /// Begins to make the tunnel. Its directories are made below `runtime`.
    pub(crate) fn start(
        name: &str,
        tunnel: Tunnel,
        runtime: &Path,
        events: broadcast::Sender<Event>,
    ) -> Self {
        let (orders, ordered) = mpsc::channel(8);
        let (happened, happenings) = mpsc::channel(256);
        let supervision = Supervision::new(name, tunnel, runtime, happened, events);
        let status = supervision.status.subscribe();
        let counters = supervision.counters.clone();
        let stopping = CancellationToken::new();
        let task = tokio::spawn(supervision.keep(happenings, ordered, stopping.clone()));
        Self { orders, status, counters, stopping, task }
    }

    /// The status now, with counts as they are now.
    pub(crate) fn status(&self) -> TunnelStatus {
        let mut status = self.status.borrow().clone();
        for (forward, counters) in status.forwards.iter_mut().zip(&self.counters) {
            let traffic = counters.read();
            forward.connections = traffic.connections;
            forward.sent = traffic.sent;
            forward.received = traffic.received;
            forward.last_byte = traffic.last_byte;
        }
        status
    }

    /// The status as it changes; counts in it are old.
    pub(crate) fn changes(&self) -> watch::Receiver<TunnelStatus> {
        self.status.clone()
    }

    pub(crate) fn orders(&self) -> mpsc::Sender<Ordered> {
        self.orders.clone()
    }

    /// Ends everything of it, and waits for that.
    pub(crate) async fn stop(mut self) {
        self.stopping.cancel();
        // A panic of it was reported when it happened.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Supervision {
    name: String,
    tunnel: Tunnel,
    runtime: PathBuf,
    machine: Machine,
    fronts: Vec<Front>,
    counters: Vec<Arc<Counters>>,
    runners: BTreeMap<Generation, Runner>,
    sessions: RemoteSessions,
    approach: Option<AbortOnDrop>,
    /// An order under way.
    restarting: Option<AbortOnDrop>,
    happened: mpsc::Sender<Happened>,
    status: watch::Sender<TunnelStatus>,
    events: broadcast::Sender<Event>,
    watchers: Vec<AbortOnDrop>,
}

/// A task that does not outlive its owner.
#[derive(Debug)]
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Supervision {
    fn new(
        name: &str,
        tunnel: Tunnel,
        runtime: &Path,
        happened: mpsc::Sender<Happened>,
        events: broadcast::Sender<Event>,
    ) -> Self {
        let forwards = tunnel.forwards.iter().map(first_status).collect();
        let (status, _) = watch::channel(TunnelStatus {
            name: name.to_owned(),
            destination: tunnel.destination.clone(),
            starts: 0,
            reconnects: 0,
            forwards,
        });
        Self {
            name: name.to_owned(),
            machine: Machine::new(tunnel.clone()),
            counters: tunnel.forwards.iter().map(|_| Arc::default()).collect(),
            tunnel,
            runtime: runtime.to_owned(),
            fronts: Vec::new(),
            runners: BTreeMap::new(),
            sessions: RemoteSessions::default(),
            approach: None,
            restarting: None,
            happened,
            status,
            events,
            watchers: Vec::new(),
        }
    }

    async fn keep(
        mut self,
        mut happenings: mpsc::Receiver<Happened>,
        mut orders: mpsc::Receiver<Ordered>,
        stopping: CancellationToken,
    ) {
        self.open_fronts();
        self.take_in(Happened::Begin);
        loop {
            tokio::select! {
                event = happenings.recv() => self.take_in(event.expect("this holds a sender itself")),
                order = orders.recv() => match order {
                    Some((order, taken_in)) => {
                        match order {
                            Order::Restart => self.restart(),
                            Order::Wake => self.take_in(Happened::Woken),
                        }
                        // Whoever ordered may not have waited.
                        let _ = taken_in.send(());
                    }
                    None => return,
                },
                () = stopping.cancelled() => return self.end().await,
            }
        }
    }

    /// Ends everything, and waits until it has ended.
    async fn end(self) {
        for front in self.fronts {
            front.end().await;
        }
        for runner in self.runners.into_values() {
            runner.end().await;
        }
    }

    /// Begins anew. Where a session of ours that fell silent still has the port on the destination,
    /// that is ended first: only now, because a human said so.
    fn restart(&mut self) {
        self.restarting = None;
        let stale = self.silent_sessions();
        if !self.machine.is_taken_remotely() || stale.is_empty() {
            return self.take_in(Happened::Begin);
        }
        let (home, tunnel) = (self.directory("r"), self.tunnel.clone());
        let happened = self.happened.clone();
        self.restarting = Some(AbortOnDrop(tokio::spawn(async move {
            let _ = fs_err::remove_dir_all(&home);
            if Link::prepare(&home, &tunnel).is_ok() {
                for session in stale {
                    session.kill(&Link::configuration(&home), &tunnel.destination).await;
                }
            }
            let _ = fs_err::remove_dir_all(&home);
            let _ = happened.send(Happened::Begin).await;
        })));
    }

    /// The ends on this machine: of forwards to the destination only, since `sshd` has the others.
    fn open_fronts(&mut self) {
        for (index, forward) in self.tunnel.forwards.iter().enumerate() {
            let local = match &forward.way {
                Way::To(_) | Way::Service(_) => Some(forward.local.clone()),
                Way::From(_) => None,
            };
            let front = Front::start(local, forward.hold);
            let (mut bound, happened) = (front.bound(), self.happened.clone());
            self.watchers.push(AbortOnDrop(tokio::spawn(async move {
                loop {
                    let now: Bound = bound.borrow_and_update().clone();
                    if happened.send(Happened::Bound(index, now)).await.is_err()
                        || bound.changed().await.is_err()
                    {
                        return;
                    }
                }
            })));
            self.fronts.push(front);
        }
    }

    fn take_in(&mut self, event: Happened) {
        if let Happened::Gone(generation, _) = &event {
            self.runners.remove(generation);
        }
        if event == Happened::Woken && wake::is_wsl() {
            self.fronts.iter().for_each(Front::rebind);
        }
        tracing::trace!(tunnel = self.name, ?event);
        let now = Moment { instant: Instant::now(), timestamp: Timestamp::now() };
        for action in self.machine.on(event, now) {
            tracing::debug!(tunnel = self.name, ?action);
            self.act(action);
        }
        self.publish();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Approach(pause) => {
                let task = approach::run(
                    self.runtime.clone(),
                    self.tunnel.clone(),
                    pause,
                    self.happened.clone(),
                );
                self.approach = None;
                self.approach = Some(AbortOnDrop(tokio::spawn(task)));
            }
            Action::StopApproach => self.approach = None,
            Action::Start(generation) => self.start(generation),
            Action::Check(generation) => self.with(generation, Runner::check),
            Action::ProbeNow(generation) => self.with(generation, Runner::probe_now),
            Action::Drain(generation) => self.with(generation, Runner::drain),
            Action::Cut(generation) => drop(self.runners.remove(&generation)),
            Action::Serve(forward, generation) => {
                let upstream = generation.and_then(|generation| self.upstream(generation, forward));
                self.fronts[forward].serve(upstream);
            }
            Action::SetOpen(forward, is_open) => self.fronts[forward].set_open(is_open),
        }
    }

    fn with(&mut self, generation: Generation, act: impl FnOnce(&mut Runner)) {
        if let Some(runner) = self.runners.get_mut(&generation) {
            act(runner);
        }
    }

    fn upstream(&self, generation: Generation, forward: usize) -> Option<Upstream> {
        let counters = Arc::clone(&self.counters[forward]);
        Some(self.runners.get(&generation)?.upstream(forward, counters))
    }

    fn start(&mut self, generation: Generation) {
        self.approach = None;
        let directory = self.directory(&generation.to_string());
        let sessions = Arc::clone(&self.sessions);
        let happened = self.happened.clone();
        match Runner::start(generation, directory, &self.tunnel, happened, sessions) {
            Ok(runner) => drop(self.runners.insert(generation, runner)),
            Err(error) => {
                let gone = Happened::Gone(generation, Reason::no_program(&error));
                // The queue is this task's own, and never full of its own doing.
                let _ = self.happened.try_send(gone);
            }
        }
    }

    /// Sessions that no `ssh` of ours uses any more.
    fn silent_sessions(&self) -> Vec<RemoteSession> {
        let sessions = self.sessions.lock().expect("nothing panics while it holds this");
        let silent =
            sessions.iter().filter(|(generation, _)| !self.runners.contains_key(generation));
        silent.map(|(_, session)| session.clone()).collect()
    }

    /// Short, since the address of a unix socket holds 108 bytes and `ssh` adds 17 for a moment.
    fn directory(&self, what: &str) -> PathBuf {
        self.runtime.join(format!("{}-{what}", short(&self.name)))
    }

    /// Tells the new status, and an event for each forward whose state is another.
    fn publish(&mut self) {
        let mut status = self.status.borrow().clone();
        (status.starts, status.reconnects) = (self.machine.starts(), self.machine.reconnects());
        let now = Timestamp::now();
        for (index, forward) in status.forwards.iter_mut().enumerate() {
            let state = self.machine.state(index);
            if !state.is_like(&forward.state) {
                let event = Event {
                    at: now,
                    tunnel: self.name.clone(),
                    local: forward.local.clone(),
                    from: Some(forward.state.word().to_owned()),
                    state: state.clone(),
                };
                // Nobody may be listening.
                let _ = self.events.send(event);
                forward.since = now;
            }
            forward.state = state;
            if let Some(answer) = self.machine.answer(index)
                && forward.state == State::Up
            {
                forward.proven = Some(answer.at);
                forward.round_trip_ms = Some(milliseconds(answer.round_trip));
                forward.identity.clone_from(&answer.identity);
            }
        }
        self.status.send_replace(status);
    }
}

fn first_status(forward: &Forward) -> ForwardStatus {
    let way = match &forward.way {
        Way::To(_) | Way::Service(_) => format!("-> {}", forward.way),
        Way::From(_) => format!("<- {}", forward.way),
    };
    ForwardStatus {
        local: forward.local.to_string(),
        way,
        state: State::Stopped,
        since: Timestamp::now(),
        probe: forward.probe.to_string(),
        proven: None,
        round_trip_ms: None,
        identity: None,
        connections: 0,
        sent: 0,
        received: 0,
        last_byte: None,
    }
}

/// A name of its own for each tunnel, 8 characters long.
fn short(name: &str) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    format!("{:08x}", hasher.finish() >> 32)
}

/// A draining `ssh` is checked at this interval.
const DRAIN_POLL: Duration = Duration::from_millis(500);
