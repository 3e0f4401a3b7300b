//! Unwrapping a file key with an identity of a plugin.

use std::io;

use age::DecryptError;
use age_core::format::{FileKey, Stanza};
use secrecy::{ExposeSecret as _, SecretString};

use super::conversation::said;
use super::process::converse;
use super::{Terms, carried};

/// An identity `AGE-PLUGIN-NAME-1…`. It may be a secret, or only say in which token one is.
pub(crate) struct PluginIdentity {
    pub(crate) plugin: String,
    pub(crate) text: SecretString,
    pub(crate) terms: Terms,
}

impl PluginIdentity {
    /// Asks the plugin; nothing where no stanza is one of its own.
    pub(crate) fn unwrap_stanzas(
        &self,
        stanzas: &[Stanza],
    ) -> Option<Result<FileKey, DecryptError>> {
        let identity = self.text.clone();
        let stanzas: Vec<Stanza> = stanzas.iter().map(told).collect();
        let unwrapped = converse(&self.plugin, "identity-v1", &self.terms, move |conversation| {
            conversation.send("add-identity", &[identity.expose_secret()], &[])?;
            for stanza in &stanzas {
                conversation.send_stanza(stanza)?;
            }
            conversation.send("done", &[], &[])?;
            let (mut file_key, mut problem) = (None, None);
            conversation.listen(|command| {
                match command.tag.as_str() {
                    "file-key" => file_key = Some(key(&command)?),
                    "error" => problem = Some(said(&command.body)),
                    _ => {}
                }
                Ok(())
            })?;
            match (file_key, problem) {
                (None, Some(problem)) => Err(io::Error::other(problem)),
                (file_key, _) => Ok(file_key),
            }
        });
        unwrapped.map_err(|error| DecryptError::Io(carried(error))).transpose()
    }
}

/// A stanza of the header of the only file, as a plugin is told it.
fn told(stanza: &Stanza) -> Stanza {
    let words = ["0", &stanza.tag].map(str::to_owned).into_iter();
    Stanza {
        tag: "recipient-stanza".to_owned(),
        args: words.chain(stanza.args.iter().cloned()).collect(),
        body: stanza.body.clone(),
    }
}

fn key(command: &Stanza) -> io::Result<FileKey> {
    FileKey::try_init_with_mut(|key| {
        if command.body.len() != key.len() {
            return Err(io::Error::other("it gave a file key of another length"));
        }
        key.copy_from_slice(&command.body);
        Ok(())
    })
}
