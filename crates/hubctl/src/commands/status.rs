//! `hubctl status`.

use clap::Args;

use crate::cli::options::{JournalOptions, PasswordOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, StatusReport, StatusRun, StatusSite};
use crate::settings::Overrides;

/// Tell which site is the primary, and whether everything agrees
///
/// The journal, the markers of the databases and the clients' address are asked, and nothing is
/// changed. Two primaries, none, or clients that reach another site are a disagreement: exit code
/// 1. Exit code 3 if something could not be asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl status
  hubctl status --format json")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    passwords: PasswordOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: StatusArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().passwords(&args.passwords);
    let ops = context.ops(overrides.journal(&args.journal))?;
    let report = ops::status(&ops).await?;
    let printer = &context.printer;
    printer.report(&report, text)?;
    for problem in &report.problems {
        printer.warn(format_args!("DISAGREEMENT: {problem}"));
    }
    for unasked in &report.unasked {
        printer.warn(format_args!("could not ask {}", human::one_line(unasked)));
    }
    Ok(match report.agreed {
        Some(true) => Exit::Yes,
        Some(false) => Exit::No,
        None => Exit::CouldNotAsk,
    })
}

fn text(report: &StatusReport) -> String {
    let unknown = || "unknown".to_owned();
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push(format!("{name:<12}{text}"));
    line("primary", report.primary.clone().unwrap_or_else(unknown));
    let by_journal = match (&report.by_journal, &report.run) {
        (Some(site), _) => site.clone(),
        (None, Some(run)) if run.is_unsettled() => unknown(),
        (None, Some(_)) => "no cutover was completed".to_owned(),
        (None, None) => "no cutover was made".to_owned(),
    };
    line("journal", by_journal);
    line("databases", report.by_databases.clone().unwrap_or_else(unknown));
    if let Some(site) = &report.by_clients {
        line("clients", site.clone());
    }
    if let Some(run) = &report.run {
        line("cutover", cutover(run));
        if let Some(trouble) = &run.trouble {
            line("trouble", human::one_line(trouble));
        }
        if let (Some(since), Some(until)) = (&run.frozen_since, &run.frozen_until) {
            line("away", format!("since {}, until {}", human::time(since), human::time(until)));
        }
    }
    for site in &report.sites {
        line(&site.site, described(site));
    }
    line("next", format!("hubctl cutover --execute   {}", report.next_cutover));
    line("", format!("hubctl rollback --execute  {}", report.next_rollback));
    lines.join("\n")
}

fn cutover(run: &StatusRun) -> String {
    let StatusRun { id, from, to, mode, epoch, .. } = run;
    let phase = run.phase.words();
    let begun = run.begun_at.as_deref().map_or_else(String::new, human::time);
    let step = match &run.step {
        Some(step) => format!(", step {step}"),
        None => String::new(),
    };
    format!("{id} from {from} to {to}, {mode}, epoch {epoch}, begun {begun}: {phase}{step}")
}

fn described(site: &StatusSite) -> String {
    let mut parts = vec![site.role.map_or("unknown", |role| role.word()).to_owned()];
    parts.extend(site.epoch.map(|epoch| format!("epoch {epoch}")));
    parts.extend(site.fence.as_ref().map(|fence| {
        format!("frozen since {} as {}", human::time(&fence.planned_at), fence.behind)
    }));
    if !site.kept.is_empty() {
        parts.push(format!("keeps {}", site.kept.join(", ")));
    }
    parts.join(", ")
}
