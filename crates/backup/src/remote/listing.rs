//! The contents of a target, by the names of its files.

use std::collections::BTreeMap;

use crate::name::{Names, Stamp};
use crate::target::RemoteFile;

/// The contents of a target for one service, by the names alone.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    sealed: BTreeMap<Stamp, u64>,
    pub(super) sidecars: BTreeMap<Stamp, u64>,
    /// Uploads that broke, and sidecars of files whose removal did.
    pub(super) leftovers: Vec<String>,
}

impl Listing {
    pub(super) fn of(names: &Names, files: Vec<RemoteFile>) -> Self {
        let mut listing = Self::default();
        for file in files {
            if let Some(stamp) = names.parse_entry(&file.name) {
                listing.sealed.insert(stamp, file.bytes);
            } else if let Some(stamp) = names.parse_sidecar(&file.name) {
                listing.sidecars.insert(stamp, file.bytes);
            } else if names.is_partial_upload(&file.name) {
                listing.leftovers.push(file.name);
            }
        }
        // The sealed file is sent first and removed first.
        let orphans = listing.sidecars.keys();
        let orphans = orphans.filter(|stamp| !listing.sealed.contains_key(stamp));
        let orphans: Vec<String> = orphans.map(|stamp| names.sidecar(*stamp)).collect();
        listing.leftovers.extend(orphans);
        listing
    }

    /// The ids of the entries.
    pub fn ids(&self) -> Vec<String> {
        self.stamps().map(|stamp| stamp.to_string()).collect()
    }

    pub(super) fn stamps(&self) -> impl Iterator<Item = Stamp> {
        self.sealed.keys().copied()
    }

    pub(super) fn has(&self, stamp: Stamp) -> bool {
        self.sealed.contains_key(&stamp)
    }

    pub(super) fn has_sidecar(&self, stamp: Stamp) -> bool {
        self.sidecars.contains_key(&stamp)
    }

    pub(super) fn length(&self, stamp: Stamp) -> Option<u64> {
        self.sealed.get(&stamp).copied()
    }
}
