//! `hubctl cutover`.

use clap::Args;

use crate::cli::options::{IdentityOptions, JournalOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{
    self, CutoverOrder, CutoverOutcome, CutoverPlanReport, CutoverReport, StepState, TakenStep,
};
use crate::printer::{Present, Printer};
use crate::settings::{CutoverMode, Overrides};

/// Move the service to another site
///
/// Without --execute nothing is changed: the plan lists the steps and what is in the way, and the
/// exit code says whether there is anything. A cutover stops the writers, freezes the source,
/// brings its rows to the target, proves that they are equal, makes the target the primary in one
/// transaction, starts the writers there and leads clients to it. Until that transaction every
/// failure, and a freeze beyond the budget, undoes everything. After it the source stays frozen,
/// and `hubctl rollback` brings the service back with all new rows. An interrupted cutover goes on
/// with the next --execute.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl cutover                             show the plan
  hubctl cutover --execute
  hubctl cutover --mode delta --execute      copy before the freeze, ship what differs in it
  hubctl cutover --from workstation --to cluster --execute")]
pub(crate) struct CutoverArgs {
    /// Site that is left [default: [cutover] from]
    #[arg(long, value_name = "SITE")]
    from: Option<String>,
    /// Site that takes over [default: [cutover] to]
    #[arg(long, value_name = "SITE")]
    to: Option<String>,
    /// How the rows get there [default: [cutover] mode]
    #[arg(long, value_enum)]
    mode: Option<CutoverMode>,
    /// Move; without this, only show the plan
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: CutoverArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().identities(&args.identities).journal(&args.journal);
    let ops = context.ops(overrides)?;
    let order = CutoverOrder { from: args.from, to: args.to, mode: args.mode };
    if args.execute {
        return ops::cutover(&ops, order).await?.present(&context.printer);
    }
    ops::plan_cutover(&ops, order).await?.present(&context.printer)
}

impl Present for CutoverPlanReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        printer.report(self, plan_text)?;
        for obstacle in &self.obstacles {
            printer.warn(format_args!("obstacle: {}", obstacle.problem));
            if !obstacle.remedy.is_empty() {
                printer.hint(&obstacle.remedy);
            }
        }
        self.warnings.iter().for_each(|warning| printer.warn(warning));
        if self.is_clear() {
            printer.say("dry run: nothing changed; add --execute to act");
        }
        Ok(match self.is_clear() {
            true => Exit::Yes,
            false if self.needs_approval => Exit::NeedsApproval,
            false => Exit::No,
        })
    }
}

impl Present for CutoverReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        printer.report(self, report_text)?;
        self.warnings.iter().for_each(|warning| printer.warn(warning));
        say_end(self, printer);
        let is_retryable = self.trouble.as_ref().is_some_and(|trouble| trouble.retryable);
        Ok(match self.outcome {
            CutoverOutcome::Done => Exit::Yes,
            CutoverOutcome::Undone if self.requested => Exit::Yes,
            CutoverOutcome::NeedsApproval => Exit::NeedsApproval,
            CutoverOutcome::Stuck if is_retryable => Exit::CouldNotAsk,
            _ => Exit::No,
        })
    }
}

fn say_end(report: &CutoverReport, printer: &Printer) {
    let (from, to) = (&report.from, &report.to);
    match report.outcome {
        CutoverOutcome::Done => {
            let (epoch, frozen) = (report.epoch, frozen(report));
            printer.say(format_args!("{to} is the primary of epoch {epoch}{frozen}"));
        }
        CutoverOutcome::Undone => {
            printer.warn(format_args!("undone: {from} is as it was before"));
        }
        CutoverOutcome::Abandoned => printer.warn("the run was abandoned"),
        CutoverOutcome::Stuck | CutoverOutcome::NeedsApproval => {
            if report.committed {
                printer.warn(format_args!("{to} is the primary, and not every step is done"));
            } else {
                printer.warn(format_args!("not finished; {from} stays as it is now"));
            }
            printer.hint(
                "repeat the command to go on, or take it back with `hubctl rollback --execute`",
            );
        }
    }
}

fn frozen(report: &CutoverReport) -> String {
    let seconds = report.frozen_seconds;
    seconds.map(|seconds| format!("; frozen for {seconds:.1} s")).unwrap_or_default()
}

fn plan_text(plan: &CutoverPlanReport) -> String {
    let (from, to) = (&plan.from, &plan.to);
    let mut lines = vec![format!("move      {from} to {to}, {}, epoch {}", plan.mode, plan.epoch)];
    if let Some(run) = &plan.resumes {
        lines.push(format!("resumes   run {run}"));
    }
    if let Some(name) = &plan.keeps {
        lines.push(format!("keeps     the present {name} of {to} under another name"));
    }
    let budget = human::duration(std::time::Duration::from_secs(plan.freeze_budget));
    lines.push(match plan.last_frozen_seconds {
        Some(seconds) => format!("frozen    {budget} at most; {seconds:.1} s the last time"),
        None => format!("frozen    {budget} at most"),
    });
    let width = width(plan.steps.iter().map(|step| step.id.as_str()));
    for (index, step) in plan.steps.iter().enumerate() {
        let name = if index == 0 { "steps" } else { "" };
        let commits = if step.commits { "  (the commit point)" } else { "" };
        lines.push(format!("{name:<10}{:<width$}{}{commits}", step.id, step.title));
    }
    lines.join("\n")
}

fn report_text(report: &CutoverReport) -> String {
    let width = width(report.steps.iter().map(|step| step.id.as_str()));
    let lines = report.steps.iter().map(|step| step_text(step, width));
    lines.collect::<Vec<_>>().join("\n")
}

/// The column of the names of steps.
fn width<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    ids.map(str::len).max().unwrap_or_default() + 2
}

fn step_text(step: &TakenStep, width: usize) -> String {
    let state = match step.state {
        StepState::Pending => "-",
        StepState::Begun => "begun",
        StepState::Done => "done",
        StepState::Failed => "failed",
        StepState::Undone => "undone",
    };
    let seconds = step.seconds.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
    let line = format!("{:<width$}{state:<8}{seconds:>8}  {}", step.id, step.title);
    line.trim_end().to_owned()
}
