//! `hubctl tunnel`.

mod import;
mod place;
mod run;
mod show;
mod trust;
mod unit;
mod up;

use std::time::Duration;

use clap::{Args, Subcommand};
use tunnel::Client;

use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::settings::{Overrides, Settings};
pub(crate) use place::Place;
pub(crate) use show::change;

/// Keep SSH forwards up, and prove that they are
///
/// A forward is `up` only while its probe is answered, by whom it should be. One supervisor for
/// each configuration keeps the tunnels; every other command asks it, so that what is shown is what
/// is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl tunnel up             start all tunnels of hubctl.toml, and wait until they are up
  hubctl tunnel status         what is known of them, with the proof
  hubctl tunnel status --watch --format json
  hubctl tunnel check hub      0 up, 1 not up, 3 no supervisor
  hubctl tunnel run hub        in the foreground, until Ctrl-C")]
pub(crate) struct TunnelArgs {
    #[command(subcommand)]
    command: TunnelCommand,
}

#[derive(Debug, Subcommand)]
enum TunnelCommand {
    /// Start tunnels in the background, and wait until they are up
    ///
    /// Those that run already are left alone. The answer is no when one of them is not up in time;
    /// it is tried again nevertheless, until `hubctl tunnel down`.
    Up {
        #[command(flatten)]
        names: Names,
        /// How long to wait, such as 10s
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::duration)]
        wait: Duration,
    },
    /// Keep tunnels in the foreground, and print each change
    Run(Names),
    /// Stop tunnels; the supervisor ends with the last one
    Down(Names),
    /// Begin tunnels anew, as they are configured now
    ///
    /// So a tunnel is tried again that had failed. Tunnels that are not named are left alone.
    Restart(Names),
    /// Show what is known of the tunnels, with the proof
    Status {
        #[command(flatten)]
        names: Names,
        /// Then print each change as it happens
        #[arg(short, long)]
        watch: bool,
    },
    /// Answer whether tunnels are up, for scripts
    Check(Names),
    /// Trust a host's current key
    ///
    /// Compare the fingerprint with the one that the host itself shows. No other command makes a
    /// host known.
    Trust {
        /// The tunnel whose host it is
        #[arg(value_name = "NAME")]
        name: String,
        /// The fingerprint that the host must show, for scripts
        #[arg(long, value_name = "SHA256:…")]
        fingerprint: Option<String>,
    },
    /// Let the user's systemd keep tunnels, from its start on
    ///
    /// A unit is written, enabled and started.
    Install(Names),
    /// Stop that unit, and remove it
    Uninstall,
    /// Print the tunnels of a tunnels.yaml of ops-bridge, as they are written in hubctl.toml
    ///
    /// Nothing is changed; `hubctl tunnel import tunnels.yaml >> hubctl.toml` keeps them. Settings
    /// without an equivalent are listed.
    Import {
        /// The file, such as ~/.config/bridge/tunnels.yaml
        #[arg(value_name = "FILE")]
        file: std::path::PathBuf,
    },
    /// Show the changes of the past
    Logs {
        #[command(flatten)]
        names: Names,
        /// Then print each new one
        #[arg(short, long)]
        follow: bool,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Names {
    /// Tunnels of the configuration [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Names {
    fn include(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|known| known == name)
    }
}

pub(crate) async fn run(context: &Context, args: TunnelArgs) -> anyhow::Result<Exit> {
    if let TunnelCommand::Import { file } = &args.command {
        return import::run(context, file);
    }
    let settings = context.settings(Overrides::default())?;
    let place = Place::of(&settings)?;
    match args.command {
        TunnelCommand::Up { names, wait } => up::up(context, &settings, &place, &names, wait).await,
        TunnelCommand::Run(names) => run::run(context, &settings, &place, &names).await,
        TunnelCommand::Down(names) => down(context, &settings, &place, names).await,
        TunnelCommand::Restart(names) => up::restart(context, &settings, &place, &names).await,
        TunnelCommand::Status { names, watch: false } => {
            show::status(context, &settings, &place, &names).await
        }
        TunnelCommand::Status { names, watch: true } => show::watch(context, &place, &names).await,
        TunnelCommand::Check(names) => show::check(context, &settings, &place, &names).await,
        TunnelCommand::Trust { name, fingerprint } => {
            trust::run(context, &settings, &place, name, fingerprint).await
        }
        TunnelCommand::Install(names) => unit::install(context, &settings, &place, &names),
        TunnelCommand::Import { .. } => {
            unreachable!("it needs no configuration, and was run before")
        }
        TunnelCommand::Uninstall => unit::uninstall(context, &place),
        TunnelCommand::Logs { names, follow } => show::logs(context, &place, &names, follow).await,
    }
}

async fn down(
    context: &Context,
    settings: &Settings,
    place: &Place,
    names: Names,
) -> anyhow::Result<Exit> {
    chosen(settings, &names)?;
    let mut client = match Client::connect(&place.runtime).await {
        Ok(client) => client,
        // It is down already.
        Err(tunnel::Error::NotRunning { .. }) => {
            context.printer.say("no supervisor is running");
            return Ok(Exit::Yes);
        }
        Err(error) => return Err(error.into()),
    };
    let running: Vec<String> =
        client.status().await?.tunnels.into_iter().map(|tunnel| tunnel.name).collect();
    let stopped: Vec<String> = running.into_iter().filter(|name| names.include(name)).collect();
    if !stopped.is_empty() {
        client.stop(stopped.clone()).await?;
    }
    for name in stopped {
        context.printer.say(format_args!("{name} is stopped"));
    }
    Ok(Exit::Yes)
}

/// The tunnels of the configuration that are named, all where none is.
fn chosen(
    settings: &Settings,
    names: &Names,
) -> anyhow::Result<std::collections::BTreeMap<String, tunnel::Tunnel>> {
    if settings.tunnels.is_empty() {
        return Err(Refusal::usage("no tunnel is configured")
            .hint("add [tunnels.NAME] to the configuration; hubctl.toml(5) lists its keys")
            .into());
    }
    if let Some(unknown) = names.names.iter().find(|name| !settings.tunnels.contains_key(*name)) {
        let known: Vec<&str> = settings.tunnels.keys().map(String::as_str).collect();
        return Err(Refusal::usage(format!("no tunnel `{unknown}` is configured"))
            .hint(format!("the configured tunnels are {}", crate::human::quoted(known)))
            .into());
    }
    let chosen = settings.tunnels.iter().filter(|(name, _)| names.include(name));
    Ok(chosen.map(|(name, tunnel)| (name.clone(), tunnel.value.clone())).collect())
}
