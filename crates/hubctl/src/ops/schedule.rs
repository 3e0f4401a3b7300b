//! Run backups, verification, drills and freshness checks on a schedule.

mod cron;
mod cronjob;
mod job;
mod units;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::tunnel::SupervisorPaths;
use super::{Ops, Report};
use crate::failure::Refusal;
use crate::human;
use crate::settings::Settings;
use crate::systemd;

/// Units of systemd that keep the schedule.
#[derive(Debug, Clone, Serialize)]
pub struct ScheduleReport {
    /// True if the units are installed and their timers run.
    pub installed: bool,
    /// The units.
    pub units: Vec<Unit>,
}

/// A unit of systemd.
#[derive(Debug, Clone, Serialize)]
pub struct Unit {
    /// The name of its file.
    pub name: String,
    /// The text of its file.
    pub text: String,
}

impl Report for ScheduleReport {
    const SCHEMA: &'static str = "hubctl.schedule.v1";
}

/// Returns the units that [`install_schedule`] would write, which run this program.
///
/// # Errors
/// Settings without a file, or that do not say which site to back up.
pub fn plan_schedule(ops: &Ops, program: &Path) -> anyhow::Result<ScheduleReport> {
    nightly_site(ops.settings())?;
    Ok(ScheduleReport { installed: false, units: Scheduled::of(ops)?.units(program) })
}

/// Returns the schedule as lines for cron, which run this program.
///
/// # Errors
/// Those of [`plan_schedule`].
pub fn schedule_for_cron(ops: &Ops, program: &Path) -> anyhow::Result<String> {
    nightly_site(ops.settings())?;
    Ok(cron::lines(ops.settings(), program, &Scheduled::of(ops)?.config))
}

/// Returns the schedule as CronJobs of Kubernetes, which run this image.
///
/// # Errors
/// Settings without a service or a vault, or that do not say which site to back up.
pub fn schedule_for_kubernetes(ops: &Ops, image: &str) -> anyhow::Result<String> {
    nightly_site(ops.settings())?;
    cronjob::manifests(ops.settings(), image)
}

/// Writes the units for the user's systemd, and starts their timers.
///
/// # Errors
/// Those of [`plan_schedule`]; a user without systemd. Then the files are as they were before.
pub fn install_schedule(ops: &Ops, program: &Path) -> anyhow::Result<ScheduleReport> {
    let planned = plan_schedule(ops, program)?;
    let units = planned.units;
    let names = units.iter().map(|unit| unit.name.as_str());
    let timers: Vec<&str> = names.filter(|name| name.ends_with(".timer")).collect();
    let files = units.iter().map(|unit| systemd::File { name: &unit.name, text: &unit.text });
    systemd::install(&files.collect::<Vec<_>>(), &timers)?;
    if !ops.settings().alerts.tells_anybody() {
        ops.warn("no alert is configured for runs that fail");
        ops.hint("set command, webhook or mail in [alerts]");
    }
    if !systemd::lingers() {
        ops.warn("the timers end when you log out; `loginctl enable-linger` keeps them");
    }
    Ok(ScheduleReport { installed: true, units })
}

/// Stops the timers of this configuration, and removes its units.
///
/// # Errors
/// A user without systemd; files that cannot be removed.
pub fn uninstall_schedule(ops: &Ops) -> anyhow::Result<()> {
    let directory = systemd::directory()?;
    let begin = format!("hubctl-{}-", Scheduled::of(ops)?.id);
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
    ops.say("the schedule is not installed");
    Ok(())
}

/// A configuration whose schedule has units of its own.
struct Scheduled<'a> {
    settings: &'a Settings,
    /// The part of the units' names that belongs to this configuration.
    id: String,
    /// The absolute path of the configuration.
    config: PathBuf,
}

impl<'a> Scheduled<'a> {
    fn of(ops: &'a Ops) -> anyhow::Result<Self> {
        let settings = ops.settings();
        let paths = SupervisorPaths::of(settings)?;
        let config = std::path::absolute(&paths.config)?;
        Ok(Self { settings, id: paths.id().into_owned(), config })
    }

    fn units(&self, program: &Path) -> Vec<Unit> {
        units::units(self.settings, &self.id, program, &self.config)
    }
}

/// The site that the nightly backup takes; at night there is nobody to name one.
pub(super) fn nightly_site(settings: &Settings) -> anyhow::Result<&str> {
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

/// Returns true if the units of this configuration are installed.
pub(super) fn is_installed(settings: &Settings) -> bool {
    let timer = SupervisorPaths::of(settings).and_then(|paths| {
        Ok(systemd::directory()?.join(format!("hubctl-{}-backup.timer", paths.id())))
    });
    timer.is_ok_and(|timer| timer.exists())
}
