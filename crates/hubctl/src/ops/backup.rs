//! Back up a site into the vault, and verify the backup.

mod anomaly;
mod payload;

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use backup::{Depth, Entry, Identities, Recipients, SidecarFacts, State, Vault, VaultLock};
use journal::evidence;
use pgsnap::{Database, DumpOptions, Manifest};
use serde::Serialize;

pub use self::payload::Payload;
use super::{Ops, Report, blocking, phases};
use crate::act::Act;
use crate::alerts::Ping;
use crate::damage::Damaged;
use crate::failure::{Failure, Refusal, is_disk_full};
use crate::free_space;
use crate::human;
use crate::keys;
use crate::site::Site;
use crate::store::{self, OpenEntry};

/// Which database to back up, and how.
#[derive(Debug, Clone, Default)]
pub struct BackupOrder {
    /// A site's name or a connection URL; without one, the site of `[backup]` or the only one.
    pub source: Option<String>,
    /// The number of sessions that read rows; the number of processors by default.
    pub jobs: Option<u16>,
    /// Includes the password hashes of roles, which requires a superuser.
    pub role_passwords: bool,
    /// Foreign servers whose rows are read and included.
    pub foreign_data: Vec<String>,
    /// Keeps the backup as the last state of a former primary: it is opened and compared, and
    /// never becomes `latest`.
    pub of_former_primary: bool,
}

/// A backup that was taken.
#[derive(Debug, Clone, Serialize)]
pub struct BackupReport {
    /// The backup's id in the vault, such as `20261121T161200Z`.
    pub id: String,
    /// The sealed file.
    pub path: String,
    /// `sealed` or `verified`.
    pub state: &'static str,
    /// The moment of the snapshot or shortly before it, in RFC 3339.
    pub taken_at: String,
    /// The size of the sealed file in bytes.
    pub sealed_bytes: u64,
    /// The SHA-256 of the sealed file, in hexadecimal.
    pub sha256: String,
    /// The public keys that open it.
    pub recipients: Vec<String>,
    /// The public facts in its sidecar.
    pub payload: Payload,
    /// The head of the journal before the backup's own record.
    pub anchor: Option<String>,
    /// Signs that the source lost something; with any, the backup does not count as verified.
    pub suspicious: Vec<String>,
    /// Leftovers of interrupted runs that were removed from the vault.
    pub cleaned: Vec<String>,
    /// The duration in seconds.
    pub seconds: f64,
}

impl Report for BackupReport {
    const SCHEMA: &'static str = "hubctl.backup.v1";
}

/// Takes an encrypted backup and verifies it.
///
/// All rows are of one point in time. The file appears in the vault only when it is complete, and
/// becomes `latest` only after it was reopened and verified, which requires an identity in the
/// settings. The monitor of `[alerts.ping]` is told of a verified backup and of a failure.
///
/// # Errors
/// Those of [`pgsnap::dump`] and of the vault; a configuration without vault, recipient or site; a
/// journal that cannot be opened. A backup that was sealed but could not be verified stays in the
/// vault as `sealed`, and the error says so.
pub async fn backup(ops: &Ops, order: BackupOrder) -> anyhow::Result<BackupReport> {
    let ping = Ping::begin(ops.settings(), ops.console());
    let taken = begin(ops, order).await;
    if let Some(ping) = ping {
        tell_monitor(ops, ping, &taken).await;
    }
    taken
}

/// The monitor hears of success only where a backup is verified: silence makes it alarm.
async fn tell_monitor(ops: &Ops, ping: Ping, taken: &anyhow::Result<BackupReport>) {
    match taken {
        Err(error) => ping.fail(Failure::of(error).message).await,
        Ok(taken) if !taken.suspicious.is_empty() => {
            ping.fail(format!("suspicious: {}", taken.suspicious.join("; "))).await;
        }
        Ok(taken) if taken.state == State::Sealed.as_str() => {
            ops.warn("the monitor of [alerts.ping] was not told of a backup that is not verified");
        }
        Ok(_) => ping.succeed().await,
    }
}

/// Everything a backup is made of.
struct Job<'a> {
    ops: &'a Ops,
    site: Site,
    vault: Vault,
    recipients: Recipients,
    identities: Identities,
    damaged: Damaged,
    of_former_primary: bool,
    options: DumpOptions,
    begun: Instant,
}

async fn begin(ops: &Ops, order: BackupOrder) -> anyhow::Result<BackupReport> {
    let (settings, console) = (ops.settings(), ops.console());
    let site = Site::resolve_or_only(settings, order.source.as_deref()).await?;
    let passphrase = keys::passphrase(settings, &**console)?;
    let job = Job {
        ops,
        vault: store::open_vault(settings, Some(site.database.name()))?,
        recipients: keys::recipients(settings, passphrase.as_ref())?,
        identities: keys::identities(settings, passphrase, console)?,
        damaged: Damaged::read(settings, &**console),
        of_former_primary: order.of_former_primary,
        options: options(order),
        begun: Instant::now(),
        site,
    };
    job.warn_about_keys();
    let act = ops.act(job.vault.service())?;
    let taken = job.take(&act).await.map_err(|error| {
        if !is_disk_full(&error) {
            return error;
        }
        let directory = job.vault.directory().display();
        error.context(format!("there is no room left for the backup in {directory}"))
    });
    act.end(taken, |taken| evidence::Backup {
        id: taken.id.clone(),
        state: taken.state.to_owned(),
        sealed_bytes: taken.sealed_bytes,
        sha256: taken.sha256.clone(),
        site: job.site.label.clone(),
        payload: taken.payload.to_value(),
    })
}

fn options(order: BackupOrder) -> DumpOptions {
    let mut options = DumpOptions::default();
    options.jobs = order.jobs.map_or(options.jobs, usize::from);
    options.role_passwords = order.role_passwords;
    options.foreign_data = order.foreign_data;
    options
}

impl Job<'_> {
    fn warn_about_keys(&self) {
        let ops = self.ops;
        if keys::is_passphrase(&self.recipients) {
            ops.warn("a passphrase is the only recipient: without it every backup is lost");
            ops.hint("keep a copy of the passphrase elsewhere, or seal for two public keys");
        } else if self.recipients.len() == 1 {
            ops.warn("there is only one recipient: without its key every backup is lost");
            ops.hint("add an escrow recipient whose key is kept elsewhere");
        } else if keys::absent(&self.recipients, &self.identities).is_empty() {
            ops.warn(keys::NO_ESCROW);
            ops.hint(keys::ESCROW_HINT);
        }
        for path in keys::beside_the_vault(ops.settings(), &self.vault) {
            ops.warn(format_args!(
                "the identity {} is in the vault: a thief of the one has both",
                path.display()
            ));
        }
    }

    async fn take(&self, act: &Act<evidence::Backup>) -> anyhow::Result<BackupReport> {
        let lock = self.vault.lock()?;
        let cleaned = self.clean(&lock)?;
        let (settings, console) = (self.ops.settings(), &**self.ops.console());
        let source = self.site.clone().readable(settings, console).await?.database;
        check_space(self.ops, &source, self.vault.directory()).await?;
        // The snapshot is a moment later than this, so the age of the backup is never understated.
        let taken_at = self.ops.now();
        let sealing = self.vault.begin(&lock, &self.recipients, taken_at)?;
        let progress = self.ops.progress(phases::BACKUP);
        let (sealing, manifest) = pgsnap::dump(&source, sealing, &self.options, &progress).await?;
        drop(progress);
        let payload = self.examined(&manifest)?;
        let head = act.head().unwrap_or_else(|error| {
            self.ops
                .warn(format_args!("the journal head was not stored with this backup: {error}"));
            None
        });
        let facts = SidecarFacts::new(self.ops.now())
            .payload(payload.to_value())
            .anchor(head.map(|head| head.to_string()));
        let entry = blocking(move || sealing.commit(facts)).await?;
        drop(lock);
        self.say_taken(&manifest, &entry);
        let entry = self.prove(entry, &manifest, &payload.suspicious).await?;
        self.report(&entry, payload, cleaned)
    }

    fn report(
        &self,
        entry: &Entry,
        payload: Payload,
        cleaned: Vec<String>,
    ) -> anyhow::Result<BackupReport> {
        let sidecar =
            entry.sidecar().ok_or_else(|| Refusal::no("the new backup has no usable sidecar"))?;
        Ok(BackupReport {
            id: entry.id().to_owned(),
            path: entry.path().display().to_string(),
            state: entry.state().as_str(),
            taken_at: sidecar.taken_at.to_string(),
            sealed_bytes: entry.sealed_bytes(),
            sha256: sidecar.sha256.clone(),
            recipients: sidecar.recipients.iter().map(|each| each.recipient.clone()).collect(),
            anchor: sidecar.anchor.clone(),
            suspicious: payload.suspicious.clone(),
            payload,
            cleaned,
            seconds: self.begun.elapsed().as_secs_f64(),
        })
    }

    fn clean(&self, lock: &VaultLock) -> anyhow::Result<Vec<String>> {
        let leftovers = self.vault.clean_leftovers(lock)?;
        for leftover in &leftovers {
            let (path, size) = (leftover.path.display(), human::bytes(leftover.bytes));
            self.ops
                .warn(format_args!("removed a leftover of an interrupted run: {path} ({size})"));
        }
        Ok(leftovers.iter().map(|leftover| leftover.path.display().to_string()).collect())
    }

    /// The public facts of a new backup, and what is suspicious about them.
    fn examined(&self, manifest: &Manifest) -> anyhow::Result<Payload> {
        let mut payload = Payload::of(manifest, &self.ops.settings().append_only);
        let before = anomaly::predecessor(&self.vault, &self.damaged)?;
        let before = before.as_ref().and_then(Entry::sidecar);
        let before = before.map_or(&serde_json::Value::Null, |sidecar| &sidecar.payload);
        let now = payload.to_value();
        payload.suspicious = anomaly::anomalies(before, &now);
        if let Some(note) = anomaly::moved(before, &now) {
            self.ops.say(note);
        }
        Ok(payload)
    }

    fn say_taken(&self, manifest: &Manifest, entry: &Entry) {
        let (tables, rows) = (manifest.census.tables.len() as u64, manifest.census.rows());
        self.ops.say(format_args!(
            "{}: {} with {}, {} of rows sealed into {} in {}",
            self.site.label,
            human::plural(tables, "table"),
            human::plural(rows, "row"),
            human::bytes(manifest.census.bytes()),
            human::bytes(entry.sealed_bytes()),
            human::duration(self.begun.elapsed()),
        ));
    }

    /// Opens the new entry again, compares its manifest with the one of the dump, and lets
    /// `latest` follow.
    async fn prove(
        &self,
        entry: Entry,
        manifest: &Manifest,
        suspicious: &[String],
    ) -> anyhow::Result<Entry> {
        if self.identities.is_empty() {
            if !suspicious.is_empty() {
                self.say_suspicious(&entry, suspicious);
            }
            self.say_unverified(entry.id());
            return Ok(entry);
        }
        let counts = suspicious.is_empty() && !self.of_former_primary;
        let entry = self.reopened(entry, manifest, counts).await.context(
            "the new backup was sealed, but could not be verified; `latest` was not moved",
        )?;
        if !suspicious.is_empty() {
            self.say_suspicious(&entry, suspicious);
            return Ok(entry);
        }
        if self.of_former_primary {
            let id = entry.id();
            self.ops.say(format_args!("{id} opened and manifest checked; kept beside `latest`"));
            return Ok(entry);
        }
        debug_assert!(entry.state() >= State::Verified);
        let id = entry.id();
        self.ops.say(format_args!("verified: {id} opened and manifest checked; now `latest`"));
        Ok(entry)
    }

    async fn reopened(
        &self,
        entry: Entry,
        manifest: &Manifest,
        counts: bool,
    ) -> anyhow::Result<Entry> {
        let (vault, identities) = (self.vault.clone(), self.identities.clone());
        let (written, clock) = (without_statements(manifest.clone()), self.ops.clone());
        blocking(move || {
            vault.verify(&entry, &identities, Depth::Quick)?;
            let found = OpenEntry::new(&vault, &entry, &identities)?.archive()?;
            if found.manifest().census != written {
                let fact = "the manifest in the vault is not the one that was written";
                return Err(Refusal::no(fact).into());
            }
            if !counts {
                return Ok(entry);
            }
            Ok(vault.mark_verified(&entry, clock.now())?)
        })
        .await
    }

    fn say_unverified(&self, id: &str) {
        self.ops.warn(format_args!(
            "{id} is sealed, but NOT VERIFIED: no identity was given to open it with"
        ));
        self.ops.warn("`latest` still points to the last verified backup");
        self.ops.hint(format_args!("run `hubctl verify {id} --identity FILE` where the key is"));
    }

    fn say_suspicious(&self, entry: &Entry, suspicious: &[String]) {
        let (ops, id) = (self.ops, entry.id());
        for anomaly in suspicious {
            ops.warn(format_args!("{id} is SUSPICIOUS: {anomaly}"));
        }
        ops.warn(
            "it opens and is kept, but does not count as verified; `latest` still points to the one before",
        );
        ops.hint(format_args!(
            "`hubctl diff latest {id}` shows what is missing; if that is right, `hubctl verify {id}` lets it count"
        ));
    }
}

/// Finds a disk that is clearly too small before an hour is spent on it.
async fn check_space(ops: &Ops, database: &Database, directory: &Path) -> anyhow::Result<()> {
    /// Dumps of real data are rarely more than this part of the database's size.
    const PART: u64 = 4;
    let size = pgsnap::database_size(database).await?;
    let free = free_space::free_bytes(directory)?;
    if free < size / PART {
        let (free, size) = (human::bytes(free), human::bytes(size));
        ops.warn(format_args!("the vault has {free} free; the database is {size}"));
    }
    Ok(())
}

/// The statements of the schema are kept in memory only.
fn without_statements(manifest: Manifest) -> pgsnap::Census {
    let mut census = manifest.census;
    if let Some(schema) = &mut census.schema {
        schema.statements.clear();
    }
    census
}
