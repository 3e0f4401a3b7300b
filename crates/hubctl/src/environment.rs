//! The environment: every variable that is read, in one place.

use std::path::PathBuf;

/// The configuration file.
pub(crate) const CONFIG: &str = "HUBCTL_CONFIG";
/// `text` or `json`.
pub(crate) const FORMAT: &str = "HUBCTL_FORMAT";
/// What is logged to stderr, in the syntax of `tracing` (`pgsnap=debug`).
pub(crate) const LOG: &str = "HUBCTL_LOG";
/// The service's name.
pub(crate) const SERVICE: &str = "HUBCTL_SERVICE";
/// The vault's directory.
pub(crate) const VAULT: &str = "HUBCTL_VAULT";
/// Recipients, separated by commas.
pub(crate) const RECIPIENTS: &str = "HUBCTL_RECIPIENTS";
/// A file of recipients.
pub(crate) const RECIPIENTS_FILE: &str = "HUBCTL_RECIPIENTS_FILE";
/// Identity files, separated by colons as in `PATH`.
pub(crate) const IDENTITIES: &str = "HUBCTL_IDENTITIES";
/// The file of a passphrase.
pub(crate) const PASSPHRASE_FILE: &str = "HUBCTL_PASSPHRASE_FILE";
/// The journal.
pub(crate) const JOURNAL: &str = "HUBCTL_JOURNAL";
/// libpq: the password of every server.
pub(crate) const PGPASSWORD: &str = "PGPASSWORD";
/// libpq: the passfile, instead of `~/.pgpass`.
pub(crate) const PGPASSFILE: &str = "PGPASSFILE";

/// The value of a variable; an empty one counts as not set.
pub(crate) fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The home directory of the user.
pub(crate) fn home() -> Option<PathBuf> {
    etcetera::home_dir().ok()
}

/// `$XDG_CONFIG_HOME` or `~/.config`.
pub(crate) fn config_home() -> Option<PathBuf> {
    base("XDG_CONFIG_HOME", ".config")
}

/// `$XDG_STATE_HOME` or `~/.local/state`.
pub(crate) fn state_home() -> Option<PathBuf> {
    base("XDG_STATE_HOME", ".local/state")
}

/// The XDG specification has relative paths in its variables ignored.
fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = get(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    set.or_else(|| Some(home()?.join(below_home)))
}
