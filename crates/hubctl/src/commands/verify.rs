//! `hubctl verify`.

use backup::{Depth, Entry, Identities, State, Vault};
use clap::Args;
use jiff::Timestamp;
use pgsnap::VerifyOptions;
use serde::Serialize;
use serde_json::json;

use crate::act::Act;
use crate::cli::options::{IdentityOptions, JournalOptions, VaultOptions};
use crate::cli::values;
use crate::context::Context;
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::human;
use crate::keys;
use crate::ops::blocking;
use crate::settings::Overrides;
use crate::store::{self, OpenEntry};

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

#[derive(Debug, Serialize)]
struct Checked {
    id: String,
    path: String,
    depth: &'static str,
    /// Whether the backup is an archive whose contents a manifest describes.
    archive: bool,
    state: &'static str,
    taken_at: Option<String>,
    sealed_bytes: u64,
    tables: Option<usize>,
    rows: Option<u64>,
}

pub(crate) async fn run(context: &Context, args: VerifyArgs) -> anyhow::Result<Exit> {
    let overrides =
        Overrides::default().vault(&args.vault).identities(&args.identities).journal(&args.journal);
    let settings = context.settings(overrides)?;
    let identities = keys::opening(&settings, &context.console())?;
    let (vault, entry) = store::find_entry(&settings, &args.entry)?;
    let identities = keys::for_entry(&identities, &entry, &context.printer);
    let act = Act::begin(
        &settings,
        context.console(),
        "verify",
        format!("{}-{}", vault.service(), entry.id()),
    )?
    .about(entry.path());
    let mut checked = check(context, &args, vault.clone(), entry.clone(), identities).await;
    if checked.is_ok() && !args.full {
        // What is known to be damaged is not good because its header and its end are.
        let damaged = Damaged::read(&settings, &context.printer);
        checked = damaged.refuse(&vault, &entry).and(checked);
    }
    let checked = act.end(checked, |checked| {
        json!({ "depth": checked.depth, "tables": checked.tables, "rows": checked.rows, "sealed_bytes": checked.sealed_bytes })
    })?;
    context.printer.result("hubctl.verify.v1", &checked, || text(&checked))?;
    Ok(Exit::Yes)
}

async fn check(
    context: &Context,
    args: &VerifyArgs,
    vault: Vault,
    entry: Entry,
    identities: Identities,
) -> anyhow::Result<Checked> {
    let mut options = VerifyOptions::default();
    options.jobs = args.jobs.map_or(options.jobs, usize::from);
    let (progress, printer, full) = (context.progress(&[]), context.printer.clone(), args.full);
    blocking(move || {
        vault.verify(&entry, &identities, Depth::Quick)?;
        let opened = OpenEntry::new(&vault, &entry, &identities)?;
        let archive = match opened.archive() {
            Ok(archive) => Some(archive),
            Err(error @ pgsnap::Error::NotAnArchive { .. }) => {
                printer.warn(format_args!("{error}: its rows cannot be counted"));
                None
            }
            Err(error) => return Err(error.into()),
        };
        match &archive {
            // Every byte of an archive belongs to a member, the manifest or its pointer, so this authenticates all of it.
            Some(archive) if full => {
                pgsnap::verify(archive, &options, &progress)?;
            }
            None if full => {
                vault.verify(&entry, &identities, Depth::Full)?;
            }
            _ => {}
        }
        let entry = mark(&vault, entry, full)?;
        let census = archive.as_ref().map(|archive| &archive.manifest().census);
        Ok(Checked {
            id: entry.id().to_owned(),
            path: entry.path().display().to_string(),
            depth: if full { "full" } else { "quick" },
            archive: archive.is_some(),
            state: entry.state().as_str(),
            taken_at: entry.taken_at().map(|at| at.to_string()),
            sealed_bytes: entry.sealed_bytes(),
            tables: census.map(|census| census.tables.len()),
            rows: census.map(pgsnap::Census::rows),
        })
    })
    .await
}

/// Records the verification. A quick one of an entry that is verified already adds nothing to what
/// is recorded, and marking would read the whole file.
fn mark(vault: &Vault, entry: Entry, full: bool) -> Result<Entry, backup::Error> {
    let is_ours = entry.path().parent() == Some(vault.directory()) && entry.sidecar().is_some();
    let is_news = full || entry.state() == State::Sealed;
    match (is_ours, is_news) {
        (true, true) => match vault.mark_verified(&entry, Timestamp::now()) {
            // A copy outside the vault was given by path; it is verified, but this vault does not list it.
            Err(backup::Error::ForeignEntry { .. }) => Ok(entry),
            other => other,
        },
        _ => Ok(entry),
    }
}

fn text(checked: &Checked) -> String {
    let contents = match (checked.tables, checked.rows) {
        (Some(tables), Some(rows)) => {
            let (tables, rows) =
                (human::plural(tables as u64, "table"), human::plural(rows, "row"));
            let proof =
                if checked.depth == "full" { "recounted and digested" } else { "by its manifest" };
            format!("{tables}, {rows} {proof}")
        }
        _ => "a plain dump".to_owned(),
    };
    format!(
        "{} is good ({}): {contents}, {} sealed",
        checked.id,
        checked.depth,
        human::bytes(checked.sealed_bytes)
    )
}
