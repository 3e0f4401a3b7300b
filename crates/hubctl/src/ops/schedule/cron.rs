//! The schedule as lines for cron (crontab(5)).

use std::path::Path;

use super::job::jobs;
use crate::settings::Settings;

/// Lines for `crontab -e`. A percent sign ends the command, unless a backslash stands before it.
pub(super) fn lines(settings: &Settings, program: &Path, config: &Path) -> String {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let (program, config) = (quoted(&program.to_string_lossy()), quoted(&config.to_string_lossy()));
    let mut lines = String::from(
        "# Printed by `hubctl schedule show --cron`. cron mails what is written to stderr, if mail works at all.\n",
    );
    for job in jobs(settings) {
        let runs: Vec<String> = job
            .commands(settings)
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
