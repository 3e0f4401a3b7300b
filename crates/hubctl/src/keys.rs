//! Keys: recipients that seal; identities and passphrases that open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup::{Entry, Identities, Person, RecipientKind, Recipients, Vault};
use secrecy::{ExposeSecret as _, SecretString};

use crate::console::{Console, Event};
use crate::failure::Refusal;
use crate::secret;
use crate::settings::Settings;

/// Speaks for plugins on the console.
struct Terminal(Arc<dyn Console>);

impl Person for Terminal {
    fn tell(&self, plugin: &str, message: &str) {
        self.0.tell(Event::Message(format!("{plugin}: {message}")));
    }

    fn ask(&self, plugin: &str, question: &str, secret: bool) -> Option<SecretString> {
        self.0.ask(&format!("{plugin}: {question} "), secret)
    }
}

/// The passphrase of the configured file, or the one that is to seal, asked for on the console.
pub(crate) fn passphrase(
    settings: &Settings,
    console: &dyn Console,
) -> anyhow::Result<Option<SecretString>> {
    match &settings.passphrase_file {
        Some(path) => secret::read_file(&path.value, "passphrase").map(Some),
        None if settings.passphrase => new_passphrase(console).map(Some),
        None => Ok(None),
    }
}

/// Asks twice: a slip would be found out when the backup is needed.
fn new_passphrase(console: &dyn Console) -> anyhow::Result<SecretString> {
    let nobody = || {
        Refusal::usage("there is no terminal to ask for the passphrase on")
            .hint("name a file with --passphrase-file or [vault] passphrase_file")
    };
    if !console.can_ask() {
        return Err(nobody().into());
    }
    let first = console.ask("Passphrase to seal with: ", true).ok_or_else(nobody)?;
    let second = console.ask("The same once more: ", true).ok_or_else(nobody)?;
    match first.expose_secret() {
        "" => Err(Refusal::usage("the passphrase is empty").into()),
        text if text == second.expose_secret() => Ok(first),
        _ => Err(Refusal::usage("the two passphrases differ").into()),
    }
}

/// Everyone a backup is sealed for: the public keys, or else the passphrase.
pub(crate) fn recipients(
    settings: &Settings,
    passphrase: Option<&SecretString>,
) -> anyhow::Result<Recipients> {
    let public = !settings.recipients.is_empty() || settings.recipients_file.is_some();
    match passphrase {
        Some(passphrase) if settings.passphrase || !public => {
            return Ok(Recipients::passphrase(passphrase.clone()));
        }
        _ => {}
    }
    let mut recipients = Recipients::new();
    for recipient in &settings.recipients {
        recipients.add(&recipient.value)?;
    }
    if let Some(path) = &settings.recipients_file {
        recipients.add_file(&path.value).map_err(|error| match error {
            backup::Error::Io(error) => anyhow::Error::from(Refusal::usage(format!(
                "the recipients cannot be read: {error}"
            ))),
            other => other.into(),
        })?;
    }
    if recipients.is_empty() {
        return Err(backup::Error::NoRecipients.into());
    }
    Ok(recipients)
}

/// The warning if the loss of this machine would be the loss of every backup.
pub(crate) const NO_ESCROW: &str = "the key of every recipient is on this machine";
pub(crate) const ESCROW_HINT: &str = "add an escrow recipient whose key is kept elsewhere, and prove it with `hubctl keys escrow-test`";

/// Returns true if the private key of a recipient is among those that are here. What a plugin has
/// only the plugin knows, so that each of its recipients counts as here: an escrow key that is not
/// one would be worse than a warning.
pub(crate) fn is_here(held: &[String], recipient: &str) -> bool {
    held.iter().any(|held| match held.strip_suffix('…') {
        Some(of_plugin) => recipient.starts_with(of_plugin),
        None => held == recipient,
    })
}

/// The public names of the private keys that are here.
pub(crate) fn held(identities: &Identities) -> Vec<String> {
    identities.fingerprints().map(|each| each.text).collect()
}

/// The recipients whose private keys are not here.
pub(crate) fn absent(recipients: &Recipients, identities: &Identities) -> Vec<String> {
    let held = held(identities);
    let absent = recipients.fingerprints().map(|each| &each.text);
    absent.filter(|text| !is_here(&held, text)).cloned().collect()
}

/// Returns true if a passphrase is what a backup is sealed for.
pub(crate) fn is_passphrase(recipients: &Recipients) -> bool {
    recipients.fingerprints().any(|fingerprint| fingerprint.kind == RecipientKind::Scrypt)
}

/// The identities at hand. The passphrase opens encrypted key files too; without one it is asked
/// for where a person can answer.
pub(crate) fn identities(
    settings: &Settings,
    passphrase: Option<SecretString>,
    console: &Arc<dyn Console>,
) -> anyhow::Result<Identities> {
    let mut identities = Identities::new();
    match passphrase {
        Some(passphrase) => {
            identities.add_passphrase(passphrase.clone());
            identities.ask_with(move |_| Some(passphrase.clone()));
        }
        None if console.can_ask() => {
            let console = Arc::clone(console);
            identities.ask_with(move |path| console.ask(&passphrase_of(path), true));
        }
        None => {}
    }
    if console.can_ask() {
        identities.plugins_ask(Terminal(Arc::clone(console)));
    }
    for path in &settings.identities {
        identities.add_file(&path.value)?;
    }
    tracing::info!(files = settings.identities.len(), "identities at hand: {}", identities.len());
    for note in identities.notes() {
        console.warn(note);
    }
    Ok(identities)
}

fn passphrase_of(path: &Path) -> String {
    format!("Passphrase of {}: ", path.display())
}

/// The identities of the settings, for an operation that only opens.
pub(crate) fn opening(
    settings: &Settings,
    console: &Arc<dyn Console>,
) -> anyhow::Result<Identities> {
    identities(settings, passphrase(settings, &**console)?, console)
}

/// The same identities, and the passphrase of this entry if it needs one that was not given yet.
pub(crate) fn for_entry(
    identities: &Identities,
    entry: &Entry,
    console: &dyn Console,
) -> Identities {
    let mut identities = identities.clone();
    let held = identities.fingerprints().any(|each| each.kind == RecipientKind::Scrypt);
    if !held && console.can_ask() && entry.is_passphrase_sealed().unwrap_or_default() {
        let answer = console.ask(&passphrase_of(entry.path()), true);
        answer.into_iter().for_each(|answer| identities.add_passphrase(answer));
    }
    identities
}

/// Secret files that lie in the vault: whoever gets the one gets the other.
pub(crate) fn beside_the_vault(settings: &Settings, vault: &Vault) -> Vec<PathBuf> {
    let paths = settings.identities.iter().chain(&settings.passphrase_file);
    paths
        .map(|path| &path.value)
        .filter(|path| {
            fs_err::canonicalize(path).is_ok_and(|path| path.starts_with(vault.directory()))
        })
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Event>>);

    impl Console for Heard {
        fn tell(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    #[test]
    fn a_request_of_a_plugin_is_no_fact_that_quiet_hides() {
        let heard = Arc::new(Heard::default());
        Terminal(heard.clone()).tell("yubikey", "touch the key");
        let said = Event::Message("yubikey: touch the key".to_owned());
        assert_eq!(*heard.0.lock().unwrap(), [said]);
    }
}
