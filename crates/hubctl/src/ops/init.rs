//! Write a first configuration, and a key on request.

mod key;

use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

pub(crate) use self::key::{Key, generate_key};
use super::Report;
use crate::failure::Refusal;
use crate::site::check;

/// The values of a first configuration, and where to write it.
#[derive(Debug, Clone, Default)]
pub struct InitOrder {
    /// The configuration file, which does not exist yet.
    pub config: PathBuf,
    /// The service's name.
    pub service: String,
    /// The connection URL of the first site, without a password.
    pub database: String,
    /// The directory of the backups, made with mode 0700 if it does not exist.
    pub vault: Option<PathBuf>,
    /// Public keys to seal for.
    pub recipients: Vec<String>,
    /// A file for a new age key, whose public half becomes a recipient.
    pub generate_key: Option<PathBuf>,
}

/// The files that were written.
#[derive(Debug, Clone, Serialize)]
pub struct InitReport {
    /// The configuration file.
    pub config: String,
    /// The directory of the backups.
    pub vault: Option<String>,
    /// The file of the new private key.
    pub key: Option<String>,
    /// The public keys to seal for.
    pub recipients: Vec<String>,
}

impl Report for InitReport {
    const SCHEMA: &'static str = "hubctl.init.v1";
}

/// Writes a commented configuration, and a key if one is ordered.
///
/// Nothing that exists is overwritten.
///
/// # Errors
/// An invalid connection URL or recipient, a file that exists, and a file or directory that cannot
/// be made.
pub fn init(order: InitOrder) -> anyhow::Result<InitReport> {
    check(&order.database)?;
    let mut checked = backup::Recipients::new();
    for recipient in &order.recipients {
        checked.add(recipient)?;
    }
    if order.config.exists() {
        return Err(Refusal::usage(format!("{} exists already", order.config.display()))
            .hint("write to another file with --config")
            .into());
    }
    if let Some(path) = order.generate_key.as_deref().filter(|path| path.exists()) {
        return Err(exists(path).into());
    }
    let vault = order.vault.as_deref().map(make_vault).transpose()?;
    let key = order.generate_key.as_deref().map(generate_key).transpose()?;
    let recipients: Vec<String> =
        key.iter().map(|key| &key.public).chain(&order.recipients).cloned().collect();
    let key = key.as_ref().map(|key| key.path.as_path());
    let text = template(&order, vault.as_deref(), key, &recipients);
    write_new(&order.config, &text, 0o644)?;
    let show = |path: &Path| path.display().to_string();
    Ok(InitReport {
        config: show(&order.config),
        vault: vault.as_deref().map(show),
        key: key.map(show),
        recipients,
    })
}

fn exists(path: &Path) -> Refusal {
    Refusal::usage(format!("{} exists already", path.display()))
        .hint("name another file; existing files are never overwritten")
}

fn make_vault(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("the vault {} could not be made", path.display()))?;
    }
    Ok(fs_err::canonicalize(path)?)
}

/// Writes a file that must not exist, durably.
fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut file = match regularfile::Options::new_file().mode(mode).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(exists(path).into());
        }
        Err(error) => return Err(error.into()),
    };
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

/// The text of the configuration, with these values where the template has places for them.
fn template(
    order: &InitOrder,
    vault: Option<&Path>,
    key: Option<&Path>,
    recipients: &[String],
) -> String {
    let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let path = |path: Option<&Path>, default: &str| {
        quote(&path.map_or_else(|| default.to_owned(), |path| path.display().to_string()))
    };
    let list = |items: &[String]| {
        items.iter().map(|item| format!("    {},\n", quote(item))).collect::<String>()
    };
    format!(
        include_str!("init/hubctl.toml.in"),
        service = quote(&order.service),
        database = quote(&order.database),
        vault = path(vault, &format!("/opt/backup/{}", order.service)),
        recipients = list(recipients),
        identity = path(key, "~/.config/sops/age/keys.txt"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Overrides, Settings};

    #[test]
    fn every_example_in_a_comment_is_understood() {
        let order = InitOrder {
            service: "state-hub".to_owned(),
            database: "postgresql://hub@127.0.0.1:5432/state_hub".to_owned(),
            ..InitOrder::default()
        };
        let text = template(&order, None, None, &["age1a".to_owned()]);
        let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let is_example = |line: &str| {
            line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| is_word(key))
        };
        let uncommented = text.lines().map(|line| match line.strip_prefix("# ") {
            Some(example) if is_example(example) => example,
            _ => line,
        });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hubctl.toml");
        fs_err::write(&path, uncommented.collect::<Vec<_>>().join("\n")).unwrap();
        let settings = Settings::load(Some(&path), Overrides::default()).unwrap();
        let gates: Vec<&str> = settings.gates.iter().map(|(name, _)| name).collect();
        assert_eq!(gates, ["drilled", "three-nodes"]);
        assert!(settings.clusters.contains_key("home") && settings.tunnels.contains_key("hub"));
        assert!(settings.targets.contains_key("disk") && settings.alerts.tells_anybody());
    }
}
