//! Wrapping a file key for a recipient of a plugin.

use std::collections::HashSet;
use std::io;

use age_core::format::{FileKey, Stanza};
use age_core::secrecy::ExposeSecret as _;
use secrecy::SecretSlice;

use super::conversation::said;
use super::process::converse;
use super::{Terms, carried};

/// A recipient `age1NAME1…`.
pub(crate) struct PluginRecipient {
    pub(crate) plugin: String,
    pub(crate) text: String,
    pub(crate) terms: Terms,
}

type Wrapped = (Vec<Stanza>, HashSet<String>);

impl age::Recipient for PluginRecipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<Wrapped, age::EncryptError> {
        let recipient = self.text.clone();
        let file_key = SecretSlice::from(file_key.expose_secret().to_vec());
        let wrapped = converse(&self.plugin, "recipient-v1", &self.terms, move |conversation| {
            conversation.send("add-recipient", &[&recipient], &[])?;
            conversation.send("extension-labels", &[], &[])?;
            conversation.send("wrap-file-key", &[], file_key.expose_secret())?;
            conversation.send("done", &[], &[])?;
            let (mut stanzas, mut labels) = (Vec::new(), HashSet::new());
            conversation.listen(|command| {
                match command.tag.as_str() {
                    "recipient-stanza" => stanzas.push(stanza(command)?),
                    "labels" => labels.extend(command.args),
                    "error" => return Err(io::Error::other(said(&command.body))),
                    _ => {}
                }
                Ok(())
            })?;
            if stanzas.is_empty() {
                return Err(io::Error::other("it made no stanza"));
            }
            Ok((stanzas, labels))
        });
        wrapped.map_err(|error| age::EncryptError::Io(carried(error)))
    }
}

/// Its arguments are the number of the file, of which there is one, the type of the stanza, and its
/// arguments.
fn stanza(command: Stanza) -> io::Result<Stanza> {
    let mut words = command.args.into_iter();
    match (words.next().as_deref(), words.next()) {
        (Some("0"), Some(tag)) => Ok(Stanza { tag, args: words.collect(), body: command.body }),
        _ => Err(io::Error::other("it made a stanza for another file")),
    }
}
