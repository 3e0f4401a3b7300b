//! The targets of the configuration, opened: a folder is a vault, the others are reached by their
//! protocols.

use std::time::{Duration, Instant};

use backup::{Entry, Remote, TargetSpec, Vault, VaultLock};

use crate::failure::Refusal;
use crate::human;
use crate::secret;
use crate::settings::Settings;

/// The time that all targets have for a question, such as that of a monitor.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A target that can be asked.
pub(crate) enum Opened {
    /// On a mounted disk: a vault like the one here.
    Folder(Vault),
    /// Far away.
    Remote(Remote),
}

impl Opened {
    /// Finds a backup there by what a person calls it.
    pub(crate) fn find(&self, spec: &str) -> Result<Entry, backup::Error> {
        match self {
            Self::Folder(there) => there.find(spec),
            Self::Remote(remote) => remote.find(spec),
        }
    }

    /// Fetches a backup into a vault whose lock this is.
    pub(crate) fn fetch(
        &self,
        entry: &Entry,
        to: &Vault,
        lock: &VaultLock,
    ) -> Result<Entry, backup::Error> {
        match self {
            Self::Folder(there) => there.copy_to(entry, to, lock),
            Self::Remote(remote) => remote.pull(entry, to, lock),
        }
    }

    /// The newest backup there of which `is` is true, with no more read than needed.
    pub(crate) fn newest(
        &self,
        name: &str,
        vault: &Vault,
        is: impl Fn(&Entry) -> bool,
    ) -> Result<Option<Entry>, backup::Error> {
        match self {
            Self::Folder(there) => there.newest(is),
            Self::Remote(remote) if remote.target().is_readable() => remote.newest(is),
            Self::Remote(_) => vault.newest(|entry| was_sent(entry, name) && is(entry)),
        }
    }

    /// The backups there, newest first. Of a target that shows nothing, those that the vault
    /// remembers to have sent there.
    pub(crate) fn entries(&self, name: &str, vault: &Vault) -> Result<Vec<Entry>, backup::Error> {
        match self {
            Self::Folder(there) => there.entries(),
            Self::Remote(remote) if remote.target().is_readable() => remote.entries(),
            Self::Remote(_) => {
                let mut entries = vault.entries()?;
                entries.retain(|entry| was_sent(entry, name));
                Ok(entries)
            }
        }
    }
}

/// Opens a target for the backups of a vault's service, which are trusted as those of the vault
/// are. Nothing far away is asked yet.
pub(crate) fn open(settings: &Settings, name: &str, vault: &Vault) -> anyhow::Result<Opened> {
    open_until(settings, name, vault, None)
}

/// The same for questions that end at this moment, whatever the target does.
pub(crate) fn open_until(
    settings: &Settings,
    name: &str,
    vault: &Vault,
    until: Option<Instant>,
) -> anyhow::Result<Opened> {
    let target = find(settings, name)?;
    tracing::info!(place = target.place(), "target {name}");
    match target {
        TargetSpec::Folder(folder) => {
            let there = Vault::open(folder.path(), vault.service()).map_err(unreachable)?;
            Ok(Opened::Folder(there.trusting_as(vault)))
        }
        TargetSpec::Remote(remote) => {
            let target = remote.open(until, secret::read_file)?;
            Ok(Opened::Remote(Remote::new(name, target, vault)))
        }
        _ => Err(Refusal::usage(format!("target {name} is of an unknown kind")).into()),
    }
}

/// A folder that is away is not a matter of usage: a disk may not be mounted.
pub(crate) fn unreachable(error: backup::Error) -> anyhow::Error {
    match error {
        error @ backup::Error::NoVault { .. } => Refusal::could_not_ask(error.to_string())
            .hint("check the path, and mount its disk")
            .into(),
        error => error.into(),
    }
}

/// The target of this name.
pub(crate) fn find<'a>(settings: &'a Settings, name: &str) -> anyhow::Result<&'a TargetSpec> {
    if settings.targets.is_empty() {
        return Err(Refusal::usage("no target is configured")
            .hint("name a folder of another disk: [targets.NAME] folder = \"/mnt/disk/backups\"")
            .into());
    }
    settings.targets.get(name).ok_or_else(|| {
        let known = human::quoted(settings.targets.keys().map(String::as_str));
        Refusal::usage(format!("no target `{name}` is configured"))
            .hint(format!("the configured targets are {known}"))
            .into()
    })
}

/// A backup at a target, as it is named: `TARGET:BACKUP`.
pub(crate) fn split<'a>(settings: &Settings, spec: &'a str) -> Option<(&'a str, &'a str)> {
    let (name, backup) = spec.split_once(':')?;
    (settings.targets.contains_key(name) && !backup.is_empty()).then_some((name, backup))
}

/// Returns true if the vault remembers that this very file went to the target.
fn was_sent(entry: &Entry, name: &str) -> bool {
    entry.sidecar().is_some_and(|sidecar| {
        let copy = sidecar.copies.get(name);
        copy.is_some_and(|copy| copy.sha256 == sidecar.sha256)
    })
}
