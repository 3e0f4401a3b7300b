//! Recipient stanzas: the parts of an age header that say who can open the file.
//!
//! An X25519 stanza does not tell whose it is, so a file alone cannot prove that an absent key
//! opens it. What can be proven is that the stanza made for that key at sealing time is still
//! there: this module records the hash of each.

use std::collections::HashSet;
use std::sync::Mutex;

use age_core::format::{FileKey, Stanza};
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};

use crate::digest;

/// The width of a full body line in the header.
const LINE: usize = 64;

/// SHA-256 of the stanza's bytes as they stand in a header, from `->` to the line break that ends
/// its body.
pub(crate) fn hash(stanza: &Stanza) -> String {
    digest::of_bytes(encode(stanza).as_bytes())
}

/// A stanza as it stands in a header, and in what is said to a plugin.
pub(crate) fn encode(stanza: &Stanza) -> String {
    let mut text = format!("-> {}", stanza.tag);
    for argument in &stanza.args {
        text.push(' ');
        text.push_str(argument);
    }
    text.push('\n');
    let body = BASE64_STANDARD_NO_PAD.encode(&stanza.body);
    let mut rest = body.as_str();
    // The last line is always a short one, empty if need be.
    while rest.len() >= LINE {
        let (line, after) = rest.split_at(LINE);
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(rest);
    text.push('\n');
    text
}

/// A recipient that remembers the hashes of the stanzas it makes.
pub(crate) struct Recording<'a> {
    inner: &'a dyn age::Recipient,
    hashes: Mutex<Vec<String>>,
}

impl<'a> Recording<'a> {
    pub(crate) fn new(inner: &'a dyn age::Recipient) -> Self {
        Self { inner, hashes: Mutex::new(Vec::new()) }
    }

    pub(crate) fn into_hashes(self) -> Vec<String> {
        self.hashes.into_inner().expect("no thread panics while it holds the hashes")
    }
}

impl age::Recipient for Recording<'_> {
    fn wrap_file_key(
        &self,
        file_key: &FileKey,
    ) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        let (stanzas, labels) = self.inner.wrap_file_key(file_key)?;
        let mut hashes = self.hashes.lock().expect("no thread panics while it holds the hashes");
        hashes.extend(stanzas.iter().map(hash));
        Ok((stanzas, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_header() {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public();
        let recording = Recording::new(&recipient);
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recording as _)).unwrap();
        let mut sealed = Vec::new();
        encryptor.wrap_output(&mut sealed).unwrap().finish().unwrap();
        let header = String::from_utf8_lossy(&sealed);
        let mut lines = header.lines().skip(1);
        let first = format!("{}\n{}\n", lines.next().unwrap(), lines.next().unwrap());
        assert_eq!(recording.into_hashes(), [digest::of_bytes(first.as_bytes())]);
    }

    #[test]
    fn a_body_of_whole_lines_ends_with_an_empty_one() {
        let stanza = Stanza { tag: "t".to_owned(), args: vec!["a".to_owned()], body: vec![0; 48] };
        assert_eq!(encode(&stanza), format!("-> t a\n{}\n\n", "A".repeat(64)));
    }
}
