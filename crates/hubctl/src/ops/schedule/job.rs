//! The jobs of the schedule.

use crate::settings::Settings;

/// Commands that run one after the other, and when.
pub(super) struct Job {
    pub(super) name: &'static str,
    /// As systemd.time(7) writes it.
    pub(super) calendar: &'static str,
    /// As crontab(5) writes it.
    pub(super) cron: &'static str,
    commands: &'static [&'static [&'static str]],
}

/// Every job; some are of use with some configurations only.
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

/// The jobs that are of use with these settings.
pub(super) fn jobs(settings: &Settings) -> impl Iterator<Item = &'static Job> {
    JOBS.iter().filter(|job| is_wanted(settings, job.commands[0]))
}

impl Job {
    /// The commands that are of use with these settings.
    pub(super) fn commands(
        &self,
        settings: &Settings,
    ) -> impl Iterator<Item = &'static [&'static str]> {
        self.commands.iter().copied().filter(|command| is_wanted(settings, command))
    }
}

/// Returns true if a command is of use with these settings.
fn is_wanted(settings: &Settings, command: &[&str]) -> bool {
    match command[0] {
        "prune" => settings.retention.is_some(),
        "push" => !settings.targets.is_empty(),
        _ => true,
    }
}
