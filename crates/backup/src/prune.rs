//! Removes what a plan names, and nothing else.
//!
//! The removals are written down first, as one file. From then on those entries no longer count:
//! the next prune or cleaning that finds the file finishes what was begun. So a crash between any
//! two removals leaves no unexplained sealed file without its sidecar and no sidecar without its
//! file.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use regularfile::Options;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::lock::CatalogueLock;
use crate::name::Stamp;
use crate::retention::{Decision, Plan};
use crate::vault::Vault;
use crate::{Error, Result, durable, fault, latest, parallel};

const FORMAT: &str = "backup-pruning/1";
/// A million entries need less.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A decision that is being carried out.
#[derive(Debug, Serialize, Deserialize)]
struct Pruning {
    format: String,
    service: String,
    begun_at: Timestamp,
    entries: BTreeSet<String>,
}

/// Does what the plan says, if everything it rests on still is as it was.
pub(crate) fn prune(vault: &Vault, plan: &Plan, at: Timestamp) -> Result<()> {
    let catalogue = vault.catalogue_lock()?;
    finish(vault, &catalogue)?;
    // After crashes that left it behind, the link would hold back what it leads to.
    match latest::advance(vault, &catalogue) {
        Err(Error::LatestIsNotALink { .. }) => {}
        advanced => advanced?,
    }
    check(vault, plan)?;
    let entries: BTreeSet<String> = plan.removals().map(|entry| entry.id().to_owned()).collect();
    begin(vault, entries, at)?;
    finish(vault, &catalogue)
}

/// Removes one entry that another has taken the place of.
pub(crate) fn remove(vault: &Vault, entry: &Entry, at: Timestamp) -> Result<()> {
    let catalogue = vault.catalogue_lock()?;
    finish(vault, &catalogue)?;
    check_unchanged(vault, entry)?;
    if is_file(entry, latest_file(vault).as_deref()) {
        return Err(changed(entry));
    }
    begin(vault, BTreeSet::from([entry.id().to_owned()]), at)?;
    finish(vault, &catalogue)
}

/// The entry is what it was, also in what is proven of it: one that was drilled meanwhile is worth
/// more.
fn check_unchanged(vault: &Vault, entry: &Entry) -> Result<()> {
    let present = latest::reread(vault, entry)?;
    if present.state() == entry.state() {
        return Ok(());
    }
    Err(changed(entry))
}

fn changed(entry: &Entry) -> Error {
    Error::Changed { path: entry.path().to_owned() }
}

/// Writes down what is to go.
fn begin(vault: &Vault, entries: BTreeSet<String>, at: Timestamp) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let pruning = Pruning {
        format: FORMAT.to_owned(),
        service: vault.service().to_owned(),
        begun_at: at,
        entries,
    };
    let bytes = serde_json::to_vec_pretty(&pruning).expect("it has only string keys");
    durable::replace(&path(vault), &vault.names().temporary_latest(), &bytes)
}

/// The file that the link leads to.
fn latest_file(vault: &Vault) -> Option<PathBuf> {
    fs_err::read_link(vault.latest_link()).ok()
}

fn is_file(entry: &Entry, link: Option<&Path>) -> bool {
    link == entry.path().file_name().map(AsRef::as_ref)
}

/// The entries that go are what they were when that was decided, and so is what is kept for them.
fn check(vault: &Vault, plan: &Plan) -> Result<()> {
    let link = latest_file(vault);
    let decisions: Vec<&Decision> = plan.rests_on().collect();
    let checked = parallel::map(&decisions, |decision| {
        let planned = &decision.entry;
        check_unchanged(vault, planned).map_err(|_| changed(planned))?;
        if decision.is_removal() && is_file(planned, link.as_deref()) {
            return Err(changed(planned));
        }
        Ok(())
    });
    checked.into_iter().collect()
}

/// Finishes the removal that was begun, if one was.
pub(crate) fn finish(vault: &Vault, _catalogue: &CatalogueLock) -> Result<()> {
    let Some(stamps) = read(vault)? else {
        return Ok(());
    };
    for files in files_of(vault, &stamps) {
        let removed = parallel::map(&files, |file| durable::remove(file));
        removed.into_iter().collect::<Result<()>>()?;
    }
    durable::sync_directory(vault.directory())?;
    durable::remove(&path(vault))?;
    durable::sync_directory(vault.directory())
}

/// Returns the files named by a removal that was begun, and the file that names them. They need not
/// exist any more.
pub(crate) fn files(vault: &Vault) -> Result<BTreeSet<PathBuf>> {
    let stamps = begun(vault)?;
    let files = files_of(vault, &stamps).into_iter().flatten();
    Ok(files.chain([path(vault)]).collect())
}

/// The files of entries: the sealed ones, which go first, and the sidecars.
fn files_of(vault: &Vault, stamps: &BTreeSet<Stamp>) -> [Vec<PathBuf>; 2] {
    let (directory, names) = (vault.directory(), vault.names());
    let sealed = stamps.iter().map(|stamp| names.entry(*stamp));
    let sidecars = stamps.iter().map(|stamp| names.sidecar(*stamp));
    [
        sealed.map(|name| directory.join(name)).collect(),
        sidecars.map(|name| directory.join(name)).collect(),
    ]
}

/// The entries whose removal was begun.
pub(crate) fn begun(vault: &Vault) -> Result<BTreeSet<Stamp>> {
    Ok(read(vault)?.unwrap_or_default())
}

/// Returns the path of the written decision.
fn path(vault: &Vault) -> PathBuf {
    vault.directory().join(vault.names().pruning())
}

fn read(vault: &Vault) -> Result<Option<BTreeSet<Stamp>>> {
    let path = path(vault);
    fault::point()?;
    let bytes = match Options::read().in_place().to_vec(&path, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let invalid = |reason: String| Error::InvalidPruning { path: path.clone(), reason };
    let pruning: Pruning =
        serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
    if pruning.format != FORMAT || pruning.service != vault.service() {
        return Err(invalid("it is of another format or service".to_owned()));
    }
    let stamp =
        |id: &String| Stamp::parse(id).ok_or_else(|| invalid(format!("`{id}` is not an id")));
    pruning.entries.iter().map(stamp).collect::<Result<_>>().map(Some)
}
