//! `hubctl backup`.

mod anomaly;

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use backup::{Depth, Entry, Identities, Recipients, SidecarFacts, State, Vault};
use clap::Args;
use jiff::Timestamp;
use pgsnap::{Database, DumpOptions, Manifest};
use serde::Serialize;
use serde_json::{Value, json};

use crate::act::Act;
use crate::alerts::Ping;
use crate::cli::options::{
    IdentityOptions, JournalOptions, PasswordOptions, RecipientOptions, VaultOptions,
};
use crate::cli::values;
use crate::context::{Context, blocking};
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::failure::{Failure, Refusal, is_disk_full};
use crate::human;
use crate::keys;
use crate::printer::answer;
use crate::progress;
use crate::settings::{Overrides, Settings};
use crate::site::Site;
use crate::store::{self, OpenEntry};

/// Take an encrypted backup and verify it; print its path
///
/// All rows are of one point in time. The file is sealed while it is written, appears in the vault
/// only when it is complete, and becomes `latest` only after it is reopened and verified, which
/// requires an identity.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl backup
  hubctl backup workstation --jobs 4
  hubctl backup postgresql://hub@127.0.0.1:5432/state_hub --vault /opt/backup/hub --recipient age1…")]
pub(crate) struct BackupArgs {
    /// Site or connection URL [default: site of [backup], else the only site]
    #[arg(value_name = "SITE|URL")]
    source: Option<String>,
    /// Sessions that read rows [default: number of processors]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::jobs)]
    jobs: Option<u16>,
    /// Include role password hashes (requires superuser)
    #[arg(long)]
    role_passwords: bool,
    /// Also back up the rows of this foreign server's tables, read when it is queried (exact name;
    /// can be repeated)
    #[arg(long = "include-foreign-data", value_name = "SERVER")]
    foreign_data: Vec<String>,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    recipients: RecipientOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    passwords: PasswordOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

/// What a backup is made of.
struct Order {
    site: Site,
    vault: Vault,
    recipients: Recipients,
    identities: Identities,
    jobs: Option<u16>,
    role_passwords: bool,
    foreign_data: Vec<String>,
    /// Tables that grow only.
    append_only: Vec<String>,
    damaged: Damaged,
}

/// The result as JSON shows it.
#[derive(Debug, Serialize)]
struct Taken {
    id: String,
    path: String,
    state: &'static str,
    taken_at: String,
    sealed_bytes: u64,
    sha256: String,
    recipients: Vec<String>,
    payload: Value,
    /// The head of the journal before its own record.
    anchor: Option<String>,
    /// Why it is not verified, although it opens: what looks as if it had got lost.
    suspicious: Vec<String>,
    cleaned: Vec<String>,
    seconds: f64,
}

pub(crate) async fn run(context: &Context, args: BackupArgs) -> anyhow::Result<Exit> {
    let overrides = Overrides::default()
        .vault(&args.vault)
        .recipients(&args.recipients)
        .identities(&args.identities);
    let settings = context.settings(overrides.passwords(&args.passwords).journal(&args.journal))?;
    let ping = Ping::begin(&settings, &context.printer);
    let backed_up = back_up(context, args, &settings).await;
    if let Some(ping) = ping {
        tell_monitor(context, ping, &backed_up).await;
    }
    let taken = backed_up?;
    context.printer.result("hubctl.backup.v1", &taken, || taken.path.clone())?;
    Ok(answer(taken.suspicious.is_empty()))
}

/// The monitor hears of success only where a backup is verified. One that is merely sealed is none
/// yet, and silence makes it alarm.
async fn tell_monitor(context: &Context, ping: Ping, backed_up: &anyhow::Result<Taken>) {
    match backed_up {
        Err(error) => ping.fail(Failure::of(error).message).await,
        Ok(taken) if !taken.suspicious.is_empty() => {
            ping.fail(format!("suspicious: {}", taken.suspicious.join("; "))).await;
        }
        Ok(taken) if taken.state == State::Sealed.as_str() => context
            .printer
            .warn("the monitor of [alerts.ping] was not told of a backup that is not verified"),
        Ok(_) => ping.succeed().await,
    }
}

async fn back_up(
    context: &Context,
    args: BackupArgs,
    settings: &Settings,
) -> anyhow::Result<Taken> {
    let site = Site::resolve_or_only(settings, args.source.as_deref()).await?;
    let passphrase = keys::passphrase(settings)?;
    let order = Order {
        vault: store::open_vault(settings, Some(site.database.name()))?,
        recipients: keys::recipients(settings, passphrase.as_ref())?,
        identities: keys::identities(settings, passphrase, &context.printer)?,
        jobs: args.jobs,
        role_passwords: args.role_passwords,
        foreign_data: args.foreign_data,
        append_only: settings.append_only.clone(),
        damaged: Damaged::read(settings, &context.printer),
        site,
    };
    warn_about_keys(context, &order, settings);
    let act = Act::begin(settings, &context.printer, "backup", order.vault.service())?;
    let taken = take(context, &order, &act).await.map_err(|error| {
        if !is_disk_full(&error) {
            return error;
        }
        let directory = order.vault.directory().display();
        error.context(format!("there is no room left for the backup in {directory}"))
    });
    act.end(taken, |taken| {
        json!({ "id": taken.id, "state": taken.state, "sealed_bytes": taken.sealed_bytes, "sha256": taken.sha256,
                "site": order.site.label, "payload": taken.payload })
    })
}

fn warn_about_keys(context: &Context, order: &Order, settings: &Settings) {
    if keys::is_passphrase(&order.recipients) {
        context.printer.warn("a passphrase is the only recipient: without it every backup is lost");
        context
            .printer
            .hint("keep a copy of the passphrase elsewhere, or seal for two public keys");
    } else if order.recipients.len() == 1 {
        context.printer.warn("there is only one recipient: without its key every backup is lost");
        context.printer.hint("add an escrow recipient whose key is kept elsewhere");
    } else if keys::absent(&order.recipients, &order.identities).is_empty() {
        context.printer.warn(keys::NO_ESCROW);
        context.printer.hint(keys::ESCROW_HINT);
    }
    for path in keys::beside_the_vault(settings, &order.vault) {
        context.printer.warn(format_args!(
            "the identity {} lies in the vault: whoever gets the one gets the other",
            path.display()
        ));
    }
}

async fn take(context: &Context, order: &Order, act: &Act) -> anyhow::Result<Taken> {
    let begun = Instant::now();
    let lock = order.vault.lock()?;
    let cleaned = clean(context, order, &lock)?;
    check_space(context, &order.site.database, order.vault.directory()).await?;
    // The snapshot is a moment later than this, so the age of the backup is never understated.
    let taken_at = Timestamp::now();
    let sealing = order.vault.begin(&lock, &order.recipients, taken_at)?;
    let mut options = DumpOptions::default();
    options.jobs = order.jobs.map_or(options.jobs, usize::from);
    options.role_passwords = order.role_passwords;
    options.foreign_data.clone_from(&order.foreign_data);
    let progress = context.progress(progress::BACKUP);
    let (sealing, manifest) =
        pgsnap::dump(&order.site.database, sealing, &options, &progress).await?;
    drop(progress);
    let (payload, suspicious) = examined(context, order, &manifest)?;
    let head = act.head().unwrap_or_else(|error| {
        context
            .printer
            .warn(format_args!("the backup takes no head of the journal along: {error}"));
        None
    });
    let facts = SidecarFacts::new(Timestamp::now())
        .payload(payload.clone())
        .anchor(head.map(|head| head.to_string()));
    let entry = blocking(move || sealing.commit(facts)).await?;
    drop(lock);
    tell(context, order, &manifest, &entry, begun);
    let entry = prove(context, order, entry, &manifest, &suspicious).await?;
    let sidecar =
        entry.sidecar().ok_or_else(|| Refusal::no("the new backup has no usable sidecar"))?;
    Ok(Taken {
        id: entry.id().to_owned(),
        path: entry.path().display().to_string(),
        state: entry.state().as_str(),
        taken_at: sidecar.taken_at.to_string(),
        sealed_bytes: entry.sealed_bytes(),
        sha256: sidecar.sha256.clone(),
        recipients: sidecar.recipients.iter().map(|each| each.recipient.clone()).collect(),
        payload,
        anchor: sidecar.anchor.clone(),
        suspicious,
        cleaned,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

fn clean(
    context: &Context,
    order: &Order,
    lock: &backup::VaultLock,
) -> anyhow::Result<Vec<String>> {
    let leftovers = order.vault.clean_leftovers(lock)?;
    for leftover in &leftovers {
        let (path, size) = (leftover.path.display(), human::bytes(leftover.bytes));
        context
            .printer
            .warn(format_args!("removed a leftover of an interrupted run: {path} ({size})"));
    }
    Ok(leftovers.iter().map(|leftover| leftover.path.display().to_string()).collect())
}

/// A disk that is clearly too small is found before an hour is spent on it.
async fn check_space(
    context: &Context,
    database: &Database,
    directory: &Path,
) -> anyhow::Result<()> {
    /// Dumps of real data are rarely more than this part of the database's size.
    const PART: u64 = 4;
    let size = database_size(database).await?;
    let free = free_bytes(directory)?;
    if free < size / PART {
        let (free, size) = (human::bytes(free), human::bytes(size));
        context
            .printer
            .warn(format_args!("only {free} are free in the vault, and the database has {size}"));
    }
    Ok(())
}

/// The size of the database on the server's disk.
pub(crate) async fn database_size(database: &Database) -> anyhow::Result<u64> {
    let answer = pgsnap::query_scalar(
        database,
        "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())",
    )
    .await?;
    Ok(answer.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// What this user may still write into a directory's file system.
pub(crate) fn free_bytes(directory: &Path) -> anyhow::Result<u64> {
    let found = rustix::fs::statvfs(directory)
        .with_context(|| format!("the free space of {} is unknown", directory.display()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The public facts of a new backup, and what is suspicious about them.
fn examined(
    context: &Context,
    order: &Order,
    manifest: &Manifest,
) -> anyhow::Result<(Value, Vec<String>)> {
    let mut payload = payload(manifest);
    if !order.append_only.is_empty() {
        payload["append_only"] = anomaly::append_only(manifest, &order.append_only).into();
    }
    let before = anomaly::predecessor(&order.vault, &order.damaged)?;
    let before = before.as_ref().and_then(Entry::sidecar);
    let before = before.map_or(&Value::Null, |sidecar| &sidecar.payload);
    let suspicious = anomaly::anomalies(before, &payload);
    if !suspicious.is_empty() {
        payload["suspicious"] = json!(suspicious);
    }
    if let Some(note) = anomaly::moved(before, &payload) {
        context.printer.say(note);
    }
    Ok((payload, suspicious))
}

/// The public facts of the sidecar, specified in `docs/formats/results.md`.
fn payload(manifest: &Manifest) -> Value {
    json!({
        "schema": "hubctl.payload.v1",
        "format": manifest.format,
        "database": manifest.source.database,
        "server_version": manifest.source.server_version,
        "system_identifier": manifest.source.system_identifier,
        "database_oid": manifest.source.database_oid,
        "snapshot_at": manifest.taken_at,
        "tables": manifest.census.tables.len(),
        "rows": manifest.census.rows(),
        "bytes": manifest.census.bytes(),
        "table_sample": anomaly::table_sample(manifest),
    })
}

fn tell(context: &Context, order: &Order, manifest: &Manifest, entry: &Entry, begun: Instant) {
    let (tables, rows) = (manifest.census.tables.len() as u64, manifest.census.rows());
    context.printer.say(format_args!(
        "{}: {} with {}, {} of rows sealed into {} in {}",
        order.site.label,
        human::plural(tables, "table"),
        human::plural(rows, "row"),
        human::bytes(manifest.census.bytes()),
        human::bytes(entry.sealed_bytes()),
        human::duration(begun.elapsed()),
    ));
}

/// Opens the new entry again, compares its manifest with the one of the dump, and lets `latest`
/// follow.
async fn prove(
    context: &Context,
    order: &Order,
    entry: Entry,
    manifest: &Manifest,
    suspicious: &[String],
) -> anyhow::Result<Entry> {
    if order.identities.is_empty() {
        if !suspicious.is_empty() {
            say_suspicious(context, &entry, suspicious);
        }
        let printer = &context.printer;
        printer.warn(format_args!(
            "{} is sealed, but NOT VERIFIED: no identity was given to open it with",
            entry.id()
        ));
        printer.warn("`latest` still points to the last verified backup");
        printer.hint(format_args!(
            "run `hubctl verify {} --identity FILE` where the key is",
            entry.id()
        ));
        return Ok(entry);
    }
    let is_suspicious = !suspicious.is_empty();
    let (vault, identities, written) =
        (order.vault.clone(), order.identities.clone(), manifest.clone());
    let entry = blocking(move || -> anyhow::Result<Entry> {
        vault.verify(&entry, &identities, Depth::Quick)?;
        let found = OpenEntry::new(&vault, &entry, &identities)?.archive()?;
        if found.manifest().census != without_statements(written) {
            return Err(
                Refusal::no("the manifest in the vault is not the one that was written").into()
            );
        }
        if is_suspicious {
            return Ok(entry);
        }
        Ok(vault.mark_verified(&entry, Timestamp::now())?)
    })
    .await
    .context("the new backup was sealed, but could not be verified; `latest` was not moved")?;
    if is_suspicious {
        say_suspicious(context, &entry, suspicious);
        return Ok(entry);
    }
    debug_assert!(entry.state() >= State::Verified);
    context.printer.say(format_args!(
        "verified: {} opens, and its manifest is complete; it is `latest` now",
        entry.id()
    ));
    Ok(entry)
}

fn say_suspicious(context: &Context, entry: &Entry, suspicious: &[String]) {
    let printer = &context.printer;
    for anomaly in suspicious {
        printer.warn(format_args!("{} is SUSPICIOUS: {anomaly}", entry.id()));
    }
    printer.warn("it opens and is kept, but does not count as verified; `latest` still points to the one before");
    printer.hint(format_args!(
        "`hubctl diff latest {id}` shows what is missing; if that is right, `hubctl verify {id}` lets it count",
        id = entry.id()
    ));
}

/// The statements of the schema are kept in memory only.
fn without_statements(manifest: Manifest) -> pgsnap::Census {
    let mut census = manifest.census;
    if let Some(schema) = &mut census.schema {
        schema.statements.clear();
    }
    census
}
