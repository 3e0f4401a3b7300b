//! The schedule as units of systemd.

use std::path::Path;

use super::Unit;
use super::job::jobs;
use crate::settings::Settings;
use crate::systemd;

/// The services and timers of this configuration.
pub(super) fn units(settings: &Settings, id: &str, program: &Path, config: &Path) -> Vec<Unit> {
    let described = config.display().to_string().replace('%', "%%");
    let mut units = Vec::new();
    for job in jobs(settings) {
        let starts: String = job
            .commands(settings)
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
