//! The configuration and the origin of each value: flags, then `HUBCTL_*`, then the file, then
//! defaults.

mod assignment;
mod cutover;
mod file;
mod gates;
mod layers;
mod merge;
mod misplaced;
mod mistake;
mod origin;
mod pinning;
mod program;
mod reference;
mod schema;
mod shown;
mod source;
mod wording;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use assignment::{Assignment, ends_elsewhere};
pub use cutover::CutoverMode;
pub(crate) use cutover::{
    CutoverTable, IdentityTable, ProbeTable, RedirectTable, WriteProbeTable, WriterTable,
};
pub(crate) use file::Check;
use file::ConfigFile;
pub(crate) use gates::ProgramQuestion;
use merge::BaseDirectory;
use origin::Origins;
pub(crate) use origin::{Origin, Sourced};
pub(crate) use pinning::pin;
pub(crate) use program::ProgramCommand;
pub(crate) use reference::tables;
pub(crate) use schema::schema;
pub(crate) use shown::ShownSettings;
pub(crate) use source::located;

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
    pub(crate) freshness: Sourced<backup::Freshness>,
    /// The file of `hubctl fresh`'s answer for Prometheus. It decides nothing.
    pub(crate) metrics: Option<Sourced<PathBuf>>,
    pub(crate) targets: BTreeMap<String, backup::TargetSpec>,
    pub(crate) alerts: AlertSettings,
    /// The site that `hubctl backup` takes where none is named, as the schedule does.
    pub(crate) backup_site: Option<Sourced<String>>,
    /// Tables that grow only, as `schema.table`.
    pub(crate) append_only: Vec<String>,
    /// The key that signs new backups.
    pub(crate) sign_key: Option<Sourced<PathBuf>>,
    /// The signers whose signature a backup needs to count.
    pub(crate) allowed_signers: Option<Sourced<PathBuf>>,
    pub(crate) checks: Vec<Sourced<Check>>,
    pub(crate) episodic_memory: Option<Sourced<PathBuf>>,
    pub(crate) journal: Sourced<PathBuf>,
    /// The user's directory of state; `None` without a home.
    pub(crate) state_home: Option<PathBuf>,
    pub(crate) tunnels: BTreeMap<String, Sourced<tunnel::Tunnel>>,
    /// The key with which a person signs approvals.
    pub(crate) approval_key: Option<Sourced<PathBuf>>,
    pub(crate) clusters: BTreeMap<String, Sourced<::gates::Access>>,
    pub(crate) gates: ::gates::Gates,
    pub(crate) cutover: CutoverTable,
    flags: SiteFlags,
    /// The tables with everything that was merged into them, for `config show`.
    effective: ConfigFile,
    origins: Origins,
}

/// The address of a site's database, and the source of its password.
#[derive(Debug, Clone)]
pub(crate) struct SiteSettings {
    pub(crate) database: Sourced<String>,
    pub(crate) password_file: Option<Sourced<PathBuf>>,
    pub(crate) password_command: Option<Sourced<String>>,
    pub(crate) passfile: Option<Sourced<PathBuf>>,
    /// The address of the service.
    pub(crate) api: Option<String>,
    /// The server and the database that the site is pinned to.
    pub(crate) identity: Option<IdentityTable>,
    pub(crate) writers: Vec<WriterTable>,
    /// The changes that lead clients to the site.
    pub(crate) redirects: Vec<RedirectTable>,
}

/// Alerts and their channels.
#[derive(Debug, Clone)]
pub(crate) struct AlertSettings {
    /// A shell command.
    pub(crate) command: Option<Sourced<String>>,
    /// The file of the URL that messages are posted to.
    pub(crate) webhook: Option<Sourced<PathBuf>>,
    pub(crate) mail: Option<Sourced<MailSettings>>,
    /// The file of the URL of a monitor that alarms where it is told nothing.
    pub(crate) ping: Option<Sourced<PathBuf>>,
}

/// A command that sends the message on its stdin, and the address that it goes to.
#[derive(Debug, Clone)]
pub(crate) struct MailSettings {
    pub(crate) command: String,
    pub(crate) to: String,
}

impl AlertSettings {
    fn of(table: file::AlertsTable, origins: &Origins) -> Self {
        let url = |key, table: Option<file::UrlTable>| {
            table.map(|table| origins.sourced(key, table.url_file))
        };
        let mail = table.mail.map(|mail| MailSettings { command: mail.command.0, to: mail.to });
        Self {
            command: table.command.map(|command| origins.sourced("alerts.command", command.0)),
            webhook: url("alerts.webhook", table.webhook),
            mail: mail.map(|mail| origins.sourced("alerts.mail", mail)),
            ping: url("alerts.ping", table.ping),
        }
    }

    /// Returns true if anybody hears of a run that fails.
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
            api: None,
            identity: None,
            writers: Vec::new(),
            redirects: Vec::new(),
        }
    }
}

impl Settings {
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
            ..site.clone()
        }
    }

    /// A path as the user wrote it, with `~` expanded.
    pub(crate) fn expand(&self, path: &str) -> PathBuf {
        BaseDirectory::default().path(path)
    }
}
