//! `hubctl verify`.

use clap::Args;
use journal::evidence::Depth;

use crate::cli::options::{IdentityOptions, JournalOptions, VaultOptions};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, VerifyOrder, VerifyReport};
use crate::printer::{Present, Printer};
use crate::settings::Overrides;

/// Verify a backup
///
/// The quick way reads the header, the end and the manifest: the key fits, nothing is missing at
/// the end. With --full everything is decrypted and decompressed, every row is counted and digested
/// again and held against the manifest. A backup that was only sealed becomes verified, and
/// `latest` if it is the newest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl verify
  hubctl verify 20261121T161200Z --full
  hubctl verify /mnt/copy/state-hub-20261121T161200Z.sql.gz.age --identity ~/keys.txt")]
pub(crate) struct VerifyArgs {
    /// Id, path or `latest`
    #[arg(value_name = "ENTRY", default_value = "latest")]
    entry: String,
    /// Decrypt everything, and count and digest every row
    #[arg(long)]
    full: bool,
    /// Threads of a full verification [default: number of processors]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::jobs, requires = "full")]
    jobs: Option<u16>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) async fn run(context: &Context, args: VerifyArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).identities(&args.identities);
    let ops = context.ops(overrides.journal(&args.journal))?;
    ops::verify(&ops, args.order()).await?.present(&context.printer)
}

impl Present for VerifyReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        printer.report(self, text)?;
        Ok(Exit::Yes)
    }
}

impl VerifyArgs {
    fn order(self) -> VerifyOrder {
        VerifyOrder { entry: self.entry, full: self.full, jobs: self.jobs }
    }
}

fn text(verified: &VerifyReport) -> String {
    let (depth, proof) = match verified.depth {
        Depth::Full => ("full", "recounted and digested"),
        Depth::Quick => ("quick", "by its manifest"),
    };
    let contents = match (verified.tables, verified.rows) {
        (Some(tables), Some(rows)) => {
            let (tables, rows) = (human::plural(tables, "table"), human::plural(rows, "row"));
            format!("{tables}, {rows} {proof}")
        }
        _ => "a plain dump".to_owned(),
    };
    let sealed = human::bytes(verified.sealed_bytes);
    format!("{} verified ({depth}): {contents}, {sealed} sealed", verified.id)
}
