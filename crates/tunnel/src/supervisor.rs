//! Several tunnels, kept by one process.

mod life;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use life::Life;
pub(crate) use life::{control_socket, control_socket_in};

use crate::network::Network;
use crate::spec::Tunnel;
use crate::state::{Event, TunnelStatus};
use crate::supervision::{Kept, Order, Ordered};
use crate::{Error, Result, wake};

/// A listener may be this many events behind.
const EVENTS: usize = 1024;

/// Keeps tunnels up until it is dropped, or the process ends, however that ends.
///
/// It must be made and used within a tokio runtime.
#[derive(Debug)]
pub struct Supervisor {
    tunnels: Arc<Tunnels>,
    events: broadcast::Sender<Event>,
    since: Timestamp,
    waking: JoinHandle<()>,
    /// Dropped last: it takes the directory of everything else with it.
    life: Life,
}

type Tunnels = Mutex<BTreeMap<String, Kept>>;

impl Supervisor {
    /// Takes a directory for its sockets, which no other supervisor may have: private, and best in
    /// `$XDG_RUNTIME_DIR`. What a dead supervisor left there is removed.
    pub fn open(runtime: impl Into<PathBuf>) -> Result<Self> {
        let life = Life::begin(&runtime.into())?;
        let tunnels = Arc::default();
        Ok(Self {
            waking: tokio::spawn(pass_on_waking(Arc::clone(&tunnels))),
            tunnels,
            events: broadcast::channel(EVENTS).0,
            since: Timestamp::now(),
            life,
        })
    }

    /// Begins to make a tunnel, and keeps it up from then on. One of the same name is replaced.
    pub async fn start(&self, name: &str, tunnel: Tunnel) -> Result<()> {
        tunnel.check(name)?;
        self.stop(name).await;
        let kept = Kept::start(name, tunnel, self.life.directory(), self.events.clone());
        lock(&self.tunnels).insert(name.to_owned(), kept);
        Ok(())
    }

    /// Ends a tunnel: its `ssh`, its ports and their connections. Tells whether there was one.
    pub async fn stop(&self, name: &str) -> bool {
        let kept = lock(&self.tunnels).remove(name);
        match kept {
            Some(kept) => {
                kept.stop().await;
                true
            }
            None => false,
        }
    }

    /// Begins a tunnel anew, also one that failed. Others are left alone.
    pub async fn restart(&self, name: &str) -> Result<()> {
        self.order(name, Order::Restart).await
    }

    /// Asks all probes of a tunnel now, and begins the next attempt now, as after a sleep of the
    /// machine.
    pub async fn wake(&self, name: &str) -> Result<()> {
        self.order(name, Order::Wake).await
    }

    async fn order(&self, name: &str, order: Order) -> Result<()> {
        let orders = self.of(name, Kept::orders)?;
        give(&orders, order).await;
        Ok(())
    }

    /// Returns the state of all tunnels, by name.
    #[must_use]
    pub fn status(&self) -> Vec<TunnelStatus> {
        lock(&self.tunnels).values().map(Kept::status).collect()
    }

    /// The changes from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Waits until every forward of a tunnel is up, one has failed, or the time is over, and tells
    /// how it is then.
    pub async fn settled(&self, name: &str, within: Duration) -> Result<TunnelStatus> {
        let mut changes = self.of(name, Kept::changes)?;
        let is_settled = |status: &TunnelStatus| status.is_up() || status.has_failed();
        let deadline = Instant::now() + within;
        let _ = tokio::time::timeout_at(deadline, changes.wait_for(is_settled)).await;
        self.of(name, Kept::status)
    }

    /// Ends all tunnels.
    pub async fn close(&self) {
        let tunnels = std::mem::take(&mut *lock(&self.tunnels));
        for kept in tunnels.into_values() {
            kept.stop().await;
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.life.directory()
    }

    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    fn of<T>(&self, name: &str, ask: impl FnOnce(&Kept) -> T) -> Result<T> {
        let unknown = || Error::Unknown { name: name.to_owned() };
        lock(&self.tunnels).get(name).map(ask).ok_or_else(unknown)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.waking.abort();
    }
}

fn lock(tunnels: &Tunnels) -> MutexGuard<'_, BTreeMap<String, Kept>> {
    tunnels.lock().expect("nothing panics while it holds this")
}

/// Tells every tunnel when the machine slept or its network changed.
async fn pass_on_waking(tunnels: Arc<Tunnels>) {
    // A kernel that does not tell is none to rely on; the probes notice, later.
    let network = Network::watch()
        .inspect_err(|error| tracing::warn!(%error, "changes of the network are not watched"))
        .ok();
    loop {
        tokio::select! {
            () = wake::woken() => tracing::info!("the machine slept, or its clock was set"),
            () = changed(network.as_ref()) => tracing::info!("the network changed"),
        }
        let orders: Vec<_> = lock(&tunnels).values().map(Kept::orders).collect();
        for orders in orders {
            give(&orders, Order::Wake).await;
        }
    }
}

async fn changed(network: Option<&Network>) {
    match network {
        Some(network) if network.changed().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

/// Gives an order, and waits until it was taken in. A tunnel that was stopped meanwhile needs none.
async fn give(orders: &mpsc::Sender<Ordered>, order: Order) {
    let (sender, taken_in) = oneshot::channel();
    if orders.send((order, sender)).await.is_ok() {
        let _ = taken_in.await;
    }
}
