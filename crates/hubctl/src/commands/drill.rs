//! `hubctl drill`.

mod page;
mod place;
mod record;

use std::time::Instant;

use anyhow::Context as _;
use backup::{Entry, Identities, Vault};
use clap::Args;
use jiff::Timestamp;
use pgsnap::RestoreOptions;

use crate::act::Act;
use crate::cli::options::{IdentityOptions, JournalOptions, PasswordOptions, VaultOptions};
use crate::cli::values;
use crate::commands::restore::open;
use crate::context::Context;
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::failure::{Failure, Refusal};
use crate::keys;
use crate::ops::phases;
use crate::settings::{Overrides, Settings};
use crate::site::Site;
use crate::store;
use place::Place;
use record::{Drilled, PASSED, ask};

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
    let settings = context.settings(overrides.passwords(&args.passwords).journal(&args.journal))?;
    let identities = keys::opening(&settings, &context.console())?;
    let (vault, entry) = store::find_entry(&settings, &args.entry)?;
    let identities = keys::for_entry(&identities, &entry, &context.printer);
    let subject = format!("{}-{}", vault.service(), entry.id());
    let act = Act::begin(&settings, context.console(), "drill", subject)?.about(entry.path());
    let begun = Instant::now();
    let mut drilled = Drilled::of(&entry, Timestamp::now());
    let result = drill(context, &args, &settings, &vault, &entry, identities, &mut drilled).await;
    drilled.seconds = begun.elapsed().as_secs_f64();
    let error = drilled.judge(result);
    // The page is evidence too, and belongs into the record; that it cannot be written does not change the verdict.
    match page::write(&settings, vault.service(), &drilled) {
        Ok(page) => drilled.page = page.map(|path| path.display().to_string()),
        Err(error) => context
            .printer
            .warn(format_args!("the page about this drill could not be written: {error:#}")),
    }
    act.answer(drilled.verdict == PASSED, drilled.evidence())?;
    if drilled.verdict == PASSED && entry.path().parent() == Some(vault.directory()) {
        mark(context, &vault, &entry);
    }
    finish(context, &drilled, error)
}

/// Records the drill beside the entry. An entry that was never verified stays so: its hash was not
/// looked at.
fn mark(context: &Context, vault: &Vault, entry: &Entry) {
    match vault.mark_drilled(entry, Timestamp::now()) {
        Ok(_) | Err(backup::Error::ForeignEntry { .. }) => {}
        Err(error) => {
            context.printer.warn(format_args!("the drill is not recorded in the vault: {error}"));
            if let Some(hint) = error.hint() {
                context.printer.hint(hint);
            }
        }
    }
}

fn finish(
    context: &Context,
    drilled: &Drilled,
    error: Option<anyhow::Error>,
) -> anyhow::Result<Exit> {
    if let Some(error) = error {
        let failure = Failure::of(&error);
        if failure.exit != Exit::No {
            return Err(error);
        }
        // The answer is no, and the result says why.
        context.printer.talk(&failure);
    }
    context.printer.result("hubctl.drill.v1", drilled, || drilled.text())?;
    Ok(crate::printer::answer(drilled.verdict == PASSED))
}

async fn drill(
    context: &Context,
    args: &DrillArgs,
    settings: &Settings,
    vault: &Vault,
    entry: &Entry,
    identities: Identities,
    drilled: &mut Drilled,
) -> anyhow::Result<()> {
    // A refusal is a failed drill too, and on record.
    if args.entry == store::LATEST {
        Damaged::read(settings, &context.printer).refuse(vault, entry)?;
    }
    let (_, archive) = open(vault.clone(), entry.clone(), identities)
        .await
        .context("the backup cannot be opened")?;
    let Some(archive) = archive else {
        return Err(Refusal::no("a plain dump has no manifest to hold a restored copy against")
            .hint("restore it with `hubctl restore`, and compare by hand")
            .into());
    };
    drilled.snapshot_at(&archive.manifest().taken_at);
    let place = match &args.server {
        Some(server) => {
            let site = Site::resolve(settings, server).await?;
            Place::on(&site.database, vault.service(), entry.id(), args.keep, &context.printer)
                .await?
        }
        None => Place::scratch(archive.manifest().source.server_major()).await?,
    };
    drilled.place = place.describe();
    let mut options = RestoreOptions::default();
    options.jobs = args.jobs.map_or(options.jobs, usize::from);
    // A scratch server has no roles, and nobody's rights are at stake there.
    options.create_roles = place.is_scratch();
    options.accept_recomputed = args.accept_recomputed;
    options.tablespaces = !place.is_scratch();
    // Nobody but the checks plans a query there.
    options.statistics = !place.is_scratch() || !settings.checks.is_empty();
    let progress = context.progress(phases::RESTORE);
    let restored = pgsnap::restore(&archive, place.database(), &options, &progress).await?;
    drop(progress);
    drilled.restored(&restored);
    for check in &settings.checks {
        drilled.checks.push(ask(place.database(), &check.value).await);
    }
    place.leave(context, args.keep).await
}
