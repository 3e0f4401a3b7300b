//! `hubctl freeze`.

use clap::Args;
use pgsnap::FenceKind;

use crate::cli::options::{JournalOptions, PasswordOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, FreezeOrder, FreezePlanReport, Ops};
use crate::printer::{Printer, answer};
use crate::settings::Overrides;

/// Freeze a site: keep its database as it is
///
/// Without --execute nothing is changed: the plan names the sessions that would be ended and the
/// obstacles, and the exit code says whether there are any. A freeze ends every session and renames
/// the database to NAME__frozen_ID, which PostgreSQL refuses while a session is in it. To bring
/// everything back exactly as it was, `hubctl thaw` needs the record beside the journal or the
/// server alone. An interrupted freeze is finished by the next one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl freeze workstation                  show the plan
  hubctl freeze workstation --execute
  hubctl freeze workstation --allow-reads --execute")]
pub(crate) struct FreezeArgs {
    /// Site or connection URL
    #[arg(value_name = "SITE|URL")]
    site: String,
    /// Make new transactions read-only by default instead; this stops well-behaved clients only
    #[arg(long)]
    allow_reads: bool,
    /// Freeze; without this, only show the plan
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    passwords: PasswordOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: FreezeArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().passwords(&args.passwords);
    let ops = context.ops(overrides.journal(&args.journal))?;
    if !args.execute {
        return plan(context, &ops, args.order()).await;
    }
    let frozen = ops::freeze(&ops, args.order()).await?;
    context.printer.report(&frozen, |frozen| frozen.fence.behind.clone())?;
    Ok(Exit::Yes)
}

async fn plan(context: &Context, ops: &Ops, order: FreezeOrder) -> anyhow::Result<Exit> {
    let report = ops::plan_freeze(ops, order).await?;
    let printer = &context.printer;
    printer.report(&report, text)?;
    qualify(&report, printer);
    match (&report.standing, report.is_clear()) {
        (Some(_), true) => printer.say("already frozen; --execute finishes an interrupted freeze"),
        (None, true) => printer.say("dry run: nothing changed; add --execute to freeze"),
        (_, false) => {}
    }
    Ok(answer(report.is_clear()))
}

impl FreezeArgs {
    fn order(self) -> FreezeOrder {
        let mut order = FreezeOrder::new(self.site);
        order.options.allow_reads = self.allow_reads;
        order
    }
}

fn qualify(plan: &FreezePlanReport, printer: &Printer) {
    for obstacle in &plan.obstacles {
        printer.warn(format_args!("obstacle: {}", obstacle.problem));
        printer.hint(&obstacle.remedy);
    }
    if plan.standing.is_some() && !plan.is_clear() {
        printer.warn("obstacle: a fence of the other kind stands around it");
        printer.hint("thaw the site first");
    }
    for warning in &plan.warnings {
        printer.warn(warning);
    }
}

fn text(plan: &FreezePlanReport) -> String {
    let mut lines = vec![format!("freeze    {}", plan.database)];
    if let Some(fence) = &plan.standing {
        let since = human::time(&fence.planned_at);
        lines.push(format!("frozen    since {since}, as {}", fence.behind));
        return lines.join("\n");
    }
    lines.push(match plan.kind {
        FenceKind::Soft => {
            "clients   may read; new transactions are read-only by default".to_owned()
        }
        _ => "clients   are refused; the database is renamed to NAME__frozen_ID".to_owned(),
    });
    if !plan.read_only_roles.is_empty() {
        let roles = plan.read_only_roles.join(", ");
        lines.push(format!("sets      the read-only default of role(s) {roles}"));
    }
    let count = human::plural(plan.sessions.len() as u64, "session");
    lines.push(format!("ends      {count}"));
    lines.extend(plan.sessions.iter().map(|session| format!("          {session}")));
    lines.push(format!("record    {}", plan.record));
    lines.join("\n")
}
