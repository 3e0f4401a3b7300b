//! `hubctl tunnel up` and `restart`.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;
use tunnel::{Client, Overview};

use super::place::Place;
use super::{Names, chosen, show};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::settings::Settings;

/// How long a supervisor may take to answer for the first time.
const BEGINNING: Duration = Duration::from_secs(10);

/// How long tunnels may take to be up again after a restart.
const AGAIN: Duration = Duration::from_secs(30);

pub(super) async fn up(
    context: &Context,
    settings: &Settings,
    place: &Place,
    names: &Names,
    wait: Duration,
) -> anyhow::Result<Exit> {
    let mut tunnels = chosen(settings, names)?;
    let wanted: Vec<String> = tunnels.keys().cloned().collect();
    let mut client = match Client::connect(&place.runtime).await {
        Ok(mut client) => {
            let running = client.status().await?.tunnels;
            tunnels.retain(|name, _| running.iter().all(|tunnel| tunnel.name != *name));
            if !tunnels.is_empty() {
                client.start(tunnels).await?;
            }
            client
        }
        Err(tunnel::Error::NotRunning { .. }) => begin(place, &wanted).await?,
        Err(error) => return Err(error.into()),
    };
    let overview = client.settle(wanted, wait).await?;
    answer(context, &overview, names)
}

pub(super) async fn restart(
    context: &Context,
    settings: &Settings,
    place: &Place,
    names: &Names,
) -> anyhow::Result<Exit> {
    let tunnels = chosen(settings, names)?;
    let wanted = tunnels.keys().cloned().collect();
    let mut client = Client::connect(&place.runtime).await?;
    client.start(tunnels).await?;
    let overview = client.settle(wanted, AGAIN).await?;
    answer(context, &overview, names)
}

fn answer(context: &Context, overview: &Overview, names: &Names) -> anyhow::Result<Exit> {
    let all_up = show::overview(context, overview, names)?;
    Ok(crate::printer::answer(all_up))
}

/// Starts the supervisor as a process of its own, which stays when this one ends.
async fn begin(place: &Place, names: &[String]) -> anyhow::Result<Client> {
    let program = std::env::current_exe()?;
    let output = tempfile::tempfile()?;
    let mut child = Command::new(program)
        .args(["--format", "json", "--quiet", "--config"])
        .arg(&place.config)
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
        if let Ok(client) = Client::connect(&place.runtime).await {
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
    use std::io::{Read as _, Seek as _};
    output.rewind()?;
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}
