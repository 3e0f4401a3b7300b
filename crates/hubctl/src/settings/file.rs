//! `hubctl.toml`: its tables, and where it is found. Keys that are not here are refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::target::TargetTable;
use super::{misplaced, reference, wording};
use crate::environment as env;
use crate::failure::Refusal;

/// No configuration is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    pub(super) service: ServiceTable,
    pub(super) sites: BTreeMap<String, SiteTable>,
    pub(super) vault: VaultTable,
    pub(super) backup: BackupTable,
    pub(super) alerts: AlertsTable,
    pub(super) approval: ApprovalTable,
    pub(super) targets: BTreeMap<String, TargetTable>,
    pub(super) retention: Option<backup::Retention>,
    pub(super) freshness: Freshness,
    pub(super) drill: DrillTable,
    pub(super) journal: JournalTable,
    pub(super) tunnels: BTreeMap<String, tunnel::Tunnel>,
    pub(super) clusters: BTreeMap<String, ClusterTable>,
    /// Their members are those of their conditions, which know them.
    pub(super) gates: BTreeMap<String, Map<String, Value>>,
}

/// How to reach a cluster of Kubernetes, and which one it must be.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterTable {
    /// Without it, the cluster that this program runs in.
    pub(super) kubeconfig: Option<String>,
    pub(super) context: Option<String>,
    /// The UID of its namespace `kube-system`.
    pub(super) uid: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceTable {
    pub(super) name: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteTable {
    pub(super) database: String,
    pub(super) password_file: Option<String>,
    pub(super) password_command: Option<String>,
    pub(super) passfile: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct VaultTable {
    pub(super) path: Option<String>,
    pub(super) recipients: Vec<String>,
    pub(super) recipients_file: Option<String>,
    pub(super) identities: Vec<String>,
    pub(super) passphrase_file: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BackupTable {
    pub(super) site: Option<String>,
    pub(super) append_only: Vec<String>,
    pub(super) sign_key: Option<String>,
    pub(super) allowed_signers: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ApprovalTable {
    pub(super) key: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AlertsTable {
    pub(super) command: Option<String>,
    pub(super) webhook: Option<UrlTable>,
    pub(super) mail: Option<MailSettings>,
    pub(super) ping: Option<UrlTable>,
}

/// A URL that is a secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UrlTable {
    pub(super) url_file: String,
}

/// A command that sends the message on its stdin.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailSettings {
    pub(crate) command: String,
    pub(crate) to: String,
}

/// How old what `hubctl fresh` asks for may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Freshness {
    /// The data of the newest backup, and of the newest that is verified.
    #[serde(with = "humantime_serde")]
    pub(crate) max_age: Duration,
    /// The data of the newest that was restored for real.
    #[serde(with = "humantime_serde")]
    pub(crate) drilled: Duration,
    /// Where the answer is kept for Prometheus. It decides nothing.
    #[serde(skip_serializing)]
    pub(crate) metrics: Option<PathBuf>,
}

impl Default for Freshness {
    /// A daily backup with two hours to spare, and a weekly drill with a day.
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(26 * 3600),
            drilled: Duration::from_secs(8 * 86_400),
            metrics: None,
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DrillTable {
    pub(super) checks: Vec<Check>,
    pub(super) episodic_memory: Option<String>,
}

/// A question to a restored database, and the right answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) sql: String,
    pub(crate) expect: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JournalTable {
    pub(super) path: Option<String>,
}

impl ConfigFile {
    /// Reads the file that was named, or the first one found. None at all is fine: flags may say
    /// everything.
    pub(super) fn find(explicit: Option<&Path>) -> anyhow::Result<Option<(PathBuf, Self)>> {
        if let Some(path) = explicit {
            return Self::read(path).map(Some);
        }
        match candidates().into_iter().find(|path| path.exists()) {
            Some(path) => Self::read(&path).map(Some),
            None => Ok(None),
        }
    }

    fn read(path: &Path) -> anyhow::Result<(PathBuf, Self)> {
        let unreadable = |error: std::io::Error| {
            Refusal::usage(format!("the configuration cannot be read: {error}"))
                .hinted(regularfile::hint(&error))
        };
        // Whoever may change it may run commands.
        let trusted = regularfile::Options::read().trusted();
        let text = trusted.to_string(path, LARGEST).map_err(unreadable)?;
        let file = Self::parse(&text, path)?;
        // Absolute, so that relative paths in it mean the same wherever they are printed.
        Ok((std::path::absolute(path)?, file))
    }

    pub(super) fn parse(text: &str, path: &Path) -> anyhow::Result<Self> {
        let refused = |key: &str, reason: &str| {
            let at =
                if key.is_empty() || key == "." { String::new() } else { format!(" at `{key}`") };
            Refusal::usage(format!("{} is not a valid configuration{at}: {reason}", path.display()))
                .hint("`hubctl init --config example.toml` writes a commented example; hubctl.toml(5) lists every key")
        };
        let parsed = toml::Deserializer::parse(text)
            .map_err(|error| refused("", &summary(text, &error, None)))?;
        if let Ok(table) = toml::from_str(text) {
            misplaced::refuse(&table)?;
        }
        serde_path_to_error::deserialize(parsed).map_err(|error| {
            let key = error.path().to_string();
            let form = reference::form(error.path());
            refused(&key, &summary(text, error.inner(), form)).into()
        })
    }
}

/// The mistake and its line, without any text of the file but its keys: a value may hold a
/// password.
fn summary(text: &str, error: &toml::de::Error, form: Option<&str>) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| before.matches('\n').count() + 1);
    let message = wording::plain(&error.message().trim().replace('\n', ", "), form);
    line.map_or(message.clone(), |line| format!("{message} (line {line})"))
}

fn candidates() -> Vec<PathBuf> {
    let user = env::config_home().map(|home| home.join("hubctl").join("hubctl.toml"));
    std::iter::once(PathBuf::from("hubctl.toml")).chain(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        ConfigFile::parse(text, Path::new("hubctl.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_path() {
        insta::assert_snapshot!(refusal("[vault]\npath = \"/x\"\nrecipient = [\"age1\"]"), @"hubctl.toml is not a valid configuration at `vault.recipient`: unknown key `recipient`, expected one of `path`, `recipients`, `recipients_file`, `identities`, `passphrase_file` (line 3)");
        insta::assert_snapshot!(refusal("[sites.a]\ndatabase = \"postgresql://hub@h/d\"\npassword = \"secret\""), @"hubctl.toml is not a valid configuration at `sites.a.password`: unknown key `password`, expected one of `database`, `password_file`, `password_command`, `passfile` (line 3)");
    }

    #[test]
    fn a_value_is_never_repeated() {
        let text = refusal("[sites]\na = \"a secret of yours\"");
        assert!(!text.contains("secret") && text.contains("sites.a"), "{text}");
        let text = refusal("[sites]\na = \"postgresql://hub:secret@h/d\"");
        assert!(!text.contains("secret") && text.contains("[sites]"), "{text}");
    }

    #[test]
    fn a_wrong_type_and_a_syntax_error_name_the_place() {
        insta::assert_snapshot!(refusal("[vault]\npath = 3"), @"hubctl.toml is not a valid configuration at `vault.path`: expected the path of a directory in quotes, found the number `3` (line 2)");
        insta::assert_snapshot!(refusal("[vault\npath = 3"), @"hubctl.toml is not a valid configuration: unclosed table, expected `]` (line 1)");
    }
}
