//! From what a person calls an entry to the entry.

use std::path::Path;

use crate::entry::Entry;
use crate::name::Stamp;
use crate::vault::Vault;
use crate::{Error, Result};

pub(crate) fn find(vault: &Vault, spec: &str) -> Result<Entry> {
    if spec == "latest" {
        if let Some(newest) = vault.newest(Entry::is_verified)? {
            return Ok(newest);
        }
        return Err(Error::NothingVerified {
            service: vault.service().to_owned(),
            entries: vault.stamps()?.len(),
        });
    }
    if let Some(stamp) = by_id(vault, spec)? {
        return Entry::read(vault, stamp);
    }
    by_name(vault, spec).unwrap_or_else(|| by_path(vault, Path::new(spec)))
}

fn by_id(vault: &Vault, spec: &str) -> Result<Option<Stamp>> {
    let mut stamps = vault.stamps()?;
    stamps.sort_unstable_by(|one, other| other.cmp(one));
    let ids: Vec<(String, Stamp)> =
        stamps.into_iter().map(|stamp| (stamp.to_string(), stamp)).collect();
    unique(&ids, spec)
}

/// Returns the item with this id, or the only one whose id begins with it.
pub(crate) fn unique<T: Copy>(ids: &[(String, T)], spec: &str) -> Result<Option<T>> {
    if let Some((_, exact)) = ids.iter().find(|(id, _)| id == spec) {
        return Ok(Some(*exact));
    }
    let begins = |(id, _): &&(String, T)| !spec.is_empty() && id.starts_with(spec);
    let matching: Vec<&(String, T)> = ids.iter().filter(begins).collect();
    match matching[..] {
        [] => Ok(None),
        [(_, only)] => Ok(Some(*only)),
        _ => Err(Error::Ambiguous {
            spec: spec.to_owned(),
            candidates: matching.iter().map(|(id, _)| id.clone()).collect(),
        }),
    }
}

/// The bare name of an entry's file.
fn by_name(vault: &Vault, spec: &str) -> Option<Result<Entry>> {
    let stamp = vault.names().parse_entry(spec)?;
    vault.directory().join(spec).is_file().then(|| Entry::read(vault, stamp))
}

/// A path into the vault, also through its link, or out of it.
fn by_path(vault: &Vault, path: &Path) -> Result<Entry> {
    let Ok(path) = fs_err::canonicalize(path) else {
        return Err(Error::NoSuchEntry { spec: path.display().to_string() });
    };
    let name = path.file_name().and_then(|name| name.to_str());
    match name.and_then(|name| vault.names().parse_entry(name)) {
        Some(stamp) if path.parent() == Some(vault.directory()) => Entry::read(vault, stamp),
        _ => Entry::outside(&path, vault),
    }
}
