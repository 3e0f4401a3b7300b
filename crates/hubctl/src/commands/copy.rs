//! `hubctl copy`.

use std::time::Instant;

use clap::Args;
use pgsnap::{Copied, CopyOptions, CopyPlan, Database, Restored};
use serde::Serialize;
use serde_json::{Value, json};

use crate::act::Act;
use crate::cli::options::{JournalOptions, PasswordOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::phases;
use crate::printer::answer;
use crate::replacement;
use crate::settings::Overrides;
use crate::site::Site;

/// Copy a database from server to server, with no file in between
///
/// Without --execute nothing is changed: the plan is shown, and the exit code says whether
/// something is in the way. All rows are of one moment. They are loaded into a new database while
/// they are read, compared with the source row by row, and only then renamed into place; a database
/// that was there before is kept under another name. Of foreign tables the definitions are copied,
/// not the rows.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl copy workstation --to cluster
  hubctl copy workstation --to cluster --execute
  hubctl copy cluster --to workstation --database state_hub_copy --execute")]
pub(crate) struct CopyArgs {
    /// Site or connection URL to copy
    #[arg(value_name = "SITE|URL")]
    from: String,
    /// Site or connection URL to copy to
    #[arg(long, value_name = "SITE|URL")]
    to: String,
    /// Name of the copy [default: the one of the target's site or URL]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Accept generated columns whose recomputed values differ from the source
    #[arg(long)]
    accept_recomputed: bool,
    /// Sessions on either side that carry rows and build indexes [default: number of processors]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::jobs)]
    jobs: Option<u16>,
    /// Copy; without this, only show the plan
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    passwords: PasswordOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

/// The result as JSON shows it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    from: &'a str,
    to: &'a str,
    executed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a CopyPlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<&'a Restored>,
}

pub(crate) async fn run(context: &Context, args: CopyArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().passwords(&args.passwords);
    let settings = context.settings(overrides.journal(&args.journal))?;
    let from = Site::resolve(&settings, &args.from).await?;
    let to = Site::resolve(&settings, &args.to).await?;
    let name = args.database.as_deref().unwrap_or(to.database.name());
    let mut options = CopyOptions::default();
    options.jobs = args.jobs.map_or(options.jobs, usize::from);
    options.accept_recomputed = args.accept_recomputed;
    let job = Job { context, target: to.database.with_name(name), from, to, options };
    if !args.execute {
        return job.plan().await;
    }
    let subject = format!("{} to {}", job.from.label, job.to.label);
    let act = Act::begin(&settings, context.console(), "copy", subject)?;
    job.copy(act).await
}

/// One copy.
struct Job<'a> {
    context: &'a Context,
    from: Site,
    to: Site,
    /// The target's site under the name of the copy.
    target: Database,
    options: CopyOptions,
}

impl Job<'_> {
    fn shown(&self, executed: bool) -> Shown<'_> {
        Shown {
            from: &self.from.label,
            to: &self.to.label,
            executed,
            plan: None,
            source: None,
            restored: None,
        }
    }

    async fn plan(&self) -> anyhow::Result<Exit> {
        let plan = pgsnap::plan_copy(&self.from.database, &self.target, &self.options).await?;
        let printer = &self.context.printer;
        let shown = Shown { plan: Some(&plan), ..self.shown(false) };
        printer.result("hubctl.copy.v1", &shown, || describe(&plan))?;
        let clear = replacement::is_clear(&plan.target, printer);
        if clear {
            printer.say("dry run: nothing changed; add --execute to copy");
        }
        Ok(answer(clear))
    }

    async fn copy(&self, act: Act) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let progress = self.context.progress(phases::COPY);
        self.context.unfinished.begin(&self.target);
        let result =
            pgsnap::copy(&self.from.database, &self.target, &self.options, &progress).await;
        self.context.unfinished.end();
        drop(progress);
        let copied = act.end(result.map_err(Into::into), |copied| self.evidence(copied))?;
        let restored = &copied.restored;
        let printer = &self.context.printer;
        printer.say(format_args!(
            "{}, {} copied and found equal to the source of {} in {}",
            human::plural(restored.tables as u64, "table"),
            human::plural(restored.rows, "row"),
            human::time(&copied.taken_at),
            human::duration(begun.elapsed())
        ));
        replacement::tell(restored, printer);
        let shown =
            Shown { source: Some(source(&copied)), restored: Some(restored), ..self.shown(true) };
        printer.result("hubctl.copy.v1", &shown, || restored.database.clone())?;
        Ok(Exit::Yes)
    }

    fn evidence(&self, copied: &Copied) -> Value {
        let restored = &copied.restored;
        json!({
            "from": self.from.label,
            "source": source(copied),
            "site": self.to.label,
            "database": restored.database,
            "kept": restored.kept,
            "tables": restored.tables,
            "rows": restored.rows,
            "digest_found": restored.census.as_ref().map(pgsnap::Census::digest),
            "verdict": restored.comparison.as_ref().map(|_| "equal"),
            "phases": replacement::phases(restored),
        })
    }
}

/// What was copied, as evidence: whose it was, of which moment, and what it added up to.
fn source(copied: &Copied) -> Value {
    json!({
        "database": copied.source.database,
        "database_oid": copied.source.database_oid,
        "server_version": copied.source.server_version,
        "system_identifier": copied.source.system_identifier,
        "taken_at": copied.taken_at,
        "lsn": copied.source.lsn,
        "bytes": copied.census.bytes(),
        "digest": copied.census.digest(),
    })
}

fn describe(plan: &CopyPlan) -> String {
    let mut lines = vec![
        format!("copy      {}", plan.source),
        format!(
            "contents  {}, about {}",
            human::plural(plan.tables as u64, "table"),
            human::bytes(plan.bytes)
        ),
    ];
    lines.extend(replacement::describe(&plan.target));
    lines.join("\n")
}
