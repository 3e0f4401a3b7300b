//! From what the operator calls a backup to its entry, and from the entry to the archive inside.

use std::io::{self, IsTerminal as _, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use backup::{
    AllowedSigners, Entry, Identities, Prompt, SigningKey, State, TimeZone, Unsealed, Vault,
};
use pgsnap::{Archive, OpenDump, ReadSeek};

use crate::console::Console;
use crate::damage::Damaged;
use crate::failure::Refusal;
use crate::human;
use crate::runtime::blocking;
use crate::settings::Settings;
use crate::site::is_url;
use crate::targets::{self, Opened};

/// The name of the newest verified entry.
pub(crate) const LATEST: &str = "latest";

/// The suffix of backups.
pub(crate) const SUFFIX: &str = ".sql.gz.age";

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
    let path = vault.value.display();
    tracing::info!(origin = %vault.origin, "vault {path} of service {service}");
    guarded(settings, Vault::open(&vault.value, &service)?)
}

/// The vault with the key that signs its new entries, and with those whose signatures its entries
/// need.
pub(crate) fn guarded(settings: &Settings, mut vault: Vault) -> anyhow::Result<Vault> {
    if let Some(key) = &settings.sign_key {
        // Where nobody sits at a terminal, nobody can type a passphrase or knows of the key that waits to be touched.
        let prompt = if io::stdin().is_terminal() && io::stderr().is_terminal() {
            Prompt::Allowed
        } else {
            Prompt::Never
        };
        vault = vault.signing_with(SigningKey::new(&key.value, prompt));
    }
    if let Some(signers) = &settings.allowed_signers {
        let signers = AllowedSigners::load(&signers.value, &TimeZone::system())
            .map_err(backup::Error::from)?;
        vault = vault.trusting(signers);
    }
    Ok(vault)
}

/// The service whose backups lie in this directory, if it is the only one.
fn only_service(directory: &Path) -> anyhow::Result<String> {
    let found = Vault::services(directory)?;
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

/// Finds an entry and the vault it belongs to. A path works without any configuration.
pub(crate) fn find_entry(settings: &Settings, spec: &str) -> anyhow::Result<(Vault, Entry)> {
    if is_url(spec) && !Path::new(spec).exists() {
        return Err(Refusal::usage("a connection URL is no backup")
            .hint("name a backup by its id, its path, or `latest`")
            .into());
    }
    if let Some((name, spec)) = targets::split(settings, spec) {
        return at_target(settings, name, spec);
    }
    let vault = match (&settings.vault, Path::new(spec)) {
        (None, path) if path.is_file() => vault_around(settings, path)?,
        _ => open_vault(settings, None)?,
    };
    let entry = vault
        .find(spec)
        .map_err(|error| with_a_way_out(error, None, || vault.newest(is_unproven)))?;
    tracing::info!(path = %entry.path().display(), "backup {}", entry.id());
    Ok((vault, entry))
}

/// A backup at a target: on a mounted disk, or read from far away without being fetched.
fn at_target(settings: &Settings, name: &str, spec: &str) -> anyhow::Result<(Vault, Entry)> {
    let vault = open_vault(settings, None)?;
    let opened = targets::open(settings, name, &vault)?;
    let entry = opened.find(spec).map_err(|error| {
        with_a_way_out(error, Some(name), || opened.newest(name, &vault, is_unproven))
    })?;
    match opened {
        Opened::Folder(there) => Ok((there, entry)),
        Opened::Remote(_) => Ok((vault, entry)),
    }
}

/// Names the backup to verify if `latest` is none yet, since `hubctl verify` alone means `latest`.
fn with_a_way_out(
    error: backup::Error,
    target: Option<&str>,
    newest: impl FnOnce() -> Result<Option<Entry>, backup::Error>,
) -> anyhow::Error {
    let backup::Error::NothingVerified { entries, .. } = error else {
        return error.into();
    };
    let hint = match newest() {
        Ok(Some(entry)) => {
            let at = target.map(|target| format!("{target}:"));
            let at = at.unwrap_or_default();
            format!("verify the newest with `hubctl verify {at}{}`", entry.id())
        }
        _ if entries > 0 => {
            "`hubctl backups` shows what is wrong with each; name one by its id".to_owned()
        }
        _ => "take one with `hubctl backup`".to_owned(),
    };
    Refusal::no(error.to_string()).hint(hint).into()
}

/// Returns true for a backup that only waits to be verified. A suspicious one waits for a human.
fn is_unproven(entry: &Entry) -> bool {
    let sidecar = entry.sidecar();
    entry.state() == State::Sealed
        && sidecar.is_none_or(|sidecar| sidecar.payload.get("suspicious").is_none())
}

/// The same for a command that needs its contents: `latest` is not to be one that is known to be
/// damaged.
pub(crate) fn find_good_entry(
    settings: &Settings,
    spec: &str,
    console: &dyn Console,
) -> anyhow::Result<(Vault, Entry)> {
    let (vault, entry) = find_entry(settings, spec)?;
    if spec == LATEST {
        Damaged::read(settings, console).refuse(&vault, &entry)?;
    }
    Ok((vault, entry))
}

/// The ids of the backups in the vault, the newest first, by the names of their files alone.
pub(crate) fn ids(settings: &Settings) -> Vec<String> {
    let Some(vault) = &settings.vault else {
        return Vec::new();
    };
    let services = match &settings.service {
        Some(service) => vec![service.value.clone()],
        None => Vault::services(&vault.value).unwrap_or_default(),
    };
    let of_service = |service: &String| Vault::open(&vault.value, service)?.ids();
    let mut ids: Vec<String> = services.iter().flat_map(of_service).flatten().collect();
    ids.sort_by(|a, b| b.cmp(a));
    ids
}

/// The directory of a sealed file, seen as the vault of the service in its name.
fn vault_around(settings: &Settings, path: &Path) -> anyhow::Result<Vault> {
    let path = fs_err::canonicalize(path)?;
    let named = path
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(Vault::service_of)
        .map(str::to_owned);
    let service = settings.service.as_ref().map(|service| service.value.clone()).or(named);
    let directory = path.parent().unwrap_or(Path::new("/"));
    let vault = Vault::open(directory, service.as_deref().unwrap_or("backup"))?;
    guarded(settings, vault)
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
        Ok(Self { first: Arc::new(Mutex::new(vault.open_entry(entry, identities)?)) })
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
        Archive::open(move || this.reader().map(|reader| Box::new(reader) as Box<dyn ReadSeek>))
    }

    /// The plain dump inside, from its beginning.
    pub(crate) fn dump(&self) -> Arc<OpenDump> {
        let this = self.clone();
        Arc::new(move || this.reader().map(|reader| Box::new(reader) as Box<dyn Read + Send>))
    }
}

/// The payload of a sealed entry.
pub(crate) enum Contents {
    /// An archive, whose rows its manifest proves.
    Archive(Archive),
    /// A dump of SQL statements without a manifest.
    PlainDump(Arc<OpenDump>),
}

/// Opens an entry and looks at what it contains.
pub(crate) async fn contents(
    vault: Vault,
    entry: Entry,
    identities: Identities,
) -> anyhow::Result<Contents> {
    blocking(move || {
        let opened = OpenEntry::new(&vault, &entry, &identities)?;
        match opened.archive() {
            Ok(archive) => Ok(Contents::Archive(archive)),
            Err(pgsnap::Error::NotAnArchive { .. }) => Ok(Contents::PlainDump(opened.dump())),
            Err(error) => Err(error.into()),
        }
    })
    .await
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
