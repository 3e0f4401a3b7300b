//! What is configured, and where each value came from: flags, then `HUBCTL_*`, then the file, then
//! defaults.

mod file;
mod gates;
mod misplaced;
mod origin;
mod reference;
mod target;
mod wording;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::environment as env;
use crate::failure::Refusal;
use file::ConfigFile;
pub(crate) use file::{Check, Freshness, MailSettings};
pub(crate) use gates::ProgramQuestion;
pub(crate) use origin::{Origin, Sourced};
pub(crate) use reference::TABLES;
pub(crate) use target::{TargetKind, TargetSettings};

/// Values that replace what the environment and the file say, as flags do.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The service whose backups are meant.
    pub service: Option<String>,
    /// The directory of the backups.
    pub vault: Option<PathBuf>,
    /// Public keys to seal for.
    pub recipients: Vec<String>,
    /// A file of public keys to seal for.
    pub recipients_file: Option<PathBuf>,
    /// Seals with a passphrase instead of the configured public keys.
    pub passphrase: bool,
    /// Files of private keys that open backups.
    pub identities: Vec<PathBuf>,
    /// The file of the passphrase that seals or opens.
    pub passphrase_file: Option<PathBuf>,
    /// The file of the journal.
    pub journal: Option<PathBuf>,
    /// The file of the database password.
    pub password_file: Option<PathBuf>,
    /// A shell command that prints the database password.
    pub password_command: Option<String>,
    /// A password file in the form of `~/.pgpass`.
    pub passfile: Option<PathBuf>,
}

/// The merged configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
    pub(crate) service: Option<Sourced<String>>,
    pub(crate) sites: BTreeMap<String, SiteSettings>,
    pub(crate) vault: Option<Sourced<PathBuf>>,
    pub(crate) recipients: Vec<Sourced<String>>,
    pub(crate) recipients_file: Option<Sourced<PathBuf>>,
    pub(crate) identities: Vec<Sourced<PathBuf>>,
    /// Opens what was sealed with it; seals where no public key is named, or where `passphrase`
    /// says so.
    pub(crate) passphrase_file: Option<Sourced<PathBuf>>,
    pub(crate) passphrase: bool,
    pub(crate) retention: Option<Sourced<backup::Retention>>,
    pub(crate) freshness: Sourced<Freshness>,
    pub(crate) targets: BTreeMap<String, TargetSettings>,
    pub(crate) alerts: AlertSettings,
    /// The site that `hubctl backup` takes where none is named, as the schedule does.
    pub(crate) backup_site: Option<Sourced<String>>,
    /// Tables that grow only, as `schema.table`.
    pub(crate) append_only: Vec<String>,
    /// What new backups are signed with.
    pub(crate) sign_key: Option<Sourced<PathBuf>>,
    /// Whose signatures a backup needs to count.
    pub(crate) allowed_signers: Option<Sourced<PathBuf>>,
    pub(crate) checks: Vec<Sourced<Check>>,
    pub(crate) episodic_memory: Option<Sourced<PathBuf>>,
    pub(crate) journal: Sourced<PathBuf>,
    /// The user's directory of state; `None` without a home.
    pub(crate) state_home: Option<PathBuf>,
    pub(crate) tunnels: BTreeMap<String, Sourced<tunnel::Tunnel>>,
    /// What a person signs approvals with.
    pub(crate) approval_key: Option<Sourced<PathBuf>>,
    pub(crate) clusters: BTreeMap<String, Sourced<::gates::Access>>,
    pub(crate) gates: ::gates::Gates,
    flags: SiteFlags,
}

/// Where a site's database is, and where its password.
#[derive(Debug, Clone)]
pub(crate) struct SiteSettings {
    pub(crate) database: Sourced<String>,
    pub(crate) password_file: Option<Sourced<PathBuf>>,
    pub(crate) password_command: Option<Sourced<String>>,
    pub(crate) passfile: Option<Sourced<PathBuf>>,
}

/// Who is told of what.
#[derive(Debug, Clone)]
pub(crate) struct AlertSettings {
    /// What is run by a shell.
    pub(crate) command: Option<Sourced<String>>,
    /// The file of the URL that messages are posted to.
    pub(crate) webhook: Option<Sourced<PathBuf>>,
    pub(crate) mail: Option<Sourced<MailSettings>>,
    /// The file of the URL of a monitor that alarms where it is told nothing.
    pub(crate) ping: Option<Sourced<PathBuf>>,
}

impl AlertSettings {
    fn of(table: file::AlertsTable, base: &Place) -> Self {
        let url = |table: Option<file::UrlTable>| {
            table.map(|table| base.sourced(base.path(&table.url_file)))
        };
        Self {
            command: table.command.map(|command| base.sourced(command)),
            webhook: url(table.webhook),
            mail: table.mail.map(|mail| base.sourced(mail)),
            ping: url(table.ping),
        }
    }

    /// Whether anybody hears of a run that fails.
    pub(crate) fn tells_anybody(&self) -> bool {
        self.command.is_some() || self.webhook.is_some() || self.mail.is_some()
    }
}

/// The flags that hold for every database of a command.
#[derive(Debug, Clone, Default)]
struct SiteFlags {
    password_file: Option<PathBuf>,
    password_command: Option<String>,
    passfile: Option<PathBuf>,
}

impl SiteSettings {
    /// A database that was given as URL on the command line.
    pub(crate) fn of_url(url: &str) -> Self {
        Self::of(url, Origin::Argument)
    }

    /// The database that variables of libpq name, of which `variable` is one.
    pub(crate) fn of_environment(variable: &'static str) -> Self {
        Self::of("", Origin::Environment(variable))
    }

    fn of(url: &str, origin: Origin) -> Self {
        Self {
            database: Sourced { value: url.to_owned(), origin },
            password_file: None,
            password_command: None,
            passfile: None,
        }
    }
}

impl Settings {
    /// Reads the file that `explicit` names, or else `./hubctl.toml` or the user's, and merges it
    /// with the environment and `flags`.
    ///
    /// # Errors
    /// A named file that is not there, and a file with an unknown key or a value that makes no
    /// sense.
    pub fn load(explicit: Option<&Path>, flags: Overrides) -> anyhow::Result<Self> {
        let file = ConfigFile::find(explicit)?;
        Self::merge(file, flags)
    }

    fn merge(file: Option<(PathBuf, ConfigFile)>, flags: Overrides) -> anyhow::Result<Self> {
        let (path, file) =
            file.map_or_else(|| (None, ConfigFile::default()), |(path, file)| (Some(path), file));
        let base = path.as_deref().map(Place::of_file).unwrap_or_default();
        let here = Place::default();
        let text = |flag: Option<String>, name, variable, value: Option<String>| {
            let flag = flag.map(|value| Sourced { value, origin: Origin::Flag(name) });
            let set = || {
                env::get(variable)
                    .map(|value| Sourced { value, origin: Origin::Environment(variable) })
            };
            flag.or_else(set).or_else(|| value.map(|value| base.sourced(value)))
        };
        let single = |flag: Option<PathBuf>, name, variable, value: Option<String>| {
            let flag = flag.map(|value| Sourced { value, origin: Origin::Flag(name) });
            let set = || {
                env::get(variable).map(|value| Sourced {
                    value: here.path(&value),
                    origin: Origin::Environment(variable),
                })
            };
            flag.or_else(set).or_else(|| value.map(|value| base.sourced(base.path(&value))))
        };
        let (recipients, recipients_file) = merge_recipients(&flags, &file, &base, &here);
        let mut sites = BTreeMap::new();
        for (name, site) in file.sites {
            sites.insert(name.clone(), site_settings(&name, site, &base)?);
        }
        let backup_site = backup_site(file.backup.site, &sites, &base)?;
        let journal = single(flags.journal, "--journal", env::JOURNAL, file.journal.path);
        Ok(Self {
            service: text(flags.service, "--service", env::SERVICE, file.service.name),
            sites,
            vault: single(flags.vault, "--vault", env::VAULT, file.vault.path),
            recipients,
            recipients_file,
            identities: merge_identities(flags.identities, file.vault.identities, &base, &here),
            passphrase_file: single(
                flags.passphrase_file,
                "--passphrase-file",
                env::PASSPHRASE_FILE,
                file.vault.passphrase_file,
            ),
            passphrase: flags.passphrase,
            retention: file.retention.map(|retention| base.sourced(retention)),
            freshness: base.sourced(Freshness {
                metrics: file.freshness.metrics.map(|path| base.path(&path.to_string_lossy())),
                ..file.freshness
            }),
            targets: file
                .targets
                .into_iter()
                .map(|(name, target)| {
                    let settings = target.settings(&name, &base)?;
                    anyhow::Ok((name, settings))
                })
                .collect::<anyhow::Result<_>>()?,
            alerts: AlertSettings::of(file.alerts, &base),
            backup_site,
            append_only: file.backup.append_only,
            sign_key: file.backup.sign_key.map(|path| base.sourced(base.path(&path))),
            allowed_signers: file.backup.allowed_signers.map(|path| base.sourced(base.path(&path))),
            checks: file.drill.checks.into_iter().map(|check| base.sourced(check)).collect(),
            episodic_memory: file.drill.episodic_memory.map(|path| base.sourced(base.path(&path))),
            journal: journal.map_or_else(default_journal, Ok)?,
            state_home: env::state_home(),
            tunnels: file
                .tunnels
                .into_iter()
                .map(|(name, tunnel)| tunnel_settings(name, tunnel, &base))
                .collect::<anyhow::Result<_>>()?,
            approval_key: file.approval.key.map(|path| base.sourced(base.path(&path))),
            clusters: gates::clusters(file.clusters, &base)?,
            gates: gates::gates(file.gates, &base)?,
            file: path,
            flags: SiteFlags {
                password_file: flags.password_file,
                password_command: flags.password_command,
                passfile: flags.passfile,
            },
        })
    }

    /// The site with what flags say instead. A flag about passwords replaces all that the file says
    /// about them.
    pub(crate) fn overriding(&self, site: &SiteSettings) -> SiteSettings {
        let flags = &self.flags;
        if flags.password_file.is_none()
            && flags.password_command.is_none()
            && flags.passfile.is_none()
        {
            return site.clone();
        }
        let flag = |name| Origin::Flag(name);
        SiteSettings {
            database: site.database.clone(),
            password_file: flags
                .password_file
                .clone()
                .map(|value| Sourced { value, origin: flag("--password-file") }),
            password_command: flags
                .password_command
                .clone()
                .map(|value| Sourced { value, origin: flag("--password-command") }),
            passfile: flags
                .passfile
                .clone()
                .map(|value| Sourced { value, origin: flag("--passfile") }),
        }
    }

    /// A path as the user wrote it, with `~` expanded.
    pub(crate) fn expand(&self, path: &str) -> PathBuf {
        Place::default().path(path)
    }
}

/// Where relative paths begin and what values are said to come from.
#[derive(Default)]
struct Place {
    file: Option<PathBuf>,
}

impl Place {
    fn of_file(path: &Path) -> Self {
        Self { file: Some(path.to_owned()) }
    }

    fn sourced<T>(&self, value: T) -> Sourced<T> {
        let origin = self.file.clone().map_or(Origin::Default, Origin::File);
        Sourced { value, origin }
    }

    /// Expands `~`, and takes a relative path of a file from the file's directory.
    fn path(&self, text: &str) -> PathBuf {
        let expanded = env::expanded(Path::new(text));
        match self.file.as_deref().and_then(Path::parent) {
            Some(directory) => directory.join(expanded),
            None => expanded,
        }
    }
}

type Recipients = (Vec<Sourced<String>>, Option<Sourced<PathBuf>>);

/// One place gives the recipients, all of them: adding some of the file to those of a flag would
/// seal for keys that nobody named.
fn merge_recipients(
    flags: &Overrides,
    file: &ConfigFile,
    base: &Place,
    here: &Place,
) -> Recipients {
    if !flags.recipients.is_empty() || flags.recipients_file.is_some() {
        let sourced =
            |value: &String| Sourced { value: value.clone(), origin: Origin::Flag("--recipient") };
        let path = flags
            .recipients_file
            .clone()
            .map(|value| Sourced { value, origin: Origin::Flag("--recipients-file") });
        return (flags.recipients.iter().map(sourced).collect(), path);
    }
    let (words, path) = (env::get(env::RECIPIENTS), env::get(env::RECIPIENTS_FILE));
    if words.is_some() || path.is_some() {
        let words = words.unwrap_or_default();
        let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
        let sourced = |value: &str| Sourced {
            value: value.to_owned(),
            origin: Origin::Environment(env::RECIPIENTS),
        };
        let path = path.map(|path| Sourced {
            value: here.path(&path),
            origin: Origin::Environment(env::RECIPIENTS_FILE),
        });
        return (words.map(sourced).collect(), path);
    }
    let vault = &file.vault;
    let words = vault.recipients.iter().map(|word| base.sourced(word.clone())).collect();
    (words, vault.recipients_file.as_ref().map(|path| base.sourced(base.path(path))))
}

fn merge_identities(
    flags: Vec<PathBuf>,
    file: Vec<String>,
    base: &Place,
    here: &Place,
) -> Vec<Sourced<PathBuf>> {
    if !flags.is_empty() {
        return flags
            .into_iter()
            .map(|value| Sourced { value, origin: Origin::Flag("--identity") })
            .collect();
    }
    if let Some(paths) = env::get(env::IDENTITIES) {
        let paths = paths.split(':').filter(|path| !path.is_empty());
        return paths
            .map(|path| Sourced {
                value: here.path(path),
                origin: Origin::Environment(env::IDENTITIES),
            })
            .collect();
    }
    file.iter().map(|path| base.sourced(base.path(path))).collect()
}

fn site_settings(name: &str, site: file::SiteTable, base: &Place) -> anyhow::Result<SiteSettings> {
    if crate::site::is_url(name) || name == "latest" {
        return Err(Refusal::usage(format!("`{name}` cannot name a site")).into());
    }
    let path = |path: Option<String>| path.map(|path| base.sourced(base.path(&path)));
    Ok(SiteSettings {
        database: base.sourced(site.database),
        password_file: path(site.password_file),
        password_command: site.password_command.map(|command| base.sourced(command)),
        passfile: path(site.passfile),
    })
}

/// The site of `[backup]`, which must be one of the configuration.
fn backup_site(
    name: Option<String>,
    sites: &BTreeMap<String, SiteSettings>,
    base: &Place,
) -> anyhow::Result<Option<Sourced<String>>> {
    let Some(name) = name else {
        return Ok(None);
    };
    if !sites.contains_key(&name) {
        let known = crate::human::quoted(sites.keys().map(String::as_str));
        return Err(Refusal::usage(format!("[backup] site names no site: `{name}`"))
            .hint(format!("the configured sites are {known}"))
            .into());
    }
    Ok(Some(base.sourced(name)))
}

/// Paths in it begin beside the file, as all others do.
fn tunnel_settings(
    name: String,
    mut tunnel: tunnel::Tunnel,
    base: &Place,
) -> anyhow::Result<(String, Sourced<tunnel::Tunnel>)> {
    let paths = [
        &mut tunnel.ssh_config,
        &mut tunnel.known_hosts,
        &mut tunnel.identity_file,
        &mut tunnel.identity_agent,
    ];
    let probes = tunnel.forwards.iter_mut().map(|forward| &mut forward.probe.question);
    let passwords = probes.filter_map(|question| match question {
        tunnel::Question::Postgres(probe) => probe.password_file.as_mut(),
        _ => None,
    });
    for path in paths.into_iter().flatten().chain(passwords) {
        *path = base.path(&path.to_string_lossy());
    }
    tunnel.check(&name)?;
    Ok((name, base.sourced(tunnel)))
}

/// The journal is kept away from the vault: it must still tell of a vault that is gone.
fn default_journal() -> anyhow::Result<Sourced<PathBuf>> {
    let home = env::state_home().ok_or_else(|| {
        Refusal::usage("there is no home directory to keep the journal in")
            .hint("name a file with --journal or HUBCTL_JOURNAL")
    })?;
    Ok(Sourced { value: home.join("hubctl").join("journal.jsonl"), origin: Origin::Default })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [service]
        name = "state-hub"
        [sites.workstation]
        database = "postgresql://hub@127.0.0.1:5432/state_hub"
        password_file = "secrets/hub"
        [tunnels.db]
        destination = "node1"
        [[tunnels.db.forwards]]
        local = "127.0.0.1:6432"
        target = "127.0.0.1:5432"
        probe = { postgres = { user = "hub", password_file = "secrets/probe" } }
        [vault]
        path = "vault"
        recipients = ["age1a", "age1b"]
    "#;

    fn merged(flags: Overrides) -> Settings {
        let path = PathBuf::from("/etc/hubctl/hubctl.toml");
        let file = ConfigFile::parse(FILE, &path).unwrap();
        Settings::merge(Some((path, file)), flags).unwrap()
    }

    #[test]
    fn relative_paths_of_the_file_begin_beside_the_file() {
        let settings = merged(Overrides::default());
        assert_eq!(settings.vault.unwrap().value, PathBuf::from("/etc/hubctl/vault"));
        let site = &settings.sites["workstation"];
        assert_eq!(
            site.password_file.as_ref().unwrap().value,
            PathBuf::from("/etc/hubctl/secrets/hub")
        );
        let probe = &settings.tunnels["db"].value.forwards[0].probe;
        let tunnel::Question::Postgres(asked) = &probe.question else { panic!("{probe:?}") };
        assert_eq!(asked.password_file.as_deref(), Some(Path::new("/etc/hubctl/secrets/probe")));
    }

    #[test]
    fn flags_win_and_replace_lists_as_a_whole() {
        let settings = merged(Overrides {
            vault: Some("elsewhere".into()),
            recipients: vec!["age1c".into()],
            password_command: Some("pass hub".into()),
            ..Overrides::default()
        });
        let vault = settings.vault.clone().unwrap();
        assert_eq!(
            (vault.value, vault.origin),
            (PathBuf::from("elsewhere"), Origin::Flag("--vault"))
        );
        assert_eq!(
            settings.recipients.iter().map(|r| r.value.as_str()).collect::<Vec<_>>(),
            ["age1c"]
        );
        let site = settings.overriding(&settings.sites["workstation"]);
        assert!(site.password_file.is_none() && site.password_command.is_some());
    }
}
