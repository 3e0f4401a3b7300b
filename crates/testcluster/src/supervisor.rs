//! Keeps the daemons of a node running, as process 1 of its namespace: it also reaps what is
//! orphaned there.
//!
//! A file `hold/NAME` in the directory of the cluster ends a daemon and keeps it down for as long
//! as it is there. How each daemon is stands in `daemons/NAME`.

use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, WaitOptions};

use super::daemons::Daemon;
use super::layout::Layout;
use super::{node, process};

/// The search path of all daemons; nothing else of the environment reaches them, such as a proxy.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const TICK: Duration = Duration::from_millis(50);
/// A pause before a daemon that died at once is started again.
const PAUSE: Duration = Duration::from_millis(300);

/// The report of a supervisor on a daemon that a file holds down.
pub(super) const HELD: &str = "held";
pub(super) const RUNNING: &str = "running";
const WAITING: &str = "waiting";
const ENDED: &str = "ended";

#[derive(Debug)]
enum State {
    Waiting,
    Running { pid: Pid, plugged: bool },
    Held,
    Ended(Instant),
}

struct Supervised<'a> {
    layout: &'a Layout,
    daemon: Daemon,
    state: State,
}

/// Runs the daemons until the namespace ends.
pub(super) fn run(layout: &Layout, daemons: Vec<Daemon>) -> ! {
    let mut all: Vec<_> = daemons
        .into_iter()
        .map(|daemon| Supervised { layout, daemon, state: State::Waiting })
        .collect();
    loop {
        reap(&mut all);
        for supervised in &mut all {
            if let Err(error) = supervised.step() {
                eprintln!("{}: {error:#}", supervised.daemon.name);
            }
        }
        std::thread::sleep(TICK);
    }
}

fn reap(all: &mut [Supervised<'_>]) {
    while let Ok(Some((ended, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        let daemon = all
            .iter_mut()
            .find(|one| matches!(one.state, State::Running { pid, .. } if pid == ended));
        if let Some(daemon) = daemon {
            let status = ExitStatus::from_raw(status.as_raw());
            eprintln!("{} ended: {status}", daemon.daemon.name);
            daemon.enter(State::Ended(Instant::now()));
        }
    }
}

impl Supervised<'_> {
    fn step(&mut self) -> anyhow::Result<()> {
        let is_held = self.layout.hold(&self.daemon.name).exists();
        match self.state {
            State::Running { pid, .. } if is_held => self.kill(pid),
            State::Running { pid, plugged: false } => self.plug(pid)?,
            State::Waiting | State::Ended(_) if is_held => self.enter(State::Held),
            State::Held if !is_held => self.enter(State::Waiting),
            State::Waiting if self.may_start() => self.start()?,
            State::Ended(at) if at.elapsed() > PAUSE => self.start()?,
            _ => {}
        }
        Ok(())
    }

    fn may_start(&self) -> bool {
        // An attempt whose first packet is lost would wait for seconds; the next one does not.
        let limit = Duration::from_millis(250);
        self.daemon.after.is_none_or(|address| TcpStream::connect_timeout(&address, limit).is_ok())
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let log = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.layout.log(&self.daemon.name))?
            .into_file();
        let child = Command::new(&self.daemon.program)
            .args(&self.daemon.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("could not start {}", self.daemon.program.display()));
        match child {
            Ok(child) => {
                let pid = Pid::from_child(&child);
                let plugged = self.daemon.node.is_none();
                self.enter(State::Running { pid, plugged });
                Ok(())
            }
            Err(error) => {
                self.enter(State::Ended(Instant::now()));
                Err(error)
            }
        }
    }

    fn plug(&mut self, pid: Pid) -> anyhow::Result<()> {
        if let Some(first) = self.first_of_node() {
            node::plug(first.node, first.pid)?;
            self.enter(State::Running { pid, plugged: true });
        }
        Ok(())
    }

    /// A node loses its power: the `unshare` that waits for it ends when everything in it has.
    fn kill(&self, pid: Pid) {
        if self.daemon.node.is_none() {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        } else if let Some(first) = self.first_of_node() {
            first.kill();
        }
    }

    fn first_of_node(&self) -> Option<process::Process> {
        let node = self.daemon.node?;
        process::all().into_iter().find(|process| process.is_first && process.node == node)
    }

    fn enter(&mut self, state: State) {
        let text = match &state {
            State::Waiting => WAITING.to_owned(),
            State::Running { pid, .. } => format!("{RUNNING} {}", pid.as_raw_nonzero()),
            State::Held => HELD.to_owned(),
            State::Ended(_) => ENDED.to_owned(),
        };
        self.state = state;
        let file = self.layout.daemon(&self.daemon.name);
        let new = file.with_extension("new");
        let written =
            fs_err::write(&new, format!("{text}\n")).and_then(|()| fs_err::rename(&new, &file));
        if let Err(error) = written {
            eprintln!("{error}");
        }
    }
}
