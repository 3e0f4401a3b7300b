//! `hubctl schedule`.

use std::env::current_exe;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;
use crate::ops::{self, ScheduleReport};
use crate::settings::Overrides;

/// Run backups, verification, drills and freshness checks on a schedule
///
/// Every night a backup of [backup] site, or of the only site, and then, where [retention] is
/// configured, `prune --execute`; and, where there are [targets], `push`; every Sunday
/// `verify --full` and `drill`; every hour `fresh`, which is what notices that the others died.
/// systemd makes up for runs that were missed while the machine was off. `alert` reports failures
/// to everyone in [alerts].
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl schedule show             the units of systemd
  hubctl schedule show --cron      the same as lines for cron
  hubctl schedule show --cronjob --image registry.example/hubctl:1 | kubectl apply -f -
  hubctl schedule install          write and start the units
  hubctl schedule uninstall")]
pub(crate) struct ScheduleArgs {
    #[command(subcommand)]
    command: ScheduleCommand,
}

#[derive(Debug, Subcommand)]
enum ScheduleCommand {
    /// Print what would be installed
    Show {
        /// As lines for cron, which skips missed runs and alerts by mail
        #[arg(long)]
        cron: bool,
        /// As CronJobs of Kubernetes
        #[arg(long, conflicts_with = "cron", requires = "image")]
        cronjob: bool,
        /// The image with hubctl that the CronJobs run
        #[arg(long, value_name = "IMAGE", requires = "cronjob")]
        image: Option<String>,
    },
    /// Write the units for the user's systemd, and start their timers
    Install,
    /// Stop the timers, and remove the units
    Uninstall,
}

pub(crate) fn run(context: &Context, args: ScheduleArgs) -> anyhow::Result<Exit> {
    let (ops, printer) = (context.ops(Overrides::default())?, &context.printer);
    match args.command {
        ScheduleCommand::Show { image: Some(image), .. } => {
            printer.data(&ops::schedule_for_kubernetes(&ops, &image)?)?;
        }
        ScheduleCommand::Show { cron: true, .. } => {
            printer.data(&ops::schedule_for_cron(&ops, &current_exe()?)?)?;
        }
        ScheduleCommand::Show { .. } => {
            printer.report(&ops::plan_schedule(&ops, &current_exe()?)?, text)?;
        }
        ScheduleCommand::Install => {
            printer.report(&ops::install_schedule(&ops, &current_exe()?)?, text)?;
        }
        ScheduleCommand::Uninstall => ops::uninstall_schedule(&ops)?,
    }
    Ok(Exit::Yes)
}

fn text(schedule: &ScheduleReport) -> String {
    let units = schedule.units.iter().map(|unit| match schedule.installed {
        true => format!("{} is installed", unit.name),
        false => format!("# {}\n{}", unit.name, unit.text),
    });
    units.collect::<Vec<_>>().join("\n")
}
