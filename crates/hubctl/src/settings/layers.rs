//! Flags and variables, which win over the file.

use std::path::PathBuf;

use super::Overrides;
use super::file::{ConfigFile, VaultTable};
use super::origin::{Origin, Origins};
use crate::environment as env;

/// Writes what flags and variables say over the file. Their paths begin at the current directory.
pub(super) fn apply(flags: Overrides, file: &mut ConfigFile, origins: &mut Origins) {
    recipients(flags.recipients, flags.recipients_file, &mut file.vault, origins);
    identities(flags.identities, &mut file.vault, origins);
    let service = Key { key: "service.name", flag: "--service", variable: env::SERVICE };
    service.set(&mut file.service.name, flags.service, str::to_owned, origins);
    for (key, flag, variable, slot, value) in [
        ("vault.path", "--vault", env::VAULT, &mut file.vault.path, flags.vault),
        (
            "vault.passphrase_file",
            "--passphrase-file",
            env::PASSPHRASE_FILE,
            &mut file.vault.passphrase_file,
            flags.passphrase_file,
        ),
        ("journal.path", "--journal", env::JOURNAL, &mut file.journal.path, flags.journal),
    ] {
        Key { key, flag, variable }.set(slot, value, path, origins);
    }
}

fn path(text: &str) -> PathBuf {
    env::expanded(text.as_ref())
}

/// A setting that has a flag and a variable.
struct Key {
    key: &'static str,
    flag: &'static str,
    variable: &'static str,
}

impl Key {
    fn set<T>(
        self,
        slot: &mut Option<T>,
        flag: Option<T>,
        read: impl Fn(&str) -> T,
        origins: &mut Origins,
    ) {
        let flag = flag.map(|value| (value, Origin::Flag(self.flag)));
        let set = flag.or_else(|| {
            let text = env::get(self.variable)?;
            Some((read(&text), Origin::Environment(self.variable)))
        });
        if let Some((value, origin)) = set {
            *slot = Some(value);
            origins.set(self.key, origin);
        }
    }
}

/// One place gives the recipients, all of them: adding some of the file to those of a flag would
/// seal for keys that nobody named.
fn recipients(
    flags: Vec<String>,
    file_flag: Option<PathBuf>,
    vault: &mut VaultTable,
    origins: &mut Origins,
) {
    let (words, file) = (env::get(env::RECIPIENTS), env::get(env::RECIPIENTS_FILE));
    let (of_words, of_file);
    if !flags.is_empty() || file_flag.is_some() {
        (vault.recipients, vault.recipients_file) = (flags, file_flag);
        (of_words, of_file) = (Origin::Flag("--recipient"), Origin::Flag("--recipients-file"));
    } else if words.is_some() || file.is_some() {
        vault.recipients = split(&words.unwrap_or_default(), ',').map(str::to_owned).collect();
        vault.recipients_file = file.as_deref().map(path);
        of_words = Origin::Environment(env::RECIPIENTS);
        of_file = Origin::Environment(env::RECIPIENTS_FILE);
    } else {
        return;
    }
    origins.set("vault.recipients", of_words);
    origins.set("vault.recipients_file", of_file);
}

fn identities(flags: Vec<PathBuf>, vault: &mut VaultTable, origins: &mut Origins) {
    if !flags.is_empty() {
        vault.identities = flags;
        origins.set("vault.identities", Origin::Flag("--identity"));
    } else if let Some(paths) = env::get(env::IDENTITIES) {
        vault.identities = split(&paths, ':').map(path).collect();
        origins.set("vault.identities", Origin::Environment(env::IDENTITIES));
    }
}

fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    text.split(at).map(str::trim).filter(|word| !word.is_empty())
}
