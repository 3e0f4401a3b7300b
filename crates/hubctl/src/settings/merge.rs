//! The merge of the file, the variables and the flags into settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::origin::{Origins, Sourced};
use super::source::{self, Source};
use super::{
    AlertSettings, Overrides, Settings, SiteFlags, SiteSettings, cutover, file, gates, layers,
};
use crate::environment as env;
use crate::failure::Refusal;

impl Settings {
    /// Reads the file that `explicit` names, or else `./hubctl.toml` or the user's, and merges it
    /// with the environment and `flags`.
    ///
    /// # Errors
    /// A named file that is missing, and a file with an unknown key or an invalid value.
    pub fn load(explicit: Option<&Path>, flags: Overrides) -> anyhow::Result<Self> {
        Self::merge(Source::find(explicit)?, flags)
    }

    /// Every problem of a file. Nothing but the file is read.
    pub(crate) fn problems(path: &Path) -> anyhow::Result<Vec<anyhow::Error>> {
        let (source, refusals) = Source::examined(&source::read(path)?, path)?;
        let mut problems: Vec<anyhow::Error> = refusals.into_iter().map(Into::into).collect();
        // What is left out may be what the rest refers to.
        if problems.is_empty() {
            Self::assembled(source, Overrides::default(), &mut problems);
        }
        Ok(problems)
    }

    pub(super) fn merge(source: Source, flags: Overrides) -> anyhow::Result<Self> {
        let mut problems = Vec::new();
        let settings = Self::assembled(source, flags, &mut problems);
        problems.into_iter().next().map_or(Ok(settings), Err)
    }

    /// Merges everything, without what is a problem.
    fn assembled(source: Source, flags: Overrides, problems: &mut Vec<anyhow::Error>) -> Self {
        let Source { path, mut file, keys } = source;
        let base = BaseDirectory { file: path.clone() };
        for path in file.paths_mut() {
            *path = base.path(&path.to_string_lossy());
        }
        file.commands_mut().for_each(|command| command.begin_at(&base));
        problems.extend(cutover::problems(&file).into_iter().map(Into::into));
        let mut origins = Origins::of_file(path.clone(), keys);
        let passphrase = flags.passphrase;
        let site_flags = SiteFlags {
            password_file: flags.password_file.clone(),
            password_command: flags.password_command.clone(),
            passfile: flags.passfile.clone(),
        };
        layers::apply(flags, &mut file, &mut origins);
        if file.journal.path.is_none() {
            file.journal.path = ok(default_journal(), problems);
        }
        let effective = file.clone();
        let file::VaultTable { path: vault, recipients, recipients_file, identities, .. } =
            file.vault;
        let of_vault = |key: &str, path: Option<PathBuf>| {
            path.map(|path| origins.sourced(&format!("vault.{key}"), path))
        };
        let sites: BTreeMap<String, SiteSettings> = file
            .sites
            .into_iter()
            .filter_map(|(name, site)| {
                let settings = ok(site_settings(&name, site, &origins), problems)?;
                Some((name, settings))
            })
            .collect();
        let backup_site = ok(backup_site(file.backup.site, &sites, &origins), problems).flatten();
        let targets = file.targets.into_iter();
        let targets = targets
            .filter_map(|(name, target)| {
                ok(target_name(&name), problems)?;
                Some((name, target))
            })
            .collect();
        let tunnels = file.tunnels.into_iter();
        let tunnels = tunnels
            .filter_map(|(name, tunnel)| {
                ok(tunnel.check(&name).map_err(Into::into), problems)?;
                let tunnel = origins.sourced(&format!("tunnels.{name}"), tunnel);
                Some((name, tunnel))
            })
            .collect();
        Self {
            service: file.service.name.map(|name| origins.sourced("service.name", name)),
            sites,
            vault: of_vault("path", vault),
            recipients: list("vault.recipients", recipients, &origins),
            recipients_file: of_vault("recipients_file", recipients_file),
            identities: list("vault.identities", identities, &origins),
            passphrase_file: of_vault("passphrase_file", file.vault.passphrase_file),
            passphrase,
            retention: file.retention.map(|retention| origins.sourced("retention", retention)),
            freshness: origins.sourced("freshness", file.freshness.limits()),
            metrics: file.freshness.metrics.map(|path| origins.sourced("freshness.metrics", path)),
            targets,
            alerts: AlertSettings::of(file.alerts, &origins),
            backup_site,
            append_only: file.backup.append_only,
            sign_key: file.backup.sign_key.map(|path| origins.sourced("backup.sign_key", path)),
            allowed_signers: file
                .backup
                .allowed_signers
                .map(|path| origins.sourced("backup.allowed_signers", path)),
            checks: list("drill.checks", file.drill.checks, &origins),
            episodic_memory: file
                .drill
                .episodic_memory
                .map(|path| origins.sourced("drill.episodic_memory", path)),
            journal: origins.sourced("journal.path", file.journal.path.unwrap_or_default()),
            tunnels,
            approval_key: file.approval.key.map(|path| origins.sourced("approval.key", path)),
            clusters: gates::clusters(file.clusters, &origins, problems),
            gates: gates::gates(file.gates, &base, problems),
            cutover: file.cutover,
            file: path,
            state_home: env::state_home(),
            flags: site_flags,
            effective,
            origins,
        }
    }
}

/// The base of relative paths.
#[derive(Default)]
pub(super) struct BaseDirectory {
    pub(super) file: Option<PathBuf>,
}

impl BaseDirectory {
    /// Expands `~`, and takes a relative path of a file from the file's directory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        let expanded = env::expanded(Path::new(text));
        match self.file.as_deref().and_then(Path::parent) {
            Some(directory) => directory.join(expanded),
            None => expanded,
        }
    }
}

/// The value, unless it is a problem.
pub(super) fn ok<T>(result: anyhow::Result<T>, problems: &mut Vec<anyhow::Error>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// Each item of a list with the origin of the list.
fn list<T>(key: &str, items: Vec<T>, origins: &Origins) -> Vec<Sourced<T>> {
    items.into_iter().map(|item| origins.sourced(key, item)).collect()
}

fn site_settings(
    name: &str,
    site: file::SiteTable,
    origins: &Origins,
) -> anyhow::Result<SiteSettings> {
    if crate::site::is_url(name) || name == "latest" {
        return Err(Refusal::usage(format!("`{name}` cannot name a site")).into());
    }
    let key = |key: &str| format!("sites.{name}.{key}");
    let path = |name, path: Option<PathBuf>| path.map(|path| origins.sourced(&key(name), path));
    Ok(SiteSettings {
        database: origins.sourced(&key("database"), site.database),
        password_file: path("password_file", site.password_file),
        password_command: site
            .password_command
            .map(|command| origins.sourced(&key("password_command"), command.0)),
        passfile: path("passfile", site.passfile),
        api: site.api,
        identity: site.identity,
        writers: site.writers,
        redirects: site.redirect,
    })
}

/// The site of `[backup]`, which must be one of the configuration.
fn backup_site(
    name: Option<String>,
    sites: &BTreeMap<String, SiteSettings>,
    origins: &Origins,
) -> anyhow::Result<Option<Sourced<String>>> {
    let Some(name) = name else {
        return Ok(None);
    };
    if !sites.contains_key(&name) {
        let hint = match crate::human::quoted(sites.keys().map(String::as_str)) {
            known if known.is_empty() => format!("add its table: [sites.{name}]"),
            known => format!("the configured sites are {known}"),
        };
        let fact = format!("[backup] site names no site: `{name}`");
        return Err(Refusal::usage(fact).hint(hint).into());
    }
    Ok(Some(origins.sourced("backup.site", name)))
}

/// Refuses the name of a target that `TARGET:BACKUP` could not be read with.
fn target_name(name: &str) -> anyhow::Result<()> {
    if name.is_empty() || name.contains([':', '/']) || name.starts_with('-') {
        return Err(Refusal::usage(format!("`{name}` cannot name a target")).into());
    }
    Ok(())
}

/// The journal is kept away from the vault: it must still tell of a vault that is gone.
fn default_journal() -> anyhow::Result<PathBuf> {
    let home = env::state_home().ok_or_else(|| {
        Refusal::usage("there is no home directory to keep the journal in")
            .hint("name a file with --journal or HUBCTL_JOURNAL")
    })?;
    Ok(home.join("hubctl").join("journal.jsonl"))
}

#[cfg(test)]
mod tests {
    use super::super::origin::Origin;
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
        Settings::merge(Source::parse(FILE, &path).unwrap(), flags).unwrap()
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
