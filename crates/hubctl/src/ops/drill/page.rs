//! The Markdown page about one drill, for the folder of episodic memory.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::report::{DrillReport, answer_to, verdict_on};
use crate::act::host;
use crate::human;
use crate::settings::Settings;

/// Writes the page if a folder for it is configured.
pub(super) fn write(
    settings: &Settings,
    service: &str,
    report: &DrillReport,
) -> anyhow::Result<Option<PathBuf>> {
    let Some(folder) = &settings.episodic_memory else {
        return Ok(None);
    };
    fs_err::create_dir_all(&folder.value)?;
    let stamp: String = report.began_at.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let path = free_name(&folder.value, &format!("{stamp}-drill-{service}"));
    let mut file = tempfile::NamedTempFile::new_in(&folder.value)?;
    file.write_all(render(service, report).as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(&path)?;
    regularfile::sync_directory(&folder.value)?;
    Ok(Some(path))
}

fn free_name(folder: &Path, stem: &str) -> PathBuf {
    let name = |suffix: &str| folder.join(format!("{stem}{suffix}.md"));
    let numbered = (2..).map(|number| name(&format!("-{number}")));
    let mut names = std::iter::once(name("")).chain(numbered);
    names.find(|path| !path.exists()).expect("there is no end of numbers")
}

fn render(service: &str, report: &DrillReport) -> String {
    let mut page = String::new();
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!("# Drill of {service}: {}\n", report.verdict.as_str()));
    line(format!("- when: {} on {}", report.began_at, host()));
    line(format!("- backup: `{}` (`{}`)", report.id, report.path));
    line(format!(
        "- data of: {}, {} old",
        report.taken_at.as_deref().unwrap_or("unknown"),
        report.shown_age()
    ));
    if !report.place.is_empty() {
        line(format!("- restored on: {}", report.place));
    }
    line(format!(
        "- took: {}{}",
        human::duration(Duration::from_secs_f64(report.seconds)),
        phases(report)
    ));
    if let Some(error) = &report.error {
        line(format!("- error: {}", error.replace('\n', " ")));
    }
    if !report.checks.is_empty() {
        line("\n## Checks\n\n| check | verdict | expected | found |\n|---|---|---|---|".to_owned());
        for check in &report.checks {
            let cells = [&check.name, verdict_on(check).as_str(), &check.expect, answer_to(check)]
                .map(cell);
            line(format!("| {} |", cells.join(" | ")));
        }
    }
    if !report.tables.is_empty() {
        line(format!(
            "\n## Rows\n\nCounted and digested in the restored copy, and equal to the manifest: {} in all.\n",
            human::number(report.rows)
        ));
        line("| table | rows |\n|---|---:|".to_owned());
        for table in &report.tables {
            line(format!("| {} | {} |", cell(&table.table), human::number(table.rows)));
        }
    }
    page
}

fn phases(report: &DrillReport) -> String {
    let phases = report.phases.iter().flatten();
    let shown: Vec<_> = phases.map(|(phase, seconds)| format!("{phase} {seconds:?} s")).collect();
    if shown.is_empty() { String::new() } else { format!(" ({})", shown.join(", ")) }
}

/// Text that cannot break a table.
fn cell(text: impl AsRef<str>) -> String {
    text.as_ref().replace('|', "\\|").replace(['\n', '\r'], " ")
}
