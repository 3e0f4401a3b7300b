//! `hubctl schedule`.

mod cronjob;

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::commands::tunnel::Place;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::settings::{Overrides, Settings};
use crate::systemd;

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

/// What is run, and when.
struct Job {
    name: &'static str,
    /// As systemd.time(7) writes it, and crontab(5).
    calendar: &'static str,
    cron: &'static str,
    commands: &'static [&'static [&'static str]],
}

const JOBS: [Job; 5] = [
    Job {
        name: "backup",
        calendar: "*-*-* 02:00:00",
        cron: "0 2 * * *",
        // The second only after the first: a backup that failed or is suspicious is no time to remove others.
        commands: &[&["backup"], &["prune", "--execute"]],
    },
    Job { name: "push", calendar: "*-*-* 03:00:00", cron: "0 3 * * *", commands: &[&["push"]] },
    Job {
        name: "verify",
        calendar: "Sun *-*-* 03:30:00",
        cron: "30 3 * * 0",
        commands: &[&["verify", "--full"]],
    },
    Job {
        name: "drill",
        calendar: "Sun *-*-* 04:30:00",
        cron: "30 4 * * 0",
        commands: &[&["drill"]],
    },
    Job { name: "fresh", calendar: "hourly", cron: "15 * * * *", commands: &[&["fresh"]] },
];

#[derive(Debug, Serialize)]
struct Scheduled {
    installed: bool,
    units: Vec<Unit>,
}

/// A file of systemd.
#[derive(Debug, Serialize)]
struct Unit {
    name: String,
    text: String,
}

pub(crate) fn run(context: &Context, args: ScheduleArgs) -> anyhow::Result<Exit> {
    let settings = context.settings(Overrides::default())?;
    if !matches!(args.command, ScheduleCommand::Uninstall) {
        nightly_site(&settings)?;
    }
    if let ScheduleCommand::Show { image: Some(image), .. } = &args.command {
        context.printer.data(&cronjob::manifests(&settings, image)?)?;
        return Ok(Exit::Yes);
    }
    let place = Place::of(&settings)?;
    let program = std::env::current_exe()?;
    let config = std::path::absolute(&place.config)?;
    match args.command {
        ScheduleCommand::Show { cron: true, .. } => {
            context.printer.data(&cron(&settings, &program, &config))?;
            Ok(Exit::Yes)
        }
        ScheduleCommand::Show { .. } => {
            answer(context, units(&settings, &place, &program, &config), false)
        }
        ScheduleCommand::Install => {
            install(context, units(&settings, &place, &program, &config), &settings)
        }
        ScheduleCommand::Uninstall => uninstall(context, &place.id()),
    }
}

/// The site that the nightly backup takes. Nobody is there at night to name one.
pub(crate) fn nightly_site(settings: &Settings) -> anyhow::Result<&str> {
    let mut names = settings.sites.keys();
    match (&settings.backup_site, names.next(), names.next()) {
        (Some(site), ..) => Ok(&site.value),
        (None, Some(only), None) => Ok(only),
        (None, None, _) => Err(Refusal::usage("no site is configured for the nightly backup")
            .hint("add [sites.NAME] to hubctl.toml")
            .into()),
        (None, Some(first), _) => {
            let known = human::quoted(settings.sites.keys().map(String::as_str));
            let fact = "several sites are configured, and none is named for the nightly backup";
            Err(Refusal::usage(fact)
                .hint(format!(
                    "set site under [backup] to one of {known}, such as site = \"{first}\""
                ))
                .into())
        }
    }
}

/// Whether the units of this configuration are installed.
pub(crate) fn is_installed(settings: &Settings) -> bool {
    let timer = Place::of(settings).and_then(|place| {
        Ok(systemd::directory()?.join(format!("hubctl-{}-backup.timer", place.id())))
    });
    timer.is_ok_and(|timer| timer.exists())
}

fn answer(context: &Context, units: Vec<Unit>, installed: bool) -> anyhow::Result<Exit> {
    let scheduled = Scheduled { installed, units };
    context.printer.result("hubctl.schedule.v1", &scheduled, || {
        let unit = |unit: &Unit| match installed {
            true => format!("{} is installed", unit.name),
            false => format!("# {}\n{}", unit.name, unit.text),
        };
        scheduled.units.iter().map(unit).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Yes)
}

fn install(context: &Context, units: Vec<Unit>, settings: &Settings) -> anyhow::Result<Exit> {
    let files = units.iter().map(|unit| systemd::File { name: &unit.name, text: &unit.text });
    systemd::install(&files.collect::<Vec<_>>(), &timers(&units))?;
    let printer = &context.printer;
    if !settings.alerts.tells_anybody() {
        printer.warn("nobody is told when a run fails");
        printer.hint("set command, webhook or mail in [alerts]");
    }
    if !systemd::lingers() {
        printer.warn("the timers end when you log out; `loginctl enable-linger` keeps them");
    }
    answer(context, units, true)
}

fn uninstall(context: &Context, id: &str) -> anyhow::Result<Exit> {
    let directory = systemd::directory()?;
    let begin = format!("hubctl-{id}-");
    let mut names: Vec<String> = Vec::new();
    // Whatever was configured when they were written.
    for item in fs_err::read_dir(&directory).into_iter().flatten() {
        let name = item?.file_name().into_string();
        names.extend(name.ok().filter(|name| name.starts_with(&begin)));
    }
    if !names.is_empty() {
        let timers = names.iter().map(String::as_str);
        let timers: Vec<&str> = timers.filter(|name| name.ends_with(".timer")).collect();
        systemd::systemctl(&[&["disable", "--now"], timers.as_slice()].concat())?;
        for name in &names {
            fs_err::remove_file(directory.join(name))?;
        }
        systemd::systemctl(&["daemon-reload"])?;
    }
    context.printer.say("the schedule is not installed");
    Ok(Exit::Yes)
}

fn timers(units: &[Unit]) -> Vec<&str> {
    let names = units.iter().map(|unit| unit.name.as_str());
    names.filter(|name| name.ends_with(".timer")).collect()
}

/// Whether a command is of use with this configuration.
fn is_wanted(settings: &Settings, command: &[&str]) -> bool {
    match command[0] {
        "prune" => settings.retention.is_some(),
        "push" => !settings.targets.is_empty(),
        _ => true,
    }
}

fn units(settings: &Settings, place: &Place, program: &Path, config: &Path) -> Vec<Unit> {
    let id = place.id();
    let described = config.display().to_string().replace('%', "%%");
    let mut units = Vec::new();
    for job in JOBS.iter().filter(|job| is_wanted(settings, job.commands[0])) {
        let commands = job.commands.iter().filter(|command| is_wanted(settings, command));
        let starts: String = commands
            .map(|command| {
                format!(
                    "ExecStart={}\n",
                    systemd::command(program, config, command.iter().copied())
                )
            })
            .collect();
        let alert = match settings.alerts.tells_anybody() {
            true => format!("OnFailure=hubctl-{id}-alert@%n.service\n"),
            false => String::new(),
        };
        let name = format!("hubctl-{id}-{}", job.name);
        units.push(Unit {
            text: format!(
                "# Written by `hubctl schedule install`; `hubctl schedule uninstall` removes it.\n\
                 [Unit]\nDescription=hubctl {} of {described}\n{alert}\n[Service]\nType=oneshot\n{starts}",
                job.name
            ),
            name: format!("{name}.service"),
        });
        units.push(Unit {
            text: format!(
                "[Unit]\nDescription=hubctl {} of {described}\n\n\
                 [Timer]\nOnCalendar={}\nPersistent=true\nRandomizedDelaySec=10min\n\n[Install]\nWantedBy=timers.target\n",
                job.name, job.calendar
            ),
            name: format!("{name}.timer"),
        });
    }
    if settings.alerts.tells_anybody() {
        units.push(Unit {
            text: format!(
                "[Unit]\nDescription=hubctl alert of {described}\n\n\
                 [Service]\nType=oneshot\nExecStart={} %i\n",
                systemd::command(program, config, ["alert"])
            ),
            name: format!("hubctl-{id}-alert@.service"),
        });
    }
    units
}

/// crontab(5): a percent sign ends the command, unless a backslash stands before it.
fn cron(settings: &Settings, program: &Path, config: &Path) -> String {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let (program, config) = (quoted(&program.to_string_lossy()), quoted(&config.to_string_lossy()));
    let mut lines = String::from(
        "# Printed by `hubctl schedule show --cron`. cron mails what is written to stderr, if mail works at all.\n",
    );
    for job in JOBS.iter().filter(|job| is_wanted(settings, job.commands[0])) {
        let commands = job.commands.iter().filter(|command| is_wanted(settings, command));
        let runs: Vec<String> = commands
            .map(|command| {
                format!(
                    "{program} --config {config} --no-progress --quiet {} > /dev/null",
                    command.join(" ")
                )
            })
            .collect();
        let mut run = runs.join(" && ");
        if settings.alerts.tells_anybody() {
            run = format!(
                "{{ {run}; }} || {program} --config {config} --quiet alert hubctl-{} > /dev/null",
                job.name
            );
        } else if job.name == "fresh" {
            run = format!("{{ {run}; }} || echo \"hubctl fresh: a backup is stale\" >&2");
        }
        lines.push_str(&format!("{} {}\n", job.cron, run.replace('%', "\\%")));
    }
    lines
}
