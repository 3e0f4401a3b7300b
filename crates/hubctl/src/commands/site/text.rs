//! Sites, their checks and their pins as text.

use crate::human;
use crate::ops::{PinReport, ShownSite, ShownWriter, SiteCheckReport, SiteShowReport};
use crate::printer::table;

pub(super) fn shown(report: &SiteShowReport) -> String {
    report.sites.iter().map(site).collect::<Vec<_>>().join("\n\n")
}

fn site(site: &ShownSite) -> String {
    let mut lines = vec![site.site.clone()];
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<10}{text}"));
    if let Some(database) = &site.database {
        line("database", database.clone());
    }
    if let Some(error) = &site.error {
        line("error", human::one_line(error));
    }
    if let Some(version) = &site.server_version {
        let standby = if site.standby { ", a standby" } else { "" };
        line("server", format!("PostgreSQL {}{standby}", human::one_line(version)));
    }
    match (&site.live, &site.pinned) {
        (Some(live), Some(pinned)) if live == pinned => line("identity", format!("{live}, pinned")),
        (live, pinned) => {
            if let Some(live) = live {
                line("identity", live.to_string());
            }
            line("pinned", pinned.as_ref().map_or("no".to_owned(), ToString::to_string));
        }
    }
    if let Some(fence) = &site.fence {
        let since = human::time(&fence.planned_at);
        line("frozen", format!("since {since}, as {}", fence.behind));
    }
    if let Some(marker) = &site.marker {
        line(
            "marker",
            format!(
                "{}, epoch {}, run {}",
                marker.role,
                marker.epoch,
                human::one_line(&marker.run)
            ),
        );
    }
    for name in &site.kept {
        line("keeps", name.clone());
    }
    if let Some(api) = &site.api {
        line("api", api.clone());
    }
    for writer in &site.writers {
        line("writer", format!("{}: {}", writer.name, state(writer)));
    }
    lines.join("\n")
}

fn state(writer: &ShownWriter) -> String {
    let stopped = writer.stopped.map(|stopped| if stopped { "stopped" } else { "running" });
    let pending = writer.pending.map(|count| human::plural(count, "pending write"));
    let error = writer.error.as_deref().map(|error| format!("unknown: {}", human::one_line(error)));
    let parts = [stopped.map(str::to_owned), pending, error];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn checked(report: &SiteCheckReport) -> String {
    let rows = report.sites.iter().map(|site| {
        let finding = &site.finding;
        vec![site.site.clone(), finding.verdict.word().to_owned(), finding.fact.clone()]
    });
    table(&["site", "verdict", "finding"], rows)
}

pub(super) fn pinned(report: &PinReport) -> String {
    let PinReport { site, database, identity, before, file, .. } = report;
    let before = before.as_ref().map_or("nothing".to_owned(), ToString::to_string);
    let mut lines = vec![format!("site      {site}, {database}")];
    if !report.is_current() {
        lines.push(format!("before    {before}"));
    }
    lines.push(format!("identity  {identity}"));
    lines.push(format!("file      {file}"));
    lines.join("\n")
}
