//! A service's backups at a target: sent, proven, listed, opened and fetched.

mod listing;
mod push;
mod sent;

use std::path::PathBuf;
use std::sync::Arc;

use crate::entry::Entry;
use crate::name::{Names, Stamp};
use crate::retention::{Circumstances, Plan, Retention};
use crate::target::{Ranges, Target, TargetFailure};
use crate::vault::Vault;
use crate::{Error, Result, VaultLock, copying, find};
pub use listing::Listing;
pub use push::Pushed;
pub use sent::{Proof, SentCopy};

/// No sidecar is longer.
const LONGEST_SIDECAR: u64 = 16 << 20;

/// One service's backups at a target.
///
/// The files have the names that they have in the vault, so that a folder that is synchronised or
/// downloaded *is* a vault.
#[derive(Debug, Clone)]
pub struct Remote {
    name: String,
    target: Arc<dyn Target>,
    /// The vault whose names and signers count.
    vault: Vault,
}

impl Remote {
    /// The backups of a vault's service at a target, which people call `name`. They are trusted as
    /// those of the vault are.
    #[must_use]
    pub fn new(name: &str, target: Arc<dyn Target>, vault: &Vault) -> Self {
        Self { name: name.to_owned(), target, vault: vault.clone() }
    }

    fn names(&self) -> &Names {
        self.vault.names()
    }

    /// The target.
    pub fn target(&self) -> &dyn Target {
        &*self.target
    }

    /// Every entry, newest data first, with its sidecar, which is one request each. An entry whose
    /// sidecar the target does not hand out has an [`Entry::sidecar_error`].
    ///
    /// # Errors
    /// [`Error::Target`].
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let listing = self.listing()?;
        let entries = listing.stamps().map(|stamp| self.entry(&listing, stamp));
        let mut entries = entries.collect::<Result<Vec<Entry>>>()?;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.order()));
        Ok(entries)
    }

    /// The newest entry of which `is` is true, with no more sidecars read than needed.
    ///
    /// # Errors
    /// [`Error::Target`]. [`Error::SidecarUnreadable`] if no readable sidecar is of such an entry,
    /// and another one cannot be read.
    pub fn newest(&self, is: impl Fn(&Entry) -> bool) -> Result<Option<Entry>> {
        self.newest_in(&self.listing()?, is)
    }

    fn newest_in(&self, listing: &Listing, is: impl Fn(&Entry) -> bool) -> Result<Option<Entry>> {
        let mut stamps: Vec<Stamp> = listing.stamps().collect();
        stamps.sort_unstable_by(|one, other| other.cmp(one));
        let mut unreadable = None;
        for stamp in stamps {
            let entry = self.entry(listing, stamp)?;
            if is(&entry) {
                return Ok(Some(entry));
            }
            if let Some(Error::SidecarUnreadable { .. }) = entry.sidecar_error() {
                unreadable.get_or_insert(entry);
            }
        }
        match unreadable {
            Some(entry) => entry.require_sidecar().map(|_| None),
            None => Ok(None),
        }
    }

    /// Finds one entry by what a person calls it: `latest` for the newest verified one, an id or
    /// the unique beginning of one, or the name of its file.
    ///
    /// # Errors
    /// [`Error::NothingVerified`], [`Error::Ambiguous`], [`Error::NoSuchEntry`], [`Error::Target`].
    pub fn find(&self, spec: &str) -> Result<Entry> {
        let listing = self.listing()?;
        if spec == "latest" {
            let newest = self.newest_in(&listing, Entry::is_verified)?;
            return newest.ok_or_else(|| Error::NothingVerified {
                service: self.vault.service().to_owned(),
                entries: listing.stamps().count(),
            });
        }
        if let Some(stamp) = self.names().parse_entry(spec)
            && listing.has(stamp)
        {
            return self.entry(&listing, stamp);
        }
        let ids: Vec<(String, Stamp)> =
            listing.stamps().map(|stamp| (stamp.to_string(), stamp)).collect();
        match find::unique(&ids, spec)? {
            Some(stamp) => self.entry(&listing, stamp),
            None => Err(Error::NoSuchEntry { spec: format!("{}:{spec}", self.name) }),
        }
    }

    /// Fetches an entry into a vault of the same service, whose lock this is, and compares it with
    /// the recorded hash before it gets its name.
    ///
    /// # Errors
    /// Those of [`Vault::copy_to`], and [`Error::Target`].
    pub fn pull(&self, entry: &Entry, to: &Vault, lock: &VaultLock) -> Result<Entry> {
        to.check_lock(lock)?;
        let stamp = self.names().parse_entry(&file_name(entry));
        let stamp = stamp.ok_or_else(|| foreign(entry))?;
        copying::fetch(entry, stamp, to)
    }

    /// Plans the fate of every entry there under a retention. Nothing is changed.
    ///
    /// # Errors
    /// Those of [`Vault::plan`] and [`entries`](Self::entries).
    pub fn plan(&self, retention: &Retention, circumstances: &Circumstances) -> Result<Plan> {
        Plan::new(retention, self.entries()?, circumstances)
    }

    /// Removes the entries that a plan of this place names, the sealed file first. Interrupted, the
    /// same call does the rest.
    ///
    /// # Errors
    /// [`Error::Changed`] where an entry that is to go, the newest verified or the newest drilled
    /// one is not what it was: then nothing was removed. [`Error::Target`].
    pub fn prune(&self, plan: &Plan) -> Result<()> {
        let there = self.listing()?;
        for decision in plan.rests_on() {
            let entry = &decision.entry;
            let length = self.names().parse_entry(&file_name(entry));
            let length = length.and_then(|stamp| there.length(stamp));
            if length != Some(entry.sealed_bytes()) {
                return Err(Error::Changed { path: entry.path().to_owned() });
            }
        }
        for entry in plan.removals() {
            let name = file_name(entry);
            let stamp = self.names().parse_entry(&name).ok_or_else(|| foreign(entry))?;
            self.target.remove(&name)?;
            self.target.remove(&self.names().sidecar(stamp))?;
        }
        Ok(())
    }

    /// Returns the current contents.
    ///
    /// # Errors
    /// [`Error::Target`]. A place that shows nothing has an empty listing.
    pub fn listing(&self) -> Result<Listing> {
        if !self.target.is_readable() {
            return Ok(Listing::default());
        }
        Ok(Listing::of(self.names(), self.target.list()?))
    }

    /// Removes what interrupted uploads and removals of this service left there, and says what it
    /// was. Nobody else may be uploading to that place.
    ///
    /// # Errors
    /// [`Error::Target`].
    pub fn clean(&self, there: &Listing) -> Result<Vec<String>> {
        for name in &there.leftovers {
            self.target.remove(name)?;
        }
        Ok(there.leftovers.clone())
    }

    fn entry(&self, listing: &Listing, stamp: Stamp) -> Result<Entry> {
        let bytes = listing.length(stamp).unwrap_or_default();
        let sidecar = match listing.sidecars.get(&stamp) {
            Some(length) if *length <= LONGEST_SIDECAR => {
                match self.target.read(&self.names().sidecar(stamp), 0..*length) {
                    Ok(bytes) => Ok(Some(bytes)),
                    // One file that is somebody else's keeps nobody from the others.
                    Err(Error::Target { failure, .. }) if failure.is_about_one_file() => {
                        Err(failure.to_string())
                    }
                    Err(error) => return Err(error),
                }
            }
            _ => Ok(None),
        };
        let name = self.names().entry(stamp);
        let path = PathBuf::from(format!("{}:{name}", self.name));
        let source = Ranges::new(Arc::clone(&self.target), &name, bytes);
        let named = (&self.vault, stamp);
        Ok(Entry::remote(path, named, source, sidecar))
    }

    fn stamp(&self, entry: &Entry) -> Result<Stamp> {
        let stamp = entry.stamp().ok_or_else(|| foreign(entry))?;
        if entry.require_sidecar()?.belongs_to(self.names(), stamp) {
            Ok(stamp)
        } else {
            Err(foreign(entry))
        }
    }

    fn differs(
        &self,
        entry: &Entry,
        expected: impl std::fmt::Display,
        actual: impl std::fmt::Display,
    ) -> Error {
        crate::target::failed(
            &*self.target,
            format!("compare {}", file_name(entry)),
            TargetFailure::Differs { expected: expected.to_string(), actual: actual.to_string() },
        )
    }
}

fn foreign(entry: &Entry) -> Error {
    Error::ForeignEntry { path: entry.path().to_owned() }
}

/// The name of the sealed file, without the name of the target.
fn file_name(entry: &Entry) -> String {
    let name = entry.path().file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    name.rsplit(':').next().unwrap_or_default().to_owned()
}
