//! `hubctl diff`.

mod text;

use clap::Args;

use crate::cli::options::{IdentityOptions, PasswordOptions, VaultOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, CompareDepth, CompareOrder, CompareReport};
use crate::printer::{Present, Printer, answer};
use crate::settings::Overrides;

/// Compare two databases or backups
///
/// Every row counts: tables are compared by exact counts and content digests, each side at one
/// point in time. Exits with 0 if nothing differs, 1 if something does, 3 if a side could not be
/// asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl diff workstation cluster
  hubctl diff workstation latest --rows 20
  hubctl diff 20261120T161200Z latest --counts")]
pub(crate) struct DiffArgs {
    /// Site, connection URL, or backup (id, path, `latest`)
    #[arg(value_name = "A")]
    a: String,
    /// Site, connection URL, or backup (id, path, `latest`)
    #[arg(value_name = "B")]
    b: String,
    /// Compare row counts only
    #[arg(long, conflicts_with_all = ["content", "rows"])]
    counts: bool,
    /// Compare counts and contents (the default)
    #[arg(long)]
    content: bool,
    /// Also list up to N differing rows of each table, by their key
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::rows)]
    rows: Option<u32>,
    /// Sessions that read rows [default: number of processors]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::jobs)]
    jobs: Option<u16>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    passwords: PasswordOptions,
}

pub(crate) async fn run(context: &Context, args: DiffArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).identities(&args.identities);
    let ops = context.ops(overrides.passwords(&args.passwords))?;
    ops::compare(&ops, args.order()).await?.present(&context.printer)
}

impl Present for CompareReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        for note in &self.comparison.notes {
            printer.warn(note);
        }
        printer.report(self, text::text)?;
        printer.say(summary(self));
        Ok(answer(self.equal))
    }
}

impl DiffArgs {
    fn order(self) -> CompareOrder {
        CompareOrder {
            a: self.a,
            b: self.b,
            depth: if self.counts { CompareDepth::Counts } else { CompareDepth::Content },
            rows: self.rows,
            jobs: self.jobs,
        }
    }
}

fn summary(compared: &CompareReport) -> String {
    let CompareReport { a, b, comparison, .. } = compared;
    let tables = human::plural(comparison.tables as u64, "table");
    let rows = human::plural(comparison.rows, "row");
    if compared.equal {
        let proof = compared.depth.proof();
        return format!("equal: {a} and {b}, {tables}, {rows}, compared by {proof}");
    }
    let count = human::plural(comparison.differences.len() as u64, "difference");
    format!("{count} between A = {a} and B = {b} ({tables}, {rows} in A)")
}
