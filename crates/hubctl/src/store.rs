//! From what the operator calls a backup to its entry, and from the entry to the archive inside.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use backup::{Entry, Identities, Recipients, Unsealed, Vault};
use pgsnap::{Archive, OpenDump, ReadSeek};

use crate::failure::Refusal;
use crate::human;
use crate::printer::{Printer, can_ask};
use crate::settings::Settings;

const SUFFIX: &str = ".sql.gz.age";

/// The configured vault; `fallback` names the service where nothing else does.
pub(crate) fn open_vault(settings: &Settings, fallback: Option<&str>) -> anyhow::Result<Vault> {
    let Some(vault) = &settings.vault else {
        return Err(Refusal::usage("no vault is configured")
            .hint("name its directory with --vault, HUBCTL_VAULT or [vault] path")
            .into());
    };
    let service = match (&settings.service, fallback) {
        (Some(service), _) => service.value.clone(),
        (None, Some(fallback)) => fallback.to_owned(),
        (None, None) => only_service(&vault.value)?,
    };
    Ok(Vault::open(&vault.value, &service)?)
}

/// The service whose backups lie in this directory, if it is the only one.
fn only_service(directory: &Path) -> anyhow::Result<String> {
    if !directory.is_dir() {
        return Err(backup::Error::NoVault {
            path: directory.to_owned(),
        }
        .into());
    }
    let mut found: Vec<String> = Vec::new();
    for item in fs_err::read_dir(directory)? {
        let name = item?.file_name();
        found.extend(name.to_str().and_then(service_of).map(str::to_owned));
    }
    found.sort();
    found.dedup();
    let hint = "name it with --service, HUBCTL_SERVICE or [service] name";
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Refusal::usage(format!(
            "there is no backup in {}, and no service was named",
            directory.display()
        ))
        .hint(hint)
        .into()),
        several => {
            let names = human::quoted(several.iter().map(String::as_str));
            Err(Refusal::usage(format!(
                "{} holds backups of several services: {names}",
                directory.display()
            ))
            .hint(hint)
            .into())
        }
    }
}

/// `state-hub` of `state-hub-20261121T161200Z.sql.gz.age`.
fn service_of(file_name: &str) -> Option<&str> {
    let stem = file_name.strip_suffix(SUFFIX)?;
    let stem = stem
        .strip_suffix("-latest")
        .map_or_else(|| before_stamp(stem), Some)?;
    (!stem.is_empty() && !stem.starts_with('.')).then_some(stem)
}

fn before_stamp(stem: &str) -> Option<&str> {
    let is_stamp =
        |word: &str| word.len() == 16 && word.ends_with('Z') && word.as_bytes()[8] == b'T';
    let (rest, last) = stem.rsplit_once('-')?;
    if is_stamp(last) {
        return Some(rest);
    }
    let (rest, stamp) = rest.rsplit_once('-')?;
    is_stamp(stamp).then_some(rest)
}

/// Finds an entry and the vault it belongs to. A path works without any configuration.
pub(crate) fn find_entry(settings: &Settings, spec: &str) -> anyhow::Result<(Vault, Entry)> {
    let vault = match (&settings.vault, Path::new(spec)) {
        (None, path) if path.is_file() => vault_around(settings, path)?,
        _ => open_vault(settings, None)?,
    };
    let entry = vault.find(spec)?;
    Ok((vault, entry))
}

/// The directory of a sealed file, seen as the vault of the service in its name.
fn vault_around(settings: &Settings, path: &Path) -> anyhow::Result<Vault> {
    let path = fs_err::canonicalize(path)?;
    let named = path
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(service_of)
        .map(str::to_owned);
    let service = settings
        .service
        .as_ref()
        .map(|service| service.value.clone())
        .or(named);
    let directory = path.parent().unwrap_or(Path::new("/"));
    Ok(Vault::open(
        directory,
        service.as_deref().unwrap_or("backup"),
    )?)
}

/// Everyone a backup is sealed for.
pub(crate) fn recipients(settings: &Settings) -> anyhow::Result<Recipients> {
    let mut recipients = Recipients::new();
    for recipient in &settings.recipients {
        recipients.add(&recipient.value)?;
    }
    if let Some(path) = &settings.recipients_file {
        recipients.add_file(&path.value)?;
    }
    if recipients.is_empty() {
        return Err(backup::Error::NoRecipients.into());
    }
    Ok(recipients)
}

/// The identities at hand. Passphrases are asked for where there is a terminal.
pub(crate) fn identities(settings: &Settings, printer: &Printer) -> anyhow::Result<Identities> {
    let mut identities = Identities::new();
    if can_ask() {
        identities.ask_with(|path| {
            rpassword::prompt_password(format!("Passphrase of {}: ", path.display()))
                .ok()
                .map(Into::into)
        });
    }
    for path in &settings.identities {
        identities.add_file(&path.value)?;
    }
    for note in identities.notes() {
        printer.warn(note);
    }
    Ok(identities)
}

/// A sealed entry whose key was found: every further reader opens without asking for it again.
#[derive(Clone)]
pub(crate) struct OpenEntry {
    first: Arc<Mutex<Unsealed>>,
}

impl OpenEntry {
    pub(crate) fn new(
        vault: &Vault,
        entry: &Entry,
        identities: &Identities,
    ) -> Result<Self, backup::Error> {
        Ok(Self {
            first: Arc::new(Mutex::new(vault.open_entry(entry, identities)?)),
        })
    }

    fn reader(&self) -> io::Result<Unsealed> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.reopen().map_err(into_io)
    }

    /// The archive inside.
    ///
    /// # Errors
    /// [`pgsnap::Error::NotAnArchive`] for a plain dump, among others.
    pub(crate) fn archive(&self) -> pgsnap::Result<Archive> {
        let this = self.clone();
        Archive::open(move || {
            this.reader()
                .map(|reader| Box::new(reader) as Box<dyn ReadSeek>)
        })
    }

    /// The plain dump inside, from its beginning.
    pub(crate) fn dump(&self) -> Arc<OpenDump> {
        let this = self.clone();
        Arc::new(move || {
            this.reader()
                .map(|reader| Box::new(reader) as Box<dyn Read + Send>)
        })
    }
}

/// Says by the kind what is damage, so that nobody takes a damaged file for an unreachable one.
fn into_io(error: backup::Error) -> io::Error {
    use backup::Error as E;
    let kind = match &error {
        E::Io(error) => error.kind(),
        E::Truncated { .. } | E::Empty { .. } => io::ErrorKind::UnexpectedEof,
        E::HeaderDamaged { .. } | E::EndDamaged { .. } | E::Damaged { .. } | E::NotAge { .. } => {
            io::ErrorKind::InvalidData
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// An identity file that lies in the vault: whoever gets the one gets the other.
pub(crate) fn beside_the_vault(settings: &Settings, vault: &Vault) -> Vec<PathBuf> {
    let paths = settings.identities.iter().map(|identity| &identity.value);
    paths
        .filter(|path| {
            fs_err::canonicalize(path).is_ok_and(|path| path.starts_with(vault.directory()))
        })
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_read_from_the_names_of_its_files() {
        assert_eq!(
            service_of("state-hub-20261121T161200Z.sql.gz.age"),
            Some("state-hub")
        );
        assert_eq!(
            service_of("state-hub-20261121T161200Z-2.sql.gz.age"),
            Some("state-hub")
        );
        assert_eq!(service_of("hub-dev-latest.sql.gz.age"), Some("hub-dev"));
        assert_eq!(service_of("holiday.sql.gz.age"), None);
        assert_eq!(service_of(".hub-20261121T161200Z.Ab3.partial"), None);
    }
}
