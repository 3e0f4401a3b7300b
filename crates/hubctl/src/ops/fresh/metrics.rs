//! The answer whether backups are fresh, for the textfile collector of Prometheus' node exporter.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use backup::Entry;
use journal::{Journal, Outcome, Record};

use super::{FreshPart, FreshReport};
use crate::settings::Settings;

/// The acts whose last run is told.
const ACTS: [&str; 4] = ["backup", "verify", "drill", "push"];

/// Replaces the file as a whole: a collector may read it at any time.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let place = || format!("the metrics could not be written to {}", path.display());
    let mut file = tempfile::Builder::new()
        .prefix(".hubctl-metrics.")
        // The collector runs as another user.
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(directory.unwrap_or(Path::new(".")))
        .with_context(place)?;
    file.write_all(text.as_bytes()).with_context(place)?;
    file.persist(path).map_err(|error| error.error).with_context(place)?;
    Ok(())
}

/// All that is known. Where the vault could not be asked, only that: ages that nobody asked for
/// must not look like answers.
pub(super) fn text(settings: &Settings, found: Option<(&FreshReport, &[Entry])>) -> String {
    let configured = settings.service.as_ref().map(|service| service.value.as_str());
    let service = found.map(|(fresh, _)| fresh.service.as_str()).or(configured).unwrap_or_default();
    let mut metrics = Metrics { text: String::new(), service };
    metrics.family("hubctl_vault_up", "Whether the vault could be asked.");
    metrics.sample("hubctl_vault_up", &[], u64::from(found.is_some()));
    if let Some((fresh, entries)) = found {
        of_parts(&mut metrics, fresh);
        of_entries(&mut metrics, entries);
    }
    of_journal(&mut metrics, settings);
    metrics.text
}

fn of_parts(metrics: &mut Metrics<'_>, fresh: &FreshReport) {
    let part = |name: &'static str, help, value: &dyn Fn(&FreshPart) -> Option<u64>| {
        (name, help, fresh.parts.iter().map(value).collect::<Vec<_>>())
    };
    let families = [
        part(
            "hubctl_backup_age_seconds",
            "Age of the data of the newest backup of which this is true.",
            &|part| part.age_seconds,
        ),
        part("hubctl_backup_max_age_seconds", "How old that may be.", &|part| {
            Some(part.max_age_seconds)
        }),
        part("hubctl_backup_fresh", "Whether it is younger.", &|part| Some(part.fresh.into())),
        part("hubctl_backup_size_bytes", "Length of that sealed file.", &|part| part.sealed_bytes),
    ];
    for (name, help, values) in families {
        metrics.family(name, help);
        for (part, value) in fresh.parts.iter().zip(values) {
            let (kind, target) = match part.part.split_once(": ") {
                Some((kind, target)) => (kind, target),
                None => (part.part.as_str(), ""),
            };
            if let Some(value) = value {
                metrics.sample(name, &[("part", kind), ("target", target)], value);
            }
        }
    }
}

fn of_entries(metrics: &mut Metrics<'_>, entries: &[Entry]) {
    let name = "hubctl_backups";
    metrics.family(name, "Backups in the vault, by how far they are proven.");
    for state in ["foreign", "sealed", "verified", "drilled"] {
        let count = entries.iter().filter(|entry| entry.state().as_str() == state).count();
        metrics.sample(name, &[("state", state)], count as u64);
    }
}

/// The last run of each kind of act.
fn of_journal(metrics: &mut Metrics<'_>, settings: &Settings) {
    let path = &settings.journal.value;
    // `fresh` warns of one that cannot be read.
    let Ok(records) = Journal::open_existing(path).and_then(|journal| journal.read()) else {
        return;
    };
    let last = |act: &&str| records.iter().rev().find(|record| record.kind == **act);
    let runs: Vec<(&str, &Record)> =
        ACTS.iter().filter_map(|act| Some((*act, last(act)?))).collect();
    metrics
        .family("hubctl_last_run_success", "Whether the last run of this act did what it should.");
    for (act, record) in &runs {
        metrics.sample(
            "hubctl_last_run_success",
            &[("act", act)],
            u64::from(record.outcome == Outcome::Done),
        );
    }
    metrics.family("hubctl_last_run_timestamp_seconds", "When it ended.");
    for (act, record) in &runs {
        let at = record.at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        metrics.sample("hubctl_last_run_timestamp_seconds", &[("act", act)], at.as_secs());
    }
    metrics.family("hubctl_last_run_duration_seconds", "How long it took.");
    for (act, record) in &runs {
        if let Some(seconds) = record.seconds() {
            metrics.sample("hubctl_last_run_duration_seconds", &[("act", act)], seconds);
        }
    }
}

/// The text format of Prometheus.
struct Metrics<'a> {
    text: String,
    service: &'a str,
}

impl Metrics<'_> {
    fn family(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let service = [("service", self.service)];
        let labels = service.iter().chain(labels).filter(|(_, text)| !text.is_empty());
        let labels: Vec<String> =
            labels.map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
        let _ = writeln!(self.text, "{name}{{{}}} {value}", labels.join(","));
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_empty_ones_left_out() {
        let mut metrics = Metrics { text: String::new(), service: "hub" };
        metrics.sample("a", &[("part", "copy"), ("target", "a\"b\\c\nd"), ("none", "")], 1.5);
        assert_eq!(
            metrics.text,
            "a{service=\"hub\",part=\"copy\",target=\"a\\\"b\\\\c\\nd\"} 1.5\n"
        );
    }
}
