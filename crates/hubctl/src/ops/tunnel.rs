//! Keep SSH forwards up, and ask whether they are.

mod import;
mod log;
mod paths;
mod starting;
mod supervising;
mod trust;
mod unit;

use std::collections::BTreeMap;

use ::tunnel::{Change, Client, Event, Overview, Tunnel, TunnelStatus};
use jiff::Timestamp;
use serde::Serialize;

pub use self::import::{ImportedTunnels, import_tunnels};
pub use self::log::tunnel_log;
pub(crate) use self::paths::SupervisorPaths;
pub use self::starting::{StartTunnelsOrder, restart_tunnels, start_tunnels};
pub use self::supervising::supervise_tunnels;
pub use self::trust::{TrustPlan, TrustReport, plan_trust, trust_host};
pub use self::unit::{TunnelUnitReport, install_tunnels, uninstall_tunnels};
use super::{Ops, Report};
use crate::failure::Refusal;
use crate::human;
use crate::settings::Settings;

/// The tunnels of an order, as the supervisor knows them.
#[derive(Debug, Clone, Serialize)]
pub struct TunnelReport {
    /// True if a supervisor runs.
    pub running: bool,
    /// The supervisor's process.
    pub pid: Option<u32>,
    /// The supervisor's start.
    pub since: Option<Timestamp>,
    /// The tunnels that it keeps.
    pub tunnels: Vec<TunnelStatus>,
    /// Tunnels of the order that it does not keep.
    #[serde(skip)]
    pub stopped: Vec<String>,
}

/// A change of a forward, as it happened.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct TunnelEvent(pub Event);

impl Report for TunnelReport {
    const SCHEMA: &'static str = "hubctl.tunnel-status.v1";
}

impl Report for TunnelEvent {
    const SCHEMA: &'static str = "hubctl.tunnel-event.v1";
}

impl TunnelReport {
    fn of(overview: Overview, names: &[String], wanted: &BTreeMap<String, Tunnel>) -> Self {
        let mut tunnels = overview.tunnels;
        let is_kept = |name: &&String| tunnels.iter().any(|tunnel| tunnel.name == **name);
        let stopped = wanted.keys().filter(|name| !is_kept(name)).cloned().collect();
        tunnels.retain(|tunnel| includes(names, &tunnel.name));
        Self {
            running: true,
            pid: Some(overview.pid),
            since: Some(overview.since),
            tunnels,
            stopped,
        }
    }

    /// Returns true if every tunnel of the order is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        let is_known = !self.tunnels.is_empty() && self.stopped.is_empty();
        is_known && self.tunnels.iter().all(TunnelStatus::is_up)
    }
}

impl std::fmt::Display for TunnelEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Event { at, tunnel, local, state, .. } = &self.0;
        write!(f, "{at:.3} {tunnel} {local} {}", state.word())?;
        state.reason().into_iter().try_for_each(|reason| write!(f, ": {reason}"))
    }
}

/// Asks what is known of tunnels: of these, or of all without a name.
///
/// # Errors
/// A name without a tunnel; a supervisor that does not answer. That none runs is an answer.
pub async fn tunnel_status(ops: &Ops, names: &[String]) -> anyhow::Result<TunnelReport> {
    match check_tunnels(ops, names).await {
        Err(error) if is_not_running(&error) => Ok(TunnelReport {
            running: false,
            pid: None,
            since: None,
            tunnels: Vec::new(),
            stopped: chosen(ops.settings(), names)?.into_keys().collect(),
        }),
        other => other,
    }
}

/// Asks the supervisor whether tunnels are up: these, or all without a name.
///
/// # Errors
/// Those of [`tunnel_status`]; no supervisor, which is no answer here.
pub async fn check_tunnels(ops: &Ops, names: &[String]) -> anyhow::Result<TunnelReport> {
    let paths = SupervisorPaths::of(ops.settings())?;
    let wanted = chosen(ops.settings(), names)?;
    let overview = Client::connect(&paths.runtime).await?.status().await?;
    Ok(TunnelReport::of(overview, names, &wanted))
}

/// Reports the states of tunnels, then each change, until the supervisor ends.
///
/// # Errors
/// No supervisor, or one that does not answer; those of `changed`.
pub async fn watch_tunnels(
    ops: &Ops,
    names: &[String],
    mut changed: impl FnMut(&TunnelEvent) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let paths = SupervisorPaths::of(ops.settings())?;
    let (known, mut watch) = Client::connect(&paths.runtime).await?.watch().await?;
    // The states that they have now, as the changes that led there.
    let states = |known: &Overview| -> Vec<TunnelEvent> {
        let tunnels = known.tunnels.iter().filter(|tunnel| includes(names, &tunnel.name));
        tunnels.flat_map(TunnelStatus::as_events).map(TunnelEvent).collect()
    };
    states(&known).iter().try_for_each(&mut changed)?;
    while let Some(change) = watch.next().await? {
        match change {
            Change::Event(event) if includes(names, &event.tunnel) => {
                changed(&TunnelEvent(event))?;
            }
            Change::Missed(known) => states(&known).iter().try_for_each(&mut changed)?,
            _ => {}
        }
    }
    ops.say("the supervisor ended");
    Ok(())
}

/// Stops tunnels, and returns their names; the supervisor ends with the last one.
///
/// # Errors
/// A name without a tunnel; a supervisor that does not answer.
pub async fn stop_tunnels(ops: &Ops, names: &[String]) -> anyhow::Result<Vec<String>> {
    let paths = SupervisorPaths::of(ops.settings())?;
    chosen(ops.settings(), names)?;
    let mut client = match Client::connect(&paths.runtime).await {
        Ok(client) => client,
        Err(::tunnel::Error::NotRunning { .. }) => {
            ops.say("no supervisor is running");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    let running = client.status().await?.tunnels.into_iter().map(|tunnel| tunnel.name);
    let stopped: Vec<String> = running.filter(|name| includes(names, name)).collect();
    if !stopped.is_empty() {
        client.stop(stopped.clone()).await?;
    }
    for name in &stopped {
        ops.say(format_args!("{name} is stopped"));
    }
    Ok(stopped)
}

fn is_not_running(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(::tunnel::Error::NotRunning { .. }))
}

/// Returns true if an order for these names includes this one; without names it includes all.
fn includes(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|known| known == name)
}

/// The tunnels of the settings with these names; without names, all.
fn chosen(settings: &Settings, names: &[String]) -> anyhow::Result<BTreeMap<String, Tunnel>> {
    if settings.tunnels.is_empty() {
        return Err(Refusal::usage("no tunnel is configured")
            .hint("add [tunnels.NAME] to the configuration; hubctl.toml(5) lists its keys")
            .into());
    }
    if let Some(unknown) = names.iter().find(|name| !settings.tunnels.contains_key(*name)) {
        let known: Vec<&str> = settings.tunnels.keys().map(String::as_str).collect();
        return Err(Refusal::usage(format!("no tunnel `{unknown}` is configured"))
            .hint(format!("the configured tunnels are {}", human::quoted(known)))
            .into());
    }
    let chosen = settings.tunnels.iter().filter(|(name, _)| includes(names, name));
    Ok(chosen.map(|(name, tunnel)| (name.clone(), tunnel.value.clone())).collect())
}
