//! The vault: one directory, one service, its sealed files and what is recorded about them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sshsig::AllowedSigners;

use crate::entry::Entry;
use crate::leftover::{self, Leftover};
use crate::lock::{CatalogueLock, VaultLock};
use crate::name::{self, Names, Stamp};
use crate::progress::{Progress, Watch};
use crate::remote::{Proof, SentCopy};
use crate::retention::{Circumstances, Plan, Retention};
use crate::sealing::Sealing;
use crate::sidecar::SidecarFacts;
use crate::signature::{SigningKey, Trust};
use crate::target::Receipt;
use crate::unsealed::Unsealed;
use crate::verify::{self, Depth, Verification};
use crate::{
    Error, Identities, Recipients, Result, copying, durable, fault, find, importing, latest,
    parallel, prune, rekey,
};

/// Options to open a vault with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VaultOptions {
    /// Create the directory, mode 0700, if it does not exist. Off by default: a mistyped or
    /// unmounted path should not become a new, empty vault.
    pub create: bool,
    /// The suffix of sealed files; `.sql.gz.age` by default.
    pub suffix: String,
}

/// The end of sealed files' names, unless [`VaultOptions::suffix`] says otherwise.
const SUFFIX: &str = ".sql.gz.age";

impl Default for VaultOptions {
    fn default() -> Self {
        Self { create: false, suffix: SUFFIX.to_owned() }
    }
}

/// One service's backups in one directory.
///
/// Several services may share a directory; a vault sees only the files whose names are exactly
/// those of its own service. Cloning is cheap and gives a second handle on the same directory.
#[derive(Debug, Clone)]
pub struct Vault {
    directory: PathBuf,
    names: Names,
    trust: Arc<Trust>,
    watch: Watch,
}

impl Vault {
    /// Opens the vault of `service` in an existing directory, with the default options.
    ///
    /// # Errors
    /// [`Error::NoVault`] if there is no such directory, [`Error::InvalidService`] for a name other
    /// than `[a-z0-9][a-z0-9._-]*`.
    pub fn open(directory: impl AsRef<Path>, service: &str) -> Result<Self> {
        Self::open_with(directory, service, &VaultOptions::default())
    }

    /// Opens the vault of `service` as `options` say.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`Error::InvalidSuffix`].
    pub fn open_with(
        directory: impl AsRef<Path>,
        service: &str,
        options: &VaultOptions,
    ) -> Result<Self> {
        let names = Names::new(service, &options.suffix)?;
        let directory = directory.as_ref();
        if options.create {
            create_private(directory)?;
        }
        match fs_err::canonicalize(directory) {
            Ok(directory) if directory.is_dir() => {
                Ok(Self { directory, names, trust: Arc::default(), watch: Watch::default() })
            }
            Ok(_) => Err(Error::NoVault { path: directory.to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::NoVault { path: directory.to_owned() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The services that have backups in a directory, by the names of their files, in order.
    ///
    /// # Errors
    /// [`Error::NoVault`] if there is no such directory.
    pub fn services(directory: impl AsRef<Path>) -> Result<Vec<String>> {
        let directory = directory.as_ref();
        if !directory.is_dir() {
            return Err(Error::NoVault { path: directory.to_owned() });
        }
        let mut services = BTreeSet::new();
        for item in fs_err::read_dir(directory)? {
            let name = item?.file_name();
            services.extend(name.to_str().and_then(Self::service_of).map(str::to_owned));
        }
        Ok(services.into_iter().collect())
    }

    /// The service in the name of a sealed file, such as `state-hub` of
    /// `state-hub-20261121T161200Z.sql.gz.age`.
    #[must_use]
    pub fn service_of(file_name: &str) -> Option<&str> {
        name::service_of(file_name, SUFFIX)
    }

    /// The same vault, whose new entries are signed with this key.
    #[must_use]
    pub fn signing_with(mut self, key: SigningKey) -> Self {
        Arc::make_mut(&mut self.trust).key = Some(key);
        self
    }

    /// The same vault, of which only entries count that an allowed signer signed, and none is
    /// opened that is not.
    #[must_use]
    pub fn trusting(mut self, signers: AllowedSigners) -> Self {
        Arc::make_mut(&mut self.trust).signers = Some(signers);
        self
    }

    /// The same vault, signing and trusting as another one.
    #[must_use]
    pub fn trusting_as(mut self, other: &Self) -> Self {
        self.trust = Arc::clone(&other.trust);
        self
    }

    /// The same vault, which tells how far copies, uploads and new seals of its entries have come.
    #[must_use]
    pub fn watched_by(mut self, progress: Arc<dyn Progress>) -> Self {
        self.watch = Watch::new(progress);
        self
    }

    /// The directory, as an absolute path without links.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The service whose backups these are.
    pub fn service(&self) -> &str {
        self.names.service()
    }

    /// Returns the path of the `latest` link, which exists once an entry is verified.
    pub fn latest_link(&self) -> PathBuf {
        self.directory.join(self.names.latest())
    }

    /// Takes the lock that sealing needs.
    ///
    /// # Errors
    /// [`Error::Locked`] at once if any process, or another part of this one, holds it.
    pub fn lock(&self) -> Result<VaultLock> {
        VaultLock::acquire(&self.directory.join(self.names.run_lock()), self.service())
    }

    /// Begins a new entry that holds the data of the time `taken_at`, sealed for `recipients`.
    ///
    /// # Errors
    /// [`Error::NoRecipients`], [`Error::ForeignLock`], [`Error::TimeOutOfRange`]; and
    /// [`Error::NoSigningKey`] or [`Error::Signing`] where the entry would not be trusted.
    pub fn begin(
        &self,
        lock: &VaultLock,
        recipients: &Recipients,
        taken_at: Timestamp,
    ) -> Result<Sealing> {
        self.check_lock(lock)?;
        self.trust.prepare(taken_at)?;
        Sealing::begin(self.clone(), lock.clone(), recipients, taken_at)
    }

    /// Every entry, newest data first.
    ///
    /// Files without a sidecar, as another tool or a copy by hand leaves them, are listed with what
    /// their name and length tell; an unusable sidecar does not hide its entry either. Entries
    /// whose removal was begun are none any more; where what says so cannot be read, all are
    /// listed, since whoever restores must find them.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let stamps = self.stamps()?;
        let read = parallel::map(&stamps, |stamp| self.present(*stamp));
        let read = read.into_iter().filter_map(Result::transpose);
        let mut entries = read.collect::<Result<Vec<Entry>>>()?;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.order()));
        Ok(entries)
    }

    /// The ids of all entries, newest first, by the names of their files alone.
    pub fn ids(&self) -> Result<Vec<String>> {
        let mut stamps = self.stamps()?;
        stamps.sort_unstable_by(|one, other| other.cmp(one));
        Ok(stamps.iter().map(Stamp::to_string).collect())
    }

    /// The newest entry of which `is` is true, with no more sidecars read than needed.
    pub fn newest(&self, is: impl Fn(&Entry) -> bool) -> Result<Option<Entry>> {
        let mut stamps = self.stamps()?;
        stamps.sort_unstable_by(|one, other| other.cmp(one));
        // What was taken in the same second is told apart by its sidecars.
        for of_a_second in stamps.chunk_by(|one, other| one.second() == other.second()) {
            let mut newest: Option<Entry> = None;
            for stamp in of_a_second {
                let entry = self.present(*stamp)?.filter(&is);
                newest = newest.into_iter().chain(entry).max_by_key(Entry::order);
            }
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }

    /// The stamps of all entries, in no order.
    pub(crate) fn stamps(&self) -> Result<Vec<Stamp>> {
        let going = prune::begun(self).unwrap_or_default();
        fault::point()?;
        let mut stamps = Vec::new();
        for item in fs_err::read_dir(&self.directory)? {
            let item = item?;
            let stamp = item
                .file_name()
                .to_str()
                .and_then(|name| self.names.parse_entry(name))
                .filter(|stamp| !going.contains(stamp));
            stamps.extend(stamp.filter(|_| item.file_type().is_ok_and(|kind| kind.is_file())));
        }
        Ok(stamps)
    }

    /// The entry, unless somebody removed it after the directory was read.
    fn present(&self, stamp: Stamp) -> Result<Option<Entry>> {
        match Entry::read(self, stamp) {
            Ok(entry) => Ok(Some(entry)),
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds one entry by what a person calls it: `latest`, an id or the unique beginning of one,
    /// or a path.
    ///
    /// `latest` is the newest verified entry, which is where the link points. A path may lead out
    /// of the vault.
    ///
    /// # Errors
    /// [`Error::NothingVerified`], [`Error::Ambiguous`], [`Error::NoSuchEntry`].
    pub fn find(&self, spec: &str) -> Result<Entry> {
        let found = find::find(self, spec)?;
        tracing::debug!(path = %found.path().display(), "`{spec}` is {}", found.id());
        Ok(found)
    }

    /// Opens the clear text of an entry, after holding length and header against the sidecar.
    ///
    /// An entry may be open any number of times; [`Unsealed::reopen`] saves the work of finding the
    /// key again.
    ///
    /// # Errors
    /// Those of [`open_file`](crate::open_file), and [`Error::SizeDiffers`],
    /// [`Error::NotAsSealed`], [`Error::Untrusted`].
    pub fn open_entry(&self, entry: &Entry, identities: &Identities) -> Result<Unsealed> {
        self.check_trust(entry)?;
        verify::open_entry(entry, identities)
    }

    /// Proves an entry to the given depth. It records nothing: see
    /// [`mark_verified`](Self::mark_verified).
    ///
    /// # Errors
    /// What is wrong with the entry. [`Error::NoSidecar`] if [`Depth::Sealed`] has nothing to
    /// compare with.
    pub fn verify(
        &self,
        entry: &Entry,
        identities: &Identities,
        depth: Depth,
    ) -> Result<Verification> {
        self.check_trust(entry)?;
        let verified = verify::verify(entry, identities, depth, &self.watch)?;
        tracing::info!(?depth, "verified {}", entry.id());
        Ok(verified)
    }

    /// Records that the caller verified the entry at the time `at`, and points the `latest` link at
    /// the newest verified entry, which may be another one.
    ///
    /// The file is hashed first: neither the mark nor the link ever goes to a file that is not, bit
    /// for bit, what was sealed. The sidecar is written before the link; if a crash comes between,
    /// the next call puts the link right.
    ///
    /// # Errors
    /// [`Error::HashDiffers`], [`Error::Truncated`], [`Error::SizeDiffers`], [`Error::Changed`],
    /// [`Error::NoSidecar`], [`Error::ForeignEntry`], [`Error::LatestIsNotALink`].
    pub fn mark_verified(&self, entry: &Entry, at: Timestamp) -> Result<Entry> {
        let marked = latest::mark_verified(self, entry, at)?;
        tracing::info!("recorded that {} is verified", marked.id());
        Ok(marked)
    }

    /// Records that the caller restored the entry for real at the time `at`.
    ///
    /// # Errors
    /// [`Error::NotVerified`] if it was not verified before; otherwise as
    /// [`mark_verified`](Self::mark_verified).
    pub fn mark_drilled(&self, entry: &Entry, at: Timestamp) -> Result<Entry> {
        let marked = latest::mark_drilled(self, entry, at)?;
        tracing::info!("recorded that {} is drilled", marked.id());
        Ok(marked)
    }

    /// Records that a target on a mounted disk has a copy of the entry, as
    /// [`Remote::push`](crate::Remote::push) does for others. `proof` is what was compared now, if
    /// anything. `receipt` counts only where no copy is recorded yet.
    ///
    /// # Errors
    /// As [`mark_verified`](Self::mark_verified).
    pub fn record_copy(
        &self,
        entry: &Entry,
        target: &str,
        receipt: Receipt,
        proof: Option<Proof>,
        at: Timestamp,
    ) -> Result<Entry> {
        let sidecar = entry.require_sidecar()?;
        let known = sidecar.copies.get(target);
        let known = known.filter(|copy| copy.sha256 == sidecar.sha256);
        let copy = known.cloned();
        let copy = copy.unwrap_or_else(|| SentCopy::new(sidecar, receipt, at));
        let copy = copy.proven(proof, at);
        if known == Some(&copy) {
            return Ok(entry.clone());
        }
        latest::record_copy(self, entry, target, copy)
    }

    /// Points the `latest` link at the newest verified entry, as
    /// [`mark_verified`](Self::mark_verified) does: entries may have come from elsewhere.
    ///
    /// # Errors
    /// [`Error::LatestIsNotALink`].
    pub fn advance_latest(&self) -> Result<()> {
        latest::advance(self, &self.catalogue_lock()?)
    }

    /// Plans the fate of every entry under a retention. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::NoRetention`], and [`Error::ClockBehind`] where something was done after now.
    pub fn plan(&self, retention: &Retention, circumstances: &Circumstances) -> Result<Plan> {
        Plan::new(retention, self.entries()?, circumstances)
    }

    /// Removes the entries that a plan names. Interrupted, it is finished by the next call, or by
    /// [`clean_leftovers`](Self::clean_leftovers).
    ///
    /// # Errors
    /// [`Error::Changed`] where an entry that is to go, the newest verified or the newest drilled
    /// one is not what it was: then nothing was removed. [`Error::ForeignLock`],
    /// [`Error::InvalidPruning`].
    pub fn prune(&self, lock: &VaultLock, plan: &Plan, at: Timestamp) -> Result<()> {
        self.check_lock(lock)?;
        prune::prune(self, plan, at)?;
        tracing::info!(directory = %self.directory().display(), "pruned the vault");
        Ok(())
    }

    /// Copies an entry, with what is known of it, into another vault of the same service, whose
    /// lock this is; returns the entry there. The copy is made durable, and read again and compared
    /// with the recorded hash, before it gets its name. One that is there already stays.
    ///
    /// # Errors
    /// [`Error::HashDiffers`] where the entry or its copy is not what was sealed,
    /// [`Error::Changed`] where the name is another file's, [`Error::ForeignEntry`],
    /// [`Error::ForeignLock`], [`Error::NoSidecar`].
    pub fn copy_to(&self, entry: &Entry, to: &Self, lock: &VaultLock) -> Result<Entry> {
        to.check_lock(lock)?;
        let copy = copying::copy_to(entry, to)?;
        tracing::info!(to = %copy.path().display(), "copied {}", entry.id());
        Ok(copy)
    }

    /// Catalogues a sealed file that another tool made, as data of the time `taken_at`: opens it
    /// from one end to the other, and makes it an entry in the state `sealed`. A file with a name
    /// of this vault in its directory gets a sidecar; any other is copied, and stays where it is.
    ///
    /// # Errors
    /// What is wrong with the file. [`Error::Changed`] where it has a sidecar already,
    /// [`Error::TimeOutOfRange`], [`Error::ForeignLock`].
    pub fn import(
        &self,
        lock: &VaultLock,
        path: impl AsRef<Path>,
        identities: &Identities,
        taken_at: Timestamp,
        facts: SidecarFacts,
    ) -> Result<Entry> {
        self.check_lock(lock)?;
        let entry = importing::import(self, path.as_ref(), identities, taken_at, facts)?;
        tracing::info!(from = %path.as_ref().display(), "imported {}", entry.id());
        Ok(entry)
    }

    /// Seals an entry for other recipients, reads that again and compares the payload, and removes
    /// the old file. What was proven of the entry stays proven. No clear text touches a disk;
    /// interrupted, there are two entries of the same data.
    ///
    /// # Errors
    /// Those of [`open_entry`](Self::open_entry), also where the given identities do not open what
    /// was sealed anew: the old file stays then, and the new one goes.
    pub fn rekey(
        &self,
        lock: &VaultLock,
        entry: &Entry,
        identities: &Identities,
        recipients: &Recipients,
        at: Timestamp,
    ) -> Result<Entry> {
        let sealed = rekey::rekey(self, lock, entry, (identities, recipients), at)?;
        tracing::info!("sealed {} anew as {}", entry.id(), sealed.id());
        Ok(sealed)
    }

    /// Returns the leftovers of interrupted runs. Files that a living process is writing are not
    /// among them.
    pub fn leftovers(&self) -> Result<Vec<Leftover>> {
        leftover::list(self, &self.catalogue_lock()?)
    }

    /// Removes the leftovers and says which they were.
    ///
    /// # Errors
    /// [`Error::ForeignLock`] if the lock is not this vault's.
    pub fn clean_leftovers(&self, lock: &VaultLock) -> Result<Vec<Leftover>> {
        self.check_lock(lock)?;
        leftover::clean(self, &self.catalogue_lock()?)
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Refuses an entry that somebody else may have put there, wherever it was found. Without
    /// signers, a sidecar that cannot be read keeps nobody from their data.
    pub(crate) fn check_trust(&self, entry: &Entry) -> Result<()> {
        if self.trust.signers.is_none() {
            return Ok(());
        }
        self.trust.check(entry.path(), Some(entry.require_sidecar()?))
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn catalogue_lock(&self) -> Result<CatalogueLock> {
        CatalogueLock::acquire(&self.directory.join(self.names.catalogue_lock()))
    }

    pub(crate) fn check_lock(&self, lock: &VaultLock) -> Result<()> {
        if lock.is_at(&self.directory.join(self.names.run_lock())) {
            Ok(())
        } else {
            Err(Error::ForeignLock)
        }
    }
}

fn create_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if directory.is_dir() {
        return Ok(());
    }
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    created.map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot create {}: {error}", directory.display()))
    })?;
    durable::sync_directory(regularfile::parent(directory))
}
