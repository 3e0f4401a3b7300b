//! The environment: every variable that is read, in one place.

use std::path::{Path, PathBuf};

/// The configuration file.
pub(crate) const CONFIG: &str = "HUBCTL_CONFIG";
/// `text` or `json`.
pub(crate) const FORMAT: &str = "HUBCTL_FORMAT";
/// The filter of the log on stderr, in the syntax of `tracing` (`pgsnap=debug`).
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
/// A shell that asks for completions.
pub(crate) const COMPLETE: &str = "HUBCTL_COMPLETE";
/// The failed unit, for the command of `[alerts]`; it is set, not read.
pub(crate) const FAILED_UNIT: &str = "HUBCTL_FAILED_UNIT";
/// The site that a command of a move works for; it is set, not read.
pub(crate) const SITE: &str = "HUBCTL_SITE";
/// The run that a command of a move works for; it is set, not read.
pub(crate) const RUN: &str = "HUBCTL_RUN";
/// Variables that hold a secret of ours, which no program of the operator's gets.
pub(crate) const SECRETS: [&str; 1] = [PGPASSWORD];
/// The variables of this program, for its manual.
pub(crate) const DOCUMENTED: &[(&str, &str)] = &[
    (CONFIG, "Configuration file; --config wins."),
    (FORMAT, "Form of the results: text or json."),
    (LOG, "What is logged to stderr, such as pgsnap=debug; it wins over -v."),
    (SERVICE, "Service name, prefix of its backup files."),
    (VAULT, "Directory of the backups."),
    (RECIPIENTS, "Public keys to seal for, separated by commas."),
    (RECIPIENTS_FILE, "File of public keys to seal for."),
    (IDENTITIES, "Files of private keys, separated by colons."),
    (PASSPHRASE_FILE, "File of a passphrase."),
    (JOURNAL, "Journal file."),
    (FAILED_UNIT, "Set by hubctl for the command of [alerts]: the unit that failed."),
    (SITE, "Set by hubctl for the commands of a move: the site."),
    (RUN, "Set by hubctl for the commands of a move: the run."),
    (COMPLETE, "Set by the completions of a shell."),
    (
        "PGPASSWORD, PGPASSFILE, PGSERVICE, PGHOST, ...",
        "As libpq reads them; a connection URL wins.",
    ),
    (
        "XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_RUNTIME_DIR",
        "Base directories, instead of ~/.config, ~/.local/state and the state.",
    ),
    ("NO_COLOR", "No colours."),
];

/// libpq: the password of every server.
pub(crate) const PGPASSWORD: &str = "PGPASSWORD";
/// libpq: the passfile, instead of `~/.pgpass`.
pub(crate) const PGPASSFILE: &str = "PGPASSFILE";
/// libpq: the name of a service, a group of connection parameters in a file.
pub(crate) const PGSERVICE: &str = "PGSERVICE";
/// libpq: the file of services, instead of `~/.pg_service.conf`.
pub(crate) const PGSERVICEFILE: &str = "PGSERVICEFILE";
/// libpq: the directory of the machine's own `pg_service.conf`.
pub(crate) const PGSYSCONFDIR: &str = "PGSYSCONFDIR";
/// libpq: connection parameters, each with its keyword. Those that protect and are not supported
/// are here, too, so that they are refused and not overlooked.
pub(crate) const CONNECTION: [(&str, &str); 21] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGOPTIONS", "options"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
];

/// The value of a variable; an empty one counts as not set.
pub(crate) fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The home directory of the user.
pub(crate) fn home() -> Option<PathBuf> {
    etcetera::home_dir().ok()
}

/// A path with `~` expanded.
pub(crate) fn expanded(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(below), Some(home)) => home.join(below),
        _ => path.to_owned(),
    }
}

/// `$XDG_CONFIG_HOME` or `~/.config`.
pub(crate) fn config_home() -> Option<PathBuf> {
    base("XDG_CONFIG_HOME", ".config")
}

/// `$XDG_STATE_HOME` or `~/.local/state`.
pub(crate) fn state_home() -> Option<PathBuf> {
    base("XDG_STATE_HOME", ".local/state")
}

/// Returns the directory of sockets: below `$XDG_RUNTIME_DIR`, or beside the state if there is
/// none. Never below `/tmp`, where another user could have been first.
pub(crate) fn runtime_home() -> Option<PathBuf> {
    let set = get("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    set.map(|home| home.join("hubctl")).or_else(|| Some(state_home()?.join("hubctl").join("run")))
}

/// The XDG specification has relative paths in its variables ignored.
fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = get(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| Some(home()?.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_ours_is_in_the_manual() {
        let source = include_str!("environment.rs");
        let written = source.split('"').filter(|word| {
            word.strip_prefix("HUBCTL_")
                .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        });
        let written: Vec<&str> = written.filter(|word| *word != "HUBCTL_").collect();
        assert!(written.len() > 8);
        for word in written {
            assert!(DOCUMENTED.iter().any(|(name, _)| *name == word), "{word}");
        }
    }
}
