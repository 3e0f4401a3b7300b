//! `hubctl backups`.

use std::time::Duration;

use clap::Args;

use crate::cli::options::{JournalOptions, VaultOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::human;
use crate::ops::{self, BackupsOrder, BackupsReport, ListedBackup, ListedCopy};
use crate::printer::{Present, Printer, table};
use crate::settings::Overrides;

/// List the backups in the vault, newest first
///
/// STATE is how far a backup is proven: sealed (written), verified (opened and checked), drilled
/// (restored for real); foreign is a file without a sidecar; damaged is what a verification of this
/// journal found. The age counts from the time of the data.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hubctl backups\n  hubctl backups --vault /opt/backup/state-hub --format json"
)]
pub(crate) struct BackupsArgs {
    /// List the copies at this configured target instead
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

pub(crate) fn run(context: &Context, args: BackupsArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default().vault(&args.vault).journal(&args.journal);
    let ops = context.ops(overrides)?;
    ops::backups(&ops, BackupsOrder { target: args.target })?.present(&context.printer)
}

impl Present for BackupsReport {
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit> {
        printer.report(self, |report| text(&report.backups))?;
        Ok(Exit::Yes)
    }
}

fn text(backups: &[ListedBackup]) -> String {
    if backups.is_empty() {
        return String::new();
    }
    let unknown = || "?".to_owned();
    let rows = backups.iter().map(|backup| {
        vec![
            backup.id.clone(),
            backup
                .taken_at
                .as_ref()
                .map_or_else(unknown, |at| at.get(..19).unwrap_or(at).replace('T', " ")),
            backup
                .age_seconds
                .map_or_else(unknown, |age| human::duration(Duration::from_secs(age))),
            human::bytes(backup.sealed_bytes),
            backup.rows.map_or_else(unknown, human::number),
            backup.state.to_owned(),
            backup
                .recipients
                .iter()
                .map(|recipient| short(recipient))
                .collect::<Vec<_>>()
                .join(" "),
            copies(&backup.copies),
        ]
    });
    table(&["id", "taken (utc)", ">age", ">size", ">rows", "state", "recipients", "copies"], rows)
}

/// The targets; one where the copy was not read back has a question mark.
fn copies(copies: &[ListedCopy]) -> String {
    let shown = copies.iter().map(|copy| {
        let mark = if copy.proven_at.is_some() { "" } else { "?" };
        format!("{}{mark}", copy.target)
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// The beginning of a public key: enough to tell one's own keys apart.
fn short(recipient: &str) -> String {
    let key = recipient.rsplit(' ').next().unwrap_or(recipient);
    let kind = recipient
        .split(' ')
        .next()
        .filter(|_| recipient.contains(' '))
        .map(|kind| format!("{kind}:"))
        .unwrap_or_default();
    let shown: String = key.chars().take(12).collect();
    format!("{kind}{shown}…")
}
