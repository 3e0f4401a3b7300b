//! Start tunnels in the background, or begin them anew.

use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ::tunnel::Client;
use tokio::process::Command;
use tokio::time::Instant;

use super::paths::SupervisorPaths;
use super::{TunnelReport, chosen};
use crate::failure::Refusal;
use crate::ops::Ops;

/// The time that a supervisor has for its first answer.
const BEGINNING: Duration = Duration::from_secs(10);

/// The time that tunnels have to be up again after a restart.
const AGAIN: Duration = Duration::from_secs(30);

/// Which tunnels to start, and how long to wait for them.
#[derive(Debug, Clone)]
pub struct StartTunnelsOrder {
    /// Tunnels of the settings; without one, all.
    pub names: Vec<String>,
    /// The time that they have to be up.
    pub wait: Duration,
    /// The program `hubctl`, which becomes the supervisor if none runs.
    pub program: PathBuf,
}

/// Starts tunnels in the background, and waits until they are up. Those that run are left alone.
///
/// A tunnel that is not up in time is tried again nevertheless, until it is stopped.
///
/// # Errors
/// A name without a tunnel; a supervisor that cannot be started or does not answer.
pub async fn start_tunnels(ops: &Ops, order: StartTunnelsOrder) -> anyhow::Result<TunnelReport> {
    let paths = SupervisorPaths::of(ops.settings())?;
    let wanted = chosen(ops.settings(), &order.names)?;
    let names: Vec<String> = wanted.keys().cloned().collect();
    let mut client = match Client::connect(&paths.runtime).await {
        Ok(mut client) => {
            let running = client.status().await?.tunnels;
            let mut new = wanted.clone();
            new.retain(|name, _| running.iter().all(|tunnel| tunnel.name != *name));
            if !new.is_empty() {
                client.start(new).await?;
            }
            client
        }
        Err(::tunnel::Error::NotRunning { .. }) => begin(&order.program, &paths, &names).await?,
        Err(error) => return Err(error.into()),
    };
    let overview = client.settle(names, order.wait).await?;
    Ok(TunnelReport::of(overview, &order.names, &wanted))
}

/// Begins tunnels anew, as they are configured now, and waits until they are up.
///
/// # Errors
/// A name without a tunnel; no supervisor, or one that does not answer.
pub async fn restart_tunnels(ops: &Ops, names: &[String]) -> anyhow::Result<TunnelReport> {
    let paths = SupervisorPaths::of(ops.settings())?;
    let wanted = chosen(ops.settings(), names)?;
    let mut client = Client::connect(&paths.runtime).await?;
    client.start(wanted.clone()).await?;
    let overview = client.settle(wanted.keys().cloned().collect(), AGAIN).await?;
    Ok(TunnelReport::of(overview, names, &wanted))
}

/// Starts the supervisor as a process of its own, which stays when this one ends.
async fn begin(
    program: &Path,
    paths: &SupervisorPaths,
    names: &[String],
) -> anyhow::Result<Client> {
    let output = tempfile::tempfile()?;
    let mut child = Command::new(program)
        .args(["--format", "json", "--quiet", "--config"])
        .arg(&paths.config)
        .args(["tunnel", "run"])
        .args(names)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::from(output.try_clone()?))
        // Ctrl-C at this terminal is not for it.
        .process_group(0)
        .spawn()?;
    let deadline = Instant::now() + BEGINNING;
    loop {
        if let Ok(client) = Client::connect(&paths.runtime).await {
            return Ok(client);
        }
        if Instant::now() > deadline || child.try_wait()?.is_some() {
            let said = said(output)?;
            return Err(
                Refusal::could_not_ask(format!("the supervisor did not begin: {said}")).into()
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn said(mut output: std::fs::File) -> anyhow::Result<String> {
    output.rewind()?;
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}
