//! Verify a backup.

use backup::{Depth, Entry, Identities, State, Vault};
use journal::evidence;
use pgsnap::VerifyOptions;
use serde::Serialize;

use super::{Ops, Report, blocking};
use crate::damage::Damaged;
use crate::keys;
use crate::store::{self, OpenEntry};

/// Which backup to verify, and how thoroughly.
#[derive(Debug, Clone)]
pub struct VerifyOrder {
    /// The backup's id, its path, or `latest`; of a target, `TARGET:BACKUP`.
    pub entry: String,
    /// Decrypts everything, and counts and digests every row.
    pub full: bool,
    /// The threads of a full verification; the number of processors by default.
    pub jobs: Option<u16>,
}

impl Default for VerifyOrder {
    fn default() -> Self {
        Self { entry: store::LATEST.to_owned(), full: false, jobs: None }
    }
}

/// A backup that was verified.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// The backup's id.
    pub id: String,
    /// The sealed file.
    pub path: String,
    /// The depth of the verification.
    pub depth: evidence::Depth,
    /// True for an archive, whose contents a manifest describes; false for a plain dump.
    pub archive: bool,
    /// `verified` or `drilled`; `foreign` for a file without a usable sidecar.
    pub state: &'static str,
    /// The moment of the snapshot, in RFC 3339.
    pub taken_at: Option<String>,
    /// The size of the sealed file in bytes.
    pub sealed_bytes: u64,
    /// The tables in an archive.
    pub tables: Option<u64>,
    /// The rows in an archive.
    pub rows: Option<u64>,
}

impl Report for VerifyReport {
    const SCHEMA: &'static str = "hubctl.verify.v1";
}

/// Verifies a backup.
///
/// A quick verification reads the header, the end and the manifest. A full one decrypts everything
/// and compares every row with the manifest. A backup that was only sealed becomes verified, and
/// `latest` if it is the newest.
///
/// # Errors
/// Those of the vault and of [`pgsnap::verify`]: a damaged backup, or none of this name; a quick
/// verification of a backup that is known to be damaged; a journal that cannot be opened.
pub async fn verify(ops: &Ops, order: VerifyOrder) -> anyhow::Result<VerifyReport> {
    let (settings, console) = (ops.settings(), ops.console());
    let identities = keys::opening(settings, console)?;
    let (vault, entry) = store::find_entry(settings, &order.entry)?;
    let identities = keys::for_entry(&identities, &entry, &**console);
    let act = ops.act(format!("{}-{}", vault.service(), entry.id()))?;
    let act = act.about(entry.path());
    let full = order.full;
    let mut verified = check(ops, order, vault.clone(), entry.clone(), identities).await;
    if verified.is_ok() && !full {
        // A sound header and end do not repair what a full verification found in between.
        let damaged = Damaged::read(settings, &**console);
        verified = damaged.refuse(&vault, &entry).and(verified);
    }
    act.end(verified, |verified| evidence::Verify {
        depth: verified.depth,
        tables: verified.tables,
        rows: verified.rows,
        sealed_bytes: verified.sealed_bytes,
    })
}

async fn check(
    ops: &Ops,
    order: VerifyOrder,
    vault: Vault,
    entry: Entry,
    identities: Identities,
) -> anyhow::Result<VerifyReport> {
    let mut options = VerifyOptions::default();
    options.jobs = order.jobs.map_or(options.jobs, usize::from);
    let (progress, ops, full) = (ops.progress(&[]), ops.clone(), order.full);
    blocking(move || {
        vault.verify(&entry, &identities, Depth::Quick)?;
        let opened = OpenEntry::new(&vault, &entry, &identities)?;
        let archive = match opened.archive() {
            Ok(archive) => Some(archive),
            Err(error @ pgsnap::Error::NotAnArchive { .. }) => {
                ops.warn(format_args!("{error}: its rows cannot be counted"));
                None
            }
            Err(error) => return Err(error.into()),
        };
        match &archive {
            // Every byte of an archive belongs to a member, the manifest or its pointer, so this
            // authenticates all of it.
            Some(archive) if full => {
                pgsnap::verify(archive, &options, &progress)?;
            }
            None if full => {
                vault.verify(&entry, &identities, Depth::Full)?;
            }
            _ => {}
        }
        let entry = mark(&ops, &vault, entry, full)?;
        let census = archive.as_ref().map(|archive| &archive.manifest().census);
        Ok(VerifyReport {
            id: entry.id().to_owned(),
            path: entry.path().display().to_string(),
            depth: if full { evidence::Depth::Full } else { evidence::Depth::Quick },
            archive: archive.is_some(),
            state: entry.state().as_str(),
            taken_at: entry.taken_at().map(|at| at.to_string()),
            sealed_bytes: entry.sealed_bytes(),
            tables: census.map(|census| census.tables.len() as u64),
            rows: census.map(pgsnap::Census::rows),
        })
    })
    .await
}

/// Records the verification. A quick one of an entry that is verified already adds nothing to what
/// is recorded, and marking would read the whole file.
fn mark(ops: &Ops, vault: &Vault, entry: Entry, full: bool) -> Result<Entry, backup::Error> {
    let is_ours = entry.path().parent() == Some(vault.directory()) && entry.sidecar().is_some();
    let is_news = full || entry.state() == State::Sealed;
    if !is_ours || !is_news {
        return Ok(entry);
    }
    match vault.mark_verified(&entry, ops.now()) {
        // A copy outside the vault was given by its path; this vault does not list it.
        Err(backup::Error::ForeignEntry { .. }) => Ok(entry),
        other => other,
    }
}
