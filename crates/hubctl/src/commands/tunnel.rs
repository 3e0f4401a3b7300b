//! `hubctl tunnel`.

mod status;
mod trust;

use std::env::current_exe;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, Ops, StartTunnelsOrder, TunnelEvent, TunnelReport, TunnelUnitReport};
use crate::printer::answer;
use crate::settings::Overrides;

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

pub(crate) async fn run(context: &Context, args: TunnelArgs) -> anyhow::Result<Exit> {
    if let TunnelCommand::Import { file } = &args.command {
        return import(context, file);
    }
    let ops = context.ops(Overrides::default())?;
    match args.command {
        TunnelCommand::Up { names: Names { names }, wait } => {
            let order = StartTunnelsOrder { names, wait, program: current_exe()? };
            are_up(context, &ops::start_tunnels(&ops, order).await?)
        }
        TunnelCommand::Run(names) => supervise(context, &ops, &names.names).await,
        TunnelCommand::Down(names) => {
            ops::stop_tunnels(&ops, &names.names).await?;
            Ok(Exit::Yes)
        }
        TunnelCommand::Restart(names) => {
            are_up(context, &ops::restart_tunnels(&ops, &names.names).await?)
        }
        TunnelCommand::Status { names, watch: false } => {
            let status = ops::tunnel_status(&ops, &names.names).await?;
            context.printer.report(&status, status::text)?;
            Ok(answer(status.running))
        }
        TunnelCommand::Status { names, watch: true } => watch(context, &ops, &names.names).await,
        TunnelCommand::Check(names) => {
            are_up(context, &ops::check_tunnels(&ops, &names.names).await?)
        }
        TunnelCommand::Trust { name, fingerprint } => {
            trust::run(context, &ops, name, fingerprint).await
        }
        TunnelCommand::Install(names) => {
            unit(context, &ops::install_tunnels(&ops, &names.names, &current_exe()?)?)
        }
        TunnelCommand::Import { .. } => {
            unreachable!("it needs no configuration, and was run before")
        }
        TunnelCommand::Uninstall => unit(context, &ops::uninstall_tunnels(&ops)?),
        TunnelCommand::Logs { names, follow } => log(context, &ops, &names.names, follow).await,
    }
}

fn are_up(context: &Context, tunnels: &TunnelReport) -> anyhow::Result<Exit> {
    context.printer.report(tunnels, status::text)?;
    Ok(answer(tunnels.is_up()))
}

async fn supervise(context: &Context, ops: &Ops, names: &[String]) -> anyhow::Result<Exit> {
    let printer = context.printer.clone();
    let changed = move |event: &TunnelEvent| {
        // Nobody has to read along.
        let _ = printer.line(event, ToString::to_string);
    };
    ops::supervise_tunnels(ops, names, context.hold.wait(), changed).await?;
    Ok(Exit::Yes)
}

async fn watch(context: &Context, ops: &Ops, names: &[String]) -> anyhow::Result<Exit> {
    let changed = |event: &TunnelEvent| context.printer.line(event, ToString::to_string);
    tokio::select! {
        ended = ops::watch_tunnels(ops, names, changed) => ended.map(|()| Exit::No),
        () = context.hold.wait() => Ok(Exit::Yes),
    }
}

async fn log(context: &Context, ops: &Ops, names: &[String], follow: bool) -> anyhow::Result<Exit> {
    let changed = |event: &TunnelEvent| context.printer.line(event, ToString::to_string);
    tokio::select! {
        shown = ops::tunnel_log(ops, names, follow, changed) => shown?,
        () = context.hold.wait() => {}
    }
    Ok(Exit::Yes)
}

fn import(context: &Context, file: &std::path::Path) -> anyhow::Result<Exit> {
    let imported = ops::import_tunnels(file)?;
    imported.left_out.iter().for_each(|left| context.printer.warn(left));
    context.printer.data(imported.toml.trim_end())?;
    Ok(Exit::Yes)
}

fn unit(context: &Context, unit: &TunnelUnitReport) -> anyhow::Result<Exit> {
    context.printer.report(unit, |unit| {
        let done =
            if unit.enabled { "runs, and begins with your session" } else { "is not installed" };
        format!("{} {done}", unit.unit)
    })?;
    Ok(Exit::Yes)
}
