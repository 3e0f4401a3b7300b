//! `hubctl backups`.

use backup::{Entry, SentCopy, Sidecar};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::options::{JournalOptions, VaultOptions};
use crate::context::Context;
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::human;
use crate::printer::table;
use crate::settings::Overrides;
use crate::store;
use crate::targets;

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

#[derive(Serialize)]
struct Listed {
    vault: String,
    service: String,
    backups: Vec<Backup>,
}

/// A backup as JSON shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Backup {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) state: &'static str,
    pub(crate) taken_at: Option<String>,
    pub(crate) age_seconds: Option<u64>,
    pub(crate) sealed_bytes: u64,
    pub(crate) rows: Option<u64>,
    pub(crate) tables: Option<u64>,
    pub(crate) database: Option<String>,
    pub(crate) verified_at: Option<String>,
    pub(crate) drilled_at: Option<String>,
    pub(crate) recipients: Vec<String>,
    /// The targets where it was sent, and whether it was read back there.
    pub(crate) copies: Vec<Copy>,
    pub(crate) problem: Option<String>,
}

/// A copy at a target, as far as it is known here.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Copy {
    target: String,
    sent_at: String,
    proven_at: Option<String>,
}

impl Copy {
    fn of(sidecar: &Sidecar) -> Vec<Self> {
        let same = |(_, copy): &(_, &SentCopy)| copy.sha256 == sidecar.sha256;
        let copies = sidecar.copies.iter().filter(same);
        let copies = copies.map(|(target, copy)| Self {
            target: target.clone(),
            sent_at: copy.sent_at.to_string(),
            proven_at: copy.proven_at.map(|at| at.to_string()),
        });
        copies.collect()
    }
}

impl Backup {
    fn of(entry: &Entry, damaged: &Damaged, now: Timestamp) -> Self {
        let finding = damaged.finding(entry.path());
        let sidecar = entry.sidecar();
        let fact = |name: &str| sidecar.and_then(|sidecar| sidecar.payload.get(name));
        let time = |time: Timestamp| time.to_string();
        Self {
            id: entry.id().to_owned(),
            path: entry.path().display().to_string(),
            state: finding.map_or(entry.state().as_str(), |_| "damaged"),
            taken_at: entry.taken_at().map(time),
            age_seconds: entry
                .taken_at()
                .and_then(|taken| age(taken, now))
                .map(|age| age.as_secs()),
            sealed_bytes: entry.sealed_bytes(),
            rows: fact("rows").and_then(serde_json::Value::as_u64),
            tables: fact("tables").and_then(serde_json::Value::as_u64),
            database: fact("database").and_then(|name| name.as_str()).map(str::to_owned),
            verified_at: sidecar.and_then(|sidecar| sidecar.verified_at).map(time),
            drilled_at: sidecar.and_then(|sidecar| sidecar.drilled_at).map(time),
            recipients: sidecar
                .map(|sidecar| {
                    sidecar.recipients.iter().map(|each| each.recipient.clone()).collect()
                })
                .unwrap_or_default(),
            copies: sidecar.map(Copy::of).unwrap_or_default(),
            problem: finding
                .map(|finding| format!("{} was found damaged {finding}", entry.id()))
                .or_else(|| entry.sidecar_error().map(ToString::to_string))
                .or_else(|| suspicion(entry)),
        }
    }
}

/// What `hubctl backup` found suspicious, as long as nobody verified it since.
fn suspicion(entry: &Entry) -> Option<String> {
    let sidecar = entry.sidecar().filter(|_| !entry.is_verified())?;
    let anomalies = sidecar.payload.get("suspicious")?.as_array()?;
    let anomalies: Vec<&str> = anomalies.iter().filter_map(|each| each.as_str()).collect();
    Some(format!("{} is suspicious: {}", entry.id(), anomalies.join("; ")))
}

/// How old data of this time is; nothing if it is of the future.
pub(crate) fn age(taken: Timestamp, now: Timestamp) -> Option<std::time::Duration> {
    std::time::Duration::try_from(now.duration_since(taken)).ok()
}

pub(crate) fn run(context: &Context, args: BackupsArgs) -> anyhow::Result<Exit> {
    let settings =
        context.settings(Overrides::default().vault(&args.vault).journal(&args.journal))?;
    let vault = store::open_vault(&settings, None)?;
    let damaged = Damaged::read(&settings, &context.printer);
    let now = Timestamp::now();
    let (place, entries) = match &args.target {
        Some(name) => {
            let target = targets::find(&settings, name)?;
            let opened = targets::open(&settings, name, &vault)?;
            (target.kind.value.place(), opened.entries(name, &vault)?)
        }
        None => (vault.directory().display().to_string(), vault.entries()?),
    };
    let backups: Vec<Backup> =
        entries.iter().map(|entry| Backup::of(entry, &damaged, now)).collect();
    let listed = Listed { vault: place, service: vault.service().to_owned(), backups };
    for leftover in vault.leftovers()? {
        context
            .printer
            .warn(format_args!("leftover of an interrupted run: {}", leftover.path.display()));
    }
    for backup in &listed.backups {
        if let Some(problem) = &backup.problem {
            context.printer.warn(problem);
        }
    }
    if listed.backups.is_empty() {
        context
            .printer
            .say(format_args!("there is no backup of `{}` in {}", listed.service, listed.vault));
    }
    context.printer.result("hubctl.backups.v1", &listed, || text(&listed.backups))?;
    Ok(Exit::Yes)
}

fn text(backups: &[Backup]) -> String {
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
                .map_or_else(unknown, |age| human::duration(std::time::Duration::from_secs(age))),
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
fn copies(copies: &[Copy]) -> String {
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
