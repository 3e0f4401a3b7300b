//! The Markdown page about one drill, for the folder of episodic memory.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::record::Drilled;
use crate::act::host;
use crate::human;
use crate::settings::Settings;

/// Writes the page if a folder for it is configured.
pub(super) fn write(
    settings: &Settings,
    service: &str,
    drilled: &Drilled,
) -> anyhow::Result<Option<PathBuf>> {
    let Some(folder) = &settings.episodic_memory else {
        return Ok(None);
    };
    fs_err::create_dir_all(&folder.value)?;
    let stamp: String = drilled.began_at.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let path = free_name(&folder.value, &format!("{stamp}-drill-{service}"));
    let mut file = tempfile::NamedTempFile::new_in(&folder.value)?;
    file.write_all(render(service, drilled).as_bytes())?;
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

fn render(service: &str, drilled: &Drilled) -> String {
    let mut page = String::new();
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!("# Drill of {service}: {}\n", drilled.verdict));
    line(format!("- when: {} on {}", drilled.began_at, host()));
    line(format!("- backup: `{}` (`{}`)", drilled.id, drilled.path));
    line(format!(
        "- data of: {}, {} old",
        drilled.taken_at.as_deref().unwrap_or("unknown"),
        drilled.shown_age()
    ));
    if !drilled.place.is_empty() {
        line(format!("- restored on: {}", drilled.place));
    }
    line(format!(
        "- took: {}{}",
        human::duration(Duration::from_secs_f64(drilled.seconds)),
        phases(drilled)
    ));
    if let Some(error) = &drilled.error {
        line(format!("- error: {}", error.replace('\n', " ")));
    }
    if !drilled.checks.is_empty() {
        line("\n## Checks\n\n| check | verdict | expected | found |\n|---|---|---|---|".to_owned());
        for check in &drilled.checks {
            let cells = [&check.check.name, check.verdict(), &check.check.expect, &check.answer()]
                .map(cell);
            line(format!("| {} |", cells.join(" | ")));
        }
    }
    if !drilled.tables.is_empty() {
        line(format!(
            "\n## Rows\n\nCounted and digested in the restored copy, and equal to the manifest: {} in all.\n",
            human::number(drilled.rows)
        ));
        line("| table | rows |\n|---|---:|".to_owned());
        for table in &drilled.tables {
            line(format!("| {} | {} |", cell(&table.table), human::number(table.rows)));
        }
    }
    page
}

fn phases(drilled: &Drilled) -> String {
    let mut text = String::new();
    for (phase, seconds) in drilled.phases.as_object().into_iter().flatten() {
        let separator = if text.is_empty() { " (" } else { ", " };
        let _ = write!(text, "{separator}{phase} {seconds} s");
    }
    if text.is_empty() { text } else { text + ")" }
}

/// Text that cannot break a table.
fn cell(text: impl AsRef<str>) -> String {
    text.as_ref().replace('|', "\\|").replace(['\n', '\r'], " ")
}
