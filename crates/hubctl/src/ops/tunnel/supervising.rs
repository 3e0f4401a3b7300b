//! The supervisor itself.

use std::sync::Arc;

use ::tunnel::{Event, Supervisor};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::log::Log;
use super::paths::SupervisorPaths;
use super::{TunnelEvent, chosen};
use crate::ops::Ops;

/// Keeps tunnels in this process until `stop` ends or another process stops them: these, or all
/// without a name.
///
/// Each change is kept in the log of the configuration, and reported to `changed`. The limit on
/// open files of the process is raised as far as it may be.
///
/// # Errors
/// A name without a tunnel; a supervisor that runs already; a socket that cannot be made.
pub async fn supervise_tunnels(
    ops: &Ops,
    names: &[String],
    stop: impl Future<Output = ()>,
    changed: impl FnMut(&TunnelEvent) + Send + 'static,
) -> anyhow::Result<()> {
    let paths = SupervisorPaths::of(ops.settings())?;
    let tunnels = chosen(ops.settings(), names)?;
    let supervisor = Arc::new(Supervisor::open(&paths.runtime)?);
    allow_many_connections();
    let log = Log::open(&paths.log)
        .inspect_err(|error| ops.warn(format_args!("changes are not kept: {error:#}")))
        .ok();
    let telling = tokio::spawn(tell(ops.clone(), log, supervisor.events(), changed));
    for (name, tunnel) in tunnels {
        supervisor.start(&name, tunnel).await?;
    }
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        ops.warn(format_args!("systemd was not told: {error}"));
    }
    tokio::select! {
        served = supervisor.serve() => served?,
        () = stop => supervisor.close().await,
    }
    telling.abort();
    Ok(())
}

/// Raises the limit on open files to the hard one. A connection takes six, and the usual limit is
/// 1024.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: maximum, maximum };
    // The limit that there is serves a hundred and more.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Reports each change, and keeps it.
async fn tell(
    ops: Ops,
    mut log: Option<Log>,
    mut events: broadcast::Receiver<Event>,
    mut changed: impl FnMut(&TunnelEvent),
) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Some(Err(error)) = log.as_mut().map(|log| log.write(&event)) {
                    ops.warn(format_args!("the change was not kept: {error}"));
                }
                changed(&TunnelEvent(event));
            }
            Err(RecvError::Lagged(missed)) => {
                ops.warn(format_args!("{missed} changes were not told"));
            }
            Err(RecvError::Closed) => return,
        }
    }
}
