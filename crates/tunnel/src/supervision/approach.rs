//! Waiting for the server: knocking costs a packet or two, where an `ssh` costs a process and a key
//! exchange.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::machine::Event;
use crate::spec::Tunnel;
use crate::ssh::{Destination, Link, greets};

/// A server greets within this time.
const GREETING: Duration = Duration::from_secs(1);

/// From one knock to the next, in the first minutes and after them.
const PAUSE: Duration = Duration::from_millis(250);
const LONG_PAUSE: Duration = Duration::from_secs(1);
const FIRST_MINUTES: Duration = Duration::from_secs(180);

/// After this many attempts, the address of the server is looked up again.
const KNOCKS: u32 = 20;

/// Tells when the server greets, and until then why not.
pub(super) async fn run(
    runtime: PathBuf,
    tunnel: Tunnel,
    pause: Duration,
    happened: mpsc::Sender<Event>,
) {
    tokio::time::sleep(jittered(pause)).await;
    let begin = Instant::now();
    loop {
        // The configuration is read again from time to time: it may be why the server is not reached.
        let destination = resolve(&runtime, &tunnel).await;
        let destination = Arc::new(destination);
        // A knock whose packet got lost waits a second for the next one, so that others do not wait for it. Where the server takes
        // connections and does not greet, one waits at a time: many that say nothing are what servers defend themselves against.
        let mut knocks = JoinSet::new();
        let greeting = Arc::new(AtomicUsize::new(0));
        for _ in 0..KNOCKS {
            if greeting.load(Ordering::Relaxed) == 0 {
                let (destination, greeting) = (Arc::clone(&destination), Arc::clone(&greeting));
                knocks.spawn(async move { knock(&destination, &greeting).await });
            }
            let is_new = begin.elapsed() < FIRST_MINUTES;
            let pause = jittered(if is_new { PAUSE } else { LONG_PAUSE });
            if answered(&mut knocks, pause, &happened).await {
                // The receiver ends with the tunnel, and this task with it.
                let _ = happened.send(Event::Reachable).await;
                return;
            }
        }
    }
}

/// Waits for an answer until the next attempt is due.
async fn answered(
    knocks: &mut JoinSet<Result<(), String>>,
    pause: Duration,
    happened: &mpsc::Sender<Event>,
) -> bool {
    let next = tokio::time::sleep(pause);
    tokio::pin!(next);
    loop {
        let knocked = tokio::select! {
            Some(knocked) = knocks.join_next() => knocked,
            () = &mut next => return false,
        };
        match knocked {
            Ok(Ok(())) => return true,
            Ok(Err(reason)) => drop(happened.send(Event::Unreachable(reason)).await),
            // A panic of it was reported when it happened.
            Err(_) => {}
        }
    }
}

/// Only `ssh` itself reaches what lies behind others, and it tells best what is wrong with its
/// configuration.
async fn knock(
    destination: &std::io::Result<Destination>,
    greeting: &AtomicUsize,
) -> Result<(), String> {
    match destination {
        Ok(Destination::Direct { host, port }) => {
            let is_connected = AtomicBool::new(false);
            let connected = || {
                is_connected.store(true, Ordering::Relaxed);
                greeting.fetch_add(1, Ordering::Relaxed);
            };
            let greeted = greets(host, *port, GREETING, connected).await;
            if is_connected.load(Ordering::Relaxed) {
                greeting.fetch_sub(1, Ordering::Relaxed);
            }
            greeted.map_err(|error| format!("{host} port {port}: {error}"))
        }
        Ok(Destination::Behind) | Err(_) => Ok(()),
    }
}

async fn resolve(runtime: &Path, tunnel: &Tunnel) -> std::io::Result<Destination> {
    let directory = tempfile::tempdir_in(runtime)?;
    let home = directory.path().join("ssh");
    Link::prepare(&home, tunnel)?;
    Destination::resolve(&Link::configuration(&home), &tunnel.destination)
        .await
        .map_err(|reason| std::io::Error::other(reason.to_string()))
}

/// A fifth less or more, so that many tunnels do not knock in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.8 + 0.4 * fastrand::f64())
}
