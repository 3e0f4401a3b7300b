//! `hubctl drill`.

use std::time::Duration;

use clap::Args;
use journal::evidence::{Check, Verdict};

use crate::cli::options::{IdentityOptions, JournalOptions, PasswordOptions, VaultOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, DrillOrder, DrillReport, KeptCopy};
use crate::printer::{Present, Printer, answer, table};
use crate::settings::Overrides;

/// Restore a backup for real, check it, and throw the copy away
///
/// Decrypts with the configured key, restores into a scratch server on this machine (or a database
/// of its own on --server), compares every row with the manifest, runs the [drill] checks, and
/// records the verdict in the journal and, if configured, on a Markdown page. A failed drill is
/// recorded as failed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl drill
  hubctl drill 20261121T161200Z
  hubctl drill --server postgresql://postgres@127.0.0.1:5433/postgres")]
pub(crate) struct DrillArgs {
    /// Id, path or `latest`
    #[arg(value_name = "ENTRY", default_value = "latest")]
    entry: String,
    /// Drill on this server instead of a scratch server; its databases stay as they are
    #[arg(long, value_name = "SITE|URL")]
    server: Option<String>,
    /// Keep the restored copy: wait for Ctrl-C, or leave the database on --server
    #[arg(long)]
    keep: bool,
    /// Accept generated columns whose recomputed values differ from the source
    #[arg(long)]
    accept_recomputed: bool,
    /// Sessions that load rows and build indexes [default: number of processors]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::jobs)]
    jobs: Option<u16>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    passwords: PasswordOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: DrillArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).identities(&args.identities);
    let ops = context.ops(overrides.passwords(&args.passwords).journal(&args.journal))?;
    let mut drilled = ops::drill(&ops, args.order()).await?;
    if let Some(copy) = drilled.kept.take() {
        hold(context, copy).await;
    }
    drilled.present(&context.printer)
}

impl Present for DrillReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        if let Some(failure) = &self.failure {
            // The answer is no, and the result says why.
            printer.talk(failure);
        }
        printer.report(self, text)?;
        Ok(answer(self.verdict == Verdict::Passed))
    }
}

impl DrillArgs {
    fn order(self) -> DrillOrder {
        DrillOrder {
            entry: self.entry,
            server: self.server,
            keep: self.keep,
            accept_recomputed: self.accept_recomputed,
            jobs: self.jobs,
        }
    }
}

/// Keeps a copy until Ctrl-C: it does not survive the program.
async fn hold(context: &Context, copy: KeptCopy) {
    let (directory, database) = (copy.directory().display(), copy.database());
    context.printer.say(format_args!(
        "the copy is kept: psql -h {directory} -U {} {}",
        database.user(),
        database.name()
    ));
    context.printer.say("press Ctrl-C to end the drill");
    context.hold.wait().await;
}

fn text(drilled: &DrillReport) -> String {
    let mut lines = vec![format!(
        "drill {}: {} in {}",
        drilled.verdict.as_str(),
        drilled.id,
        human::duration(Duration::from_secs_f64(drilled.seconds))
    )];
    lines.push(format!(
        "data of {} ({} old)",
        human::time(drilled.taken_at.as_deref().unwrap_or("an unknown time")),
        drilled.shown_age()
    ));
    if drilled.error.is_none() {
        let tables = human::plural(drilled.tables.len() as u64, "table");
        let rows = human::plural(drilled.rows, "row");
        lines.push(format!(
            "{tables}, {rows} restored on {}, all equal to the manifest",
            drilled.place
        ));
    }
    if !drilled.checks.is_empty() {
        lines.push(String::new());
        lines.push(checks(&drilled.checks));
    }
    lines.join("\n")
}

fn checks(checks: &[Check]) -> String {
    let rows = checks.iter().map(|check| {
        vec![
            check.name.clone(),
            ops::verdict_on(check).as_str().to_owned(),
            check.expect.clone(),
            ops::answer_to(check).to_owned(),
        ]
    });
    table(&["check", "verdict", "expected", "found"], rows)
}
