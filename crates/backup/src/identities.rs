//! Identities that open a sealed file: private keys and passphrases, tried one by one.

mod file;
mod held;
mod locked;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use age::scrypt;
use secrecy::SecretString;

use crate::origin::{Origin, Problem};
use crate::plugin::{Person, Terms};
use crate::recipients::Fingerprint;
use crate::{Error, Result};

use held::Held;
pub(crate) use held::{Attempt, Known};

/// The most work that a file may ask of a passphrase, as a power of two: the limit of age's own
/// program, which takes 4 GiB of memory.
///
/// The crate would measure this machine instead, and on a busy one refuse what it sealed itself.
const MOST_WORK: u8 = 22;

fn opened_by(passphrase: SecretString) -> scrypt::Identity {
    let mut identity = scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MOST_WORK);
    identity
}

/// Asked for the passphrase of a private key or identity file, given its path; `None` skips that
/// file.
type Ask = Arc<dyn Fn(&Path) -> Option<SecretString> + Send + Sync>;

/// The private keys and passphrases at hand.
///
/// Files are read line by line: an identity of a kind this library cannot use is skipped with a
/// note in [`notes`](Self::notes) and does not spoil the identities beside it. Neither `Debug` nor
/// any error shows a secret.
#[derive(Clone, Default)]
pub struct Identities {
    held: Vec<Arc<Held>>,
    notes: Vec<Problem>,
    ask: Option<Ask>,
    terms: Terms,
}

impl Identities {
    /// No identity yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The identities of one file; see [`add_file`](Self::add_file).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let mut identities = Self::new();
        identities.add_file(path)?;
        Ok(identities)
    }

    /// Sets who is asked for the passphrase of encrypted files that are added after this.
    ///
    /// An encrypted SSH key asks once, and only when a file is to be opened that was sealed for it.
    /// An encrypted identity file asks when it is added, because only its clear text tells whom it
    /// may open for.
    pub fn ask_with(
        &mut self,
        ask: impl Fn(&Path) -> Option<SecretString> + Send + Sync + 'static,
    ) {
        self.ask = Some(Arc::new(ask));
    }

    /// Sets who is there while plugins of identities that are added after this work. By default
    /// there is nobody, and a plugin that asks for something is refused it.
    pub fn plugins_ask(&mut self, person: impl Person + 'static) {
        self.terms.person = Some(Arc::new(person));
    }

    /// Sets how long a plugin of identities that are added after this may take, without the time in
    /// which a person is asked: a minute by default. Then it is ended.
    pub fn plugins_take_at_most(&mut self, limit: Duration) {
        self.terms.limit = limit;
    }

    /// Adds a file: an age or SOPS `keys.txt`, an OpenSSH or PEM private key, or a `keys.txt`
    /// encrypted with a passphrase by `age -p`.
    ///
    /// # Errors
    /// [`Error::IdentityUnreadable`] if it cannot be read, [`Error::WrongPassphrase`] if the answer
    /// to the question does not open it. A file without any usable identity is not an error but a
    /// note.
    pub fn add_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        file::add(self, path.as_ref())
    }

    /// Adds the text of a keys file that comes from elsewhere, such as a secret store; `name` is
    /// for the notes.
    pub fn add_text(&mut self, text: &SecretString, name: &str) {
        file::add_lines(self, text, name);
    }

    /// Adds a passphrase for files that were sealed with one.
    pub fn add_passphrase(&mut self, passphrase: SecretString) {
        self.hold(Held::Passphrase(passphrase));
    }

    /// The lines and files that were skipped, and why.
    pub fn notes(&self) -> &[Problem] {
        &self.notes
    }

    /// The public names of the identities, as
    /// [`Recipients::fingerprints`](crate::Recipients::fingerprints) shows them: derived from the
    /// private keys, not read from a comment beside them. What a plugin holds only the plugin
    /// knows: its identities are named after it, `age1NAME1…`.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.held.iter().map(|held| held.fingerprint())
    }

    /// Returns the number of identities.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Returns true if there is none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(crate) fn attempt(&self, path: &Path) -> Result<Attempt<'_>> {
        if self.held.is_empty() {
            return Err(Error::NoIdentity { path: path.to_owned(), skipped: self.notes.len() });
        }
        Ok(Attempt::new(&self.held))
    }

    fn hold(&mut self, held: Held) {
        self.held.push(Arc::new(held));
    }

    fn note(&mut self, origin: Origin, reason: impl Into<String>) {
        self.notes.push(Problem { origin, reason: reason.into() });
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("public", &self.fingerprints().map(|each| each.text).collect::<Vec<_>>())
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use age::{DecryptError, Identity as _};
    use age_core::format::Stanza;

    use super::*;

    /// The crate takes four steps more than it measures, which a busy machine makes fewer.
    #[test]
    fn accepted_work_does_not_depend_on_how_busy_the_machine_is() {
        let identity = opened_by("a passphrase".to_owned().into());
        let asking = |work: u8| Stanza {
            tag: "scrypt".to_owned(),
            args: vec!["bBjlhJVYZeE4aqUdmtRHfw".to_owned(), work.to_string()],
            body: vec![0; 32],
        };
        let refused = |work| {
            let answer = identity.unwrap_stanza(&asking(work));
            matches!(answer, Some(Err(DecryptError::ExcessiveWork { .. })))
        };
        assert!(refused(MOST_WORK + 1));
        assert!(!refused(10));
    }
}
