//! `hubctl copy`.

use clap::Args;
use pgsnap::{CopyOptions, CopyPlan};

use crate::cli::options::{JournalOptions, PasswordOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, CopyOrder, CopyPlanReport};
use crate::printer::{Present, Printer, answer};
use crate::replacement;
use crate::settings::Overrides;

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

pub(crate) async fn run(context: &Context, args: CopyArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().passwords(&args.passwords);
    let ops = context.ops(overrides.journal(&args.journal))?;
    if !args.execute {
        return ops::plan_copy(&ops, args.order()).await?.present(&context.printer);
    }
    let copied = ops::copy(&ops, args.order()).await?;
    context.printer.report(&copied, |copied| copied.restored.database.clone())?;
    Ok(Exit::Yes)
}

impl Present for CopyPlanReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        printer.report(self, |report| text(&report.plan))?;
        replacement::qualify(&self.plan.target, printer);
        if self.is_clear() {
            printer.say("dry run: nothing changed; add --execute to copy");
        }
        Ok(answer(self.is_clear()))
    }
}

impl CopyArgs {
    fn order(self) -> CopyOrder {
        let mut options = CopyOptions::default();
        options.jobs = self.jobs.map_or(options.jobs, usize::from);
        options.accept_recomputed = self.accept_recomputed;
        CopyOrder { from: self.from, to: self.to, database: self.database, options }
    }
}

fn text(plan: &CopyPlan) -> String {
    let (tables, size) = (human::plural(plan.tables as u64, "table"), human::bytes(plan.bytes));
    let mut lines =
        vec![format!("copy      {}", plan.source), format!("contents  {tables}, about {size}")];
    lines.extend(replacement::describe(&plan.target));
    lines.join("\n")
}
