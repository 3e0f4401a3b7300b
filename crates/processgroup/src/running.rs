//! A program that runs, with its group.

use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Error;
use crate::output::Outputs;

/// A program that was killed is gone within this time, unless the kernel holds it.
const DYING: Duration = Duration::from_secs(1);
/// The longest grace of a program whose future was dropped.
const DROPPED: Duration = Duration::from_millis(500);
/// Between two looks at a group that was asked to end.
const PAUSE: Duration = Duration::from_millis(10);

/// A program and its group. Dropped, the group is ended.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Nothing once the group is no longer ours to end.
    group: Option<Pid>,
    grace: Duration,
}

impl Running {
    pub(crate) fn start(command: &mut Command, grace: Duration) -> Result<Self, Error> {
        let child =
            command.process_group(0).spawn().map_err(|source| Error::NotStarted { source })?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, group, grace })
    }

    pub(crate) const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end of the program, and reads meanwhile. May be dropped and called again.
    pub(crate) async fn end(&mut self, outputs: &mut Outputs) -> Result<ExitStatus, Error> {
        let status = tokio::select! {
            read = outputs.read() => {
                read?;
                self.child.wait().await
            }
            status = self.child.wait() => status,
        };
        status.map_err(|source| Error::NotWatched { source })
    }

    /// Ends the group: asks it, and kills it when the grace is over.
    ///
    /// Whatever it prints meanwhile is read: one that waits for a reader could not end.
    pub(crate) async fn stop(&mut self, outputs: &mut Outputs) {
        let grace = self.grace;
        if grace > Duration::ZERO {
            self.signal(Signal::TERM);
            let gone = async {
                while !self.is_gone() {
                    tokio::time::sleep(PAUSE).await;
                }
            };
            let reading = async {
                // Too much output, or none any more, is no reason to wait for less.
                let _ = outputs.read().await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = gone => {}
                () = reading => {}
                () = tokio::time::sleep(grace) => {}
            }
        }
        self.kill();
        let _ = timeout(DYING, self.child.wait()).await;
        let _ = outputs.drain().await;
    }

    /// Leaves the group alone from now on.
    pub(crate) const fn release(&mut self) {
        self.group = None;
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.group = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may be gone already.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Returns true if no process of the group is left. One that ended stays in its group until it
    /// was waited for.
    fn is_gone(&mut self) -> bool {
        let has_ended = !matches!(self.child.try_wait(), Ok(None));
        has_ended && self.group.is_none_or(|group| test_kill_process_group(group).is_err())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.group.is_none() {
            return;
        }
        let (begun, grace) = (Instant::now(), self.grace.min(DROPPED));
        if grace > Duration::ZERO {
            self.signal(Signal::TERM);
        }
        while begun.elapsed() < grace && !self.is_gone() {
            thread::sleep(PAUSE);
        }
        self.kill();
    }
}
