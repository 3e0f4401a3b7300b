//! One identity, and the attempt of all of them on one header.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use age::{DecryptError, Identity as _, ssh, x25519};
use age_core::format::{FileKey, Stanza};
use age_core::secrecy::ExposeSecret as _;
use secrecy::SecretString;

use super::locked::LockedSshKey;
use super::opened_by;
use crate::plugin::PluginIdentity;
use crate::recipients::{Fingerprint, RecipientKind};
use crate::{Error, stanza};

/// An identity of any kind.
pub(crate) enum Held {
    X25519(x25519::Identity),
    Ssh(Fingerprint, ssh::Identity),
    LockedSsh(LockedSshKey),
    Passphrase(SecretString),
    Plugin(PluginIdentity),
}

/// The cost of trying an identity, the cheapest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    Nothing,
    /// A second of work.
    Scrypt,
    /// Somebody has to answer.
    Question,
    /// A program is run, which may wait for a token to be touched.
    Program,
}

impl Held {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::X25519(identity) => {
                Fingerprint { kind: RecipientKind::X25519, text: identity.to_public().to_string() }
            }
            Self::Ssh(fingerprint, _) => fingerprint.clone(),
            Self::LockedSsh(key) => key.fingerprint().clone(),
            Self::Passphrase(_) => {
                Fingerprint { kind: RecipientKind::Scrypt, text: "passphrase".to_owned() }
            }
            Self::Plugin(identity) => Fingerprint {
                kind: RecipientKind::Plugin,
                text: format!("age1{}1…", identity.plugin),
            },
        }
    }

    fn cost(&self) -> Cost {
        match self {
            Self::X25519(_) | Self::Ssh(..) => Cost::Nothing,
            Self::Passphrase(_) => Cost::Scrypt,
            Self::LockedSsh(_) => Cost::Question,
            Self::Plugin(_) => Cost::Program,
        }
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        match self {
            Self::X25519(identity) => identity.unwrap_stanzas(stanzas),
            Self::Ssh(_, identity) => identity.unwrap_stanzas(stanzas),
            Self::LockedSsh(key) => key.unwrap_stanzas(stanzas),
            // Making one measures this machine's speed, so it is made only where it is needed.
            Self::Passphrase(passphrase) if stanzas.iter().any(|stanza| stanza.tag == "scrypt") => {
                opened_by(passphrase.clone()).unwrap_stanzas(stanzas)
            }
            Self::Passphrase(_) => None,
            Self::Plugin(identity) => identity.unwrap_stanzas(stanzas),
        }
    }
}

/// The result of an attempt.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Hashes of the header's stanzas.
    pub(crate) stanzas: Vec<String>,
    /// The key, so that the same file can be opened again without asking anybody.
    pub(crate) file_key: Option<FileKey>,
    /// The first error of an identity that took a stanza for its own and failed on it.
    pub(crate) failure: Option<DecryptError>,
    /// The private key whose passphrase was answered wrongly.
    pub(crate) still_locked: Option<PathBuf>,
    /// The first error of a plugin: what it holds was not tried.
    pub(crate) untried: Option<Error>,
}

impl Outcome {
    fn fail(&mut self, held: &Held, error: DecryptError) {
        match (held, error) {
            (Held::LockedSsh(key), DecryptError::KeyDecryptionFailed) => {
                self.still_locked = Some(key.path().to_owned());
            }
            (Held::Plugin(_), DecryptError::Io(error)) => {
                let error = Error::of_carried(error);
                self.untried.get_or_insert(error);
            }
            (_, error) => self.failure = self.failure.take().or(Some(error)),
        }
    }
}

/// Tries every identity in turn; the failure of one does not keep the next from its turn.
pub(crate) struct Attempt<'a> {
    held: Vec<&'a Held>,
    outcome: RefCell<Outcome>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(held: &'a [Arc<Held>]) -> Self {
        let mut held: Vec<&Held> = held.iter().map(AsRef::as_ref).collect();
        held.sort_by_key(|held| held.cost());
        Self { held, outcome: RefCell::default() }
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        self.outcome.into_inner()
    }
}

impl age::Identity for Attempt<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.held
            .iter()
            .find_map(|held| held.unwrap_stanzas(std::slice::from_ref(stanza))?.ok())
            .map(Ok)
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let mut outcome = self.outcome.borrow_mut();
        outcome.stanzas = stanzas.iter().map(stanza::hash).collect();
        for &held in &self.held {
            match held.unwrap_stanzas(stanzas) {
                Some(Ok(file_key)) => {
                    outcome.file_key = Some(copy(&file_key));
                    return Some(Ok(file_key));
                }
                Some(Err(error)) => outcome.fail(held, error),
                None => {}
            }
        }
        None
    }
}

/// An identity that already knows the key of one file.
pub(crate) struct Known<'a>(pub(crate) &'a FileKey);

impl age::Identity for Known<'_> {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        Some(Ok(copy(self.0)))
    }
}

fn copy(file_key: &FileKey) -> FileKey {
    FileKey::init_with_mut(|bytes| bytes.copy_from_slice(file_key.expose_secret()))
}
