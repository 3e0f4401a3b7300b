//! The tables of `hubctl.toml`: the one declaration of every setting. Reading, `config show`, the
//! JSON Schema, the manual page and the messages about wrong values follow these types; the first
//! paragraph of each comment is what a user reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::cutover::{self, CutoverTable, IdentityTable, RedirectTable, WriterTable};
use super::program::ProgramCommand;

/// The configuration of hubctl.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    /// The service whose database is backed up.
    pub(super) service: ServiceTable,
    /// One table for each place where the service's database runs.
    pub(super) sites: BTreeMap<String, SiteTable>,
    /// The place of the backups, and their keys.
    pub(super) vault: VaultTable,
    /// What a backup takes, and what makes it count.
    pub(super) backup: BackupTable,
    /// The verified backups that `hubctl prune` keeps.
    pub(super) retention: Option<backup::Retention>,
    /// Limits of `hubctl fresh`.
    pub(super) freshness: FreshnessTable,
    /// A place for copies of the backups. Exactly one of `folder`, `webdav`, `filedrop`, `sftp` and
    /// `s3` is required.
    pub(super) targets: BTreeMap<String, backup::TargetSpec>,
    /// Notifications of failed scheduled runs.
    pub(super) alerts: AlertsTable,
    /// The questions to a restored database.
    pub(super) drill: DrillTable,
    /// The record of what was done.
    pub(super) journal: JournalTable,
    /// An SSH connection with its forwards.
    pub(super) tunnels: BTreeMap<String, tunnel::Tunnel>,
    /// A Kubernetes cluster for gates.
    pub(super) clusters: BTreeMap<String, ClusterTable>,
    /// A question whose answer opens a gate. docs/gates has a page for each condition.
    ///
    /// The members are those of its condition, which knows them.
    #[schemars(schema_with = "super::gates::schema")]
    pub(super) gates: BTreeMap<String, Map<String, Value>>,
    /// How you sign approvals.
    pub(super) approval: ApprovalTable,
    /// The move of the service from one site to another.
    pub(super) cutover: CutoverTable,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceTable {
    /// Prefix of the backup files. Default: the only service in the vault; for a backup, the name
    /// of the database.
    pub(super) name: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteTable {
    /// Connection URL or key=value pairs, without a password.
    pub(super) database: String,
    /// File of mode 0600 with the password.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) password_file: Option<PathBuf>,
    /// Shell command that prints the password.
    pub(super) password_command: Option<ShellCommand>,
    /// Passfile of libpq, instead of ~/.pgpass.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) passfile: Option<PathBuf>,
    /// Address of the service at this site, whose health is asked after a move.
    #[serde(default, serialize_with = "shown_api")]
    #[schemars(extend("x-form" = "URL"))]
    pub(super) api: Option<String>,
    /// Server and database of this site, as `hubctl site pin` writes them.
    pub(super) identity: Option<IdentityTable>,
    /// Programs that write to the database of this site.
    #[serde(default)]
    pub(super) writers: Vec<WriterTable>,
    /// Changes that lead clients to this site.
    #[serde(default)]
    pub(super) redirect: Vec<RedirectTable>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct VaultTable {
    /// Directory of the backups.
    #[schemars(extend("x-form" = "DIRECTORY"))]
    pub(super) path: Option<PathBuf>,
    /// Public keys: age1..., ssh-ed25519 ..., ssh-rsa ... Any one of the private keys opens a
    /// backup.
    pub(super) recipients: Vec<String>,
    /// File of public keys, one per line, or a .sops.yaml.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) recipients_file: Option<PathBuf>,
    /// Files of private keys: age or SOPS key files, SSH keys.
    pub(super) identities: Vec<PathBuf>,
    /// Passphrase of encrypted key files. Seals backups if no recipient is named.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BackupTable {
    /// Default site of `hubctl backup` and the schedule. The schedule requires it with several
    /// sites.
    pub(super) site: Option<String>,
    /// Tables that only grow, as schema.table. A backup with fewer rows is suspicious.
    pub(super) append_only: Vec<String>,
    /// SSH key that signs every new backup.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) sign_key: Option<PathBuf>,
    /// File of allowed signers. A backup counts only with a signature of one of them.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) allowed_signers: Option<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FreshnessTable {
    /// Maximum age of the newest backup, and of the newest verified one. Default: 26h.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String", extend("x-form" = "DURATION"))]
    pub(super) max_age: Duration,
    /// Maximum age of the newest backup that passed a drill. Default: 8days.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String", extend("x-form" = "DURATION"))]
    pub(super) drilled: Duration,
    /// Metrics for the textfile collector of Prometheus.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) metrics: Option<PathBuf>,
}

impl Default for FreshnessTable {
    fn default() -> Self {
        let backup::Freshness { max_age, drilled, .. } = backup::Freshness::default();
        Self { max_age, drilled, metrics: None }
    }
}

impl FreshnessTable {
    pub(super) fn limits(&self) -> backup::Freshness {
        let mut limits = backup::Freshness::default();
        (limits.max_age, limits.drilled) = (self.max_age, self.drilled);
        limits
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AlertsTable {
    /// Shell command; HUBCTL_FAILED_UNIT names the unit that failed.
    pub(super) command: Option<ShellCommand>,
    /// URL that accepts a POST of JSON.
    pub(super) webhook: Option<UrlTable>,
    /// Command that sends the message on its stdin.
    pub(super) mail: Option<MailTable>,
    /// URL of a monitor that alarms if no verified backup is reported.
    pub(super) ping: Option<UrlTable>,
}

/// A URL that is a secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UrlTable {
    /// File of the URL, which is a secret.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) url_file: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MailTable {
    /// Shell command that sends the message on its stdin.
    pub(super) command: ShellCommand,
    /// Address that the message goes to.
    pub(super) to: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DrillTable {
    /// Queries, and the answer that each must return.
    pub(super) checks: Vec<Check>,
    /// Folder for a Markdown page per drill.
    #[schemars(extend("x-form" = "DIRECTORY"))]
    pub(super) episodic_memory: Option<PathBuf>,
}

/// A question to a restored database, and the right answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    /// Name of the check.
    pub(crate) name: String,
    /// Query that returns one value.
    pub(crate) sql: String,
    /// The answer, as text.
    pub(crate) expect: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JournalTable {
    /// File of the journal. Default: ~/.local/state/hubctl/journal.jsonl.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) path: Option<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterTable {
    /// Requires `context`. Default: the cluster that hubctl runs in.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    pub(super) context: Option<String>,
    /// UID of the namespace kube-system.
    pub(super) uid: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ApprovalTable {
    /// SSH key of `hubctl approve`.
    #[schemars(extend("x-form" = "FILE"))]
    pub(super) key: Option<PathBuf>,
}

impl ConfigFile {
    /// Every path in the file, but those in gates.
    pub(super) fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        let Self { vault, backup, freshness, alerts, drill, journal, approval, .. } = self;
        let mut paths: Vec<&mut PathBuf> = Vec::new();
        for site in self.sites.values_mut() {
            paths.extend(site.password_file.iter_mut().chain(&mut site.passfile));
            paths.extend(site.redirect.iter_mut().filter_map(|redirect| redirect.file.as_mut()));
        }
        let of_vault = [&mut vault.path, &mut vault.recipients_file, &mut vault.passphrase_file];
        paths.extend(of_vault.into_iter().flatten().chain(&mut vault.identities));
        paths.extend(backup.sign_key.iter_mut().chain(&mut backup.allowed_signers));
        paths.extend(&mut freshness.metrics);
        let urls = alerts.webhook.iter_mut().chain(&mut alerts.ping);
        paths.extend(urls.map(|url| &mut url.url_file));
        paths.extend(&mut drill.episodic_memory);
        paths.extend(journal.path.iter_mut().chain(&mut approval.key));
        paths.extend(self.targets.values_mut().flat_map(backup::TargetSpec::paths_mut));
        paths.extend(self.tunnels.values_mut().flat_map(paths_of_tunnel));
        paths.extend(self.clusters.values_mut().flat_map(|cluster| &mut cluster.kubeconfig));
        paths
    }

    /// Every command that is run without a shell, but those of gates and tunnels.
    pub(super) fn commands_mut(&mut self) -> impl Iterator<Item = &mut ProgramCommand> {
        self.sites.values_mut().flat_map(|site| {
            let of_writers = site.writers.iter_mut().flat_map(|writer| {
                let WriterTable { stop, start, stopped, pending, replay, .. } = writer;
                [stop, start, stopped, pending, replay]
            });
            let of_redirects = site
                .redirect
                .iter_mut()
                .flat_map(|redirect| [&mut redirect.command, &mut redirect.check]);
            of_writers.chain(of_redirects).flatten()
        })
    }
}

fn shown_api<S: Serializer>(api: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match api {
        Some(url) => cutover::shown(url, serializer),
        None => serializer.serialize_none(),
    }
}

fn paths_of_tunnel(tunnel: &mut tunnel::Tunnel) -> Vec<&mut PathBuf> {
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
    paths.into_iter().flatten().chain(passwords).collect()
}

/// A command for a shell. Its arguments may be secrets, so they are neither shown nor logged.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct ShellCommand(pub(super) String);

impl ShellCommand {
    /// The program, if the command begins with one and not with a variable, and an ellipsis.
    fn shown(&self) -> String {
        let program = self.0.split_whitespace().next().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-~+".contains(c);
        if program.is_empty() || !program.chars().all(is_plain) {
            "…".to_owned()
        } else if program == self.0.trim() {
            program.to_owned()
        } else {
            format!("{program} …")
        }
    }
}

impl std::fmt::Debug for ShellCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for ShellCommand {
    /// As it is shown: nothing writes a configuration.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_by_its_program_alone() {
        let shown = |text: &str| ShellCommand(text.to_owned()).shown();
        assert_eq!(shown("pass show hub"), "pass …");
        assert_eq!(shown("/usr/sbin/sendmail"), "/usr/sbin/sendmail");
        for text in ["TOKEN=s3cret curl https://h", "echo${IFS}s3cret", "'s3cret'", ""] {
            assert_eq!(shown(text), "…", "{text}");
        }
        assert_eq!(format!("{:?}", ShellCommand("curl -u a:s3cret h".to_owned())), "curl …");
    }
}
