//! Reading identity files of every kind.

use std::io::Read as _;
use std::path::Path;

use age::{DecryptError, ssh, x25519};
use regularfile::Options;
use secrecy::{ExposeSecret as _, SecretString};

use super::Identities;
use super::held::Held;
use super::locked::LockedSshKey;
use super::opened_by;
use crate::origin::Origin;
use crate::plugin::{self, PluginIdentity};
use crate::recipients::ssh_fingerprint;
use crate::{Error, Result};

/// No file of keys is larger; the limit keeps a mistaken path from being read into memory.
const LARGEST: u64 = 1024 * 1024;
const AGE: &[u8] = b"age-encryption.org/";
const ARMORED: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

pub(super) fn add(identities: &mut Identities, path: &Path) -> Result<()> {
    let file = Options::read().trusted_for_root();
    let bytes = file
        .to_vec(path, LARGEST)
        .map_err(|source| Error::IdentityUnreadable { path: path.to_owned(), source })?;
    let name = path.display().to_string();
    if bytes.starts_with(AGE) {
        return add_encrypted(identities, path, &bytes);
    }
    if bytes.starts_with(ARMORED) {
        identities
            .note(Origin::whole(name), "an identity file in age's text encoding is not supported");
        return Ok(());
    }
    let text = text(bytes);
    let exposed = text.expose_secret().trim_start();
    if exposed.starts_with("-----BEGIN ") {
        add_ssh(identities, path, exposed);
    } else {
        add_lines(identities, &text, &name);
    }
    Ok(())
}

fn text(bytes: Vec<u8>) -> SecretString {
    SecretString::from(
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

/// Adds each line that is an identity and notes each that is not.
pub(super) fn add_lines(identities: &mut Identities, text: &SecretString, name: &str) {
    let before = identities.len() + identities.notes.len();
    for (index, line) in text.expose_secret().lines().enumerate() {
        let line = line.trim().trim_start_matches('\u{feff}');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match (line.parse::<x25519::Identity>(), plugin::of_identity(line)) {
            (Ok(identity), _) => identities.hold(Held::X25519(identity)),
            (_, Some(plugin)) => identities.hold(Held::Plugin(PluginIdentity {
                plugin,
                text: line.to_owned().into(),
                terms: identities.terms.clone(),
            })),
            (Err(_), None) => identities.note(Origin::line(name, index + 1), refusal(line)),
        }
    }
    if identities.len() + identities.notes.len() == before {
        identities.note(Origin::whole(name), "there is no identity in it");
    }
}

/// Says what a line looks like without repeating any of its secret part.
fn refusal(line: &str) -> String {
    let upper = line.to_ascii_uppercase();
    if upper.starts_with("AGE-SECRET-KEY-PQ-1") {
        return "a post-quantum identity, which only a plugin can use: `age-plugin-pq -identity` converts it"
            .to_owned();
    }
    if upper.starts_with("AGE-SECRET-KEY-1") {
        return "a damaged age identity: a character is missing or wrong".to_owned();
    }
    if upper.starts_with("AGE-PLUGIN-") {
        return "a damaged plugin identity: a character is missing or wrong".to_owned();
    }
    if line.starts_with("age1") || line.starts_with("ssh-") {
        return "a public key; the private key is needed".to_owned();
    }
    "not an identity".to_owned()
}

fn add_ssh(identities: &mut Identities, path: &Path, text: &str) {
    let origin = Origin::whole(path.display().to_string());
    let Ok(identity) = ssh::Identity::from_buffer(text.as_bytes(), None) else {
        return identities.note(origin, "a private key that does not parse");
    };
    let Ok(public) = ssh::Recipient::try_from(identity.clone()) else {
        return identities.note(origin, "an SSH key of a type that cannot decrypt");
    };
    let fingerprint = ssh_fingerprint(&public);
    match identity {
        ssh::Identity::Encrypted(key) => {
            if identities.ask.is_none() {
                identities.note(
                    origin,
                    "the key has a passphrase, and there is no terminal to ask for it",
                );
            }
            let ask = identities.ask.clone();
            identities.hold(Held::LockedSsh(LockedSshKey::new(
                path.to_owned(),
                fingerprint,
                key,
                ask,
            )));
        }
        identity => identities.hold(Held::Ssh(fingerprint, identity)),
    }
}

/// An identity file that `age -p` encrypted.
fn add_encrypted(identities: &mut Identities, path: &Path, sealed: &[u8]) -> Result<()> {
    let name = path.display().to_string();
    let Some(passphrase) = identities.ask.as_ref().and_then(|ask| ask(path)) else {
        identities
            .note(Origin::whole(name), "the file is encrypted and no passphrase was given for it");
        return Ok(());
    };
    match decrypt(sealed, passphrase) {
        Ok(bytes) => add_lines(identities, &text(bytes), &name),
        Err(DecryptError::NoMatchingKeys) => {
            identities
                .note(Origin::whole(name), "the file is encrypted, but not with a passphrase");
        }
        Err(DecryptError::DecryptionFailed) => {
            return Err(Error::WrongPassphrase { path: path.to_owned() });
        }
        Err(_) => identities.note(Origin::whole(name), "the file is encrypted and damaged"),
    }
    Ok(())
}

fn decrypt(sealed: &[u8], passphrase: SecretString) -> Result<Vec<u8>, DecryptError> {
    let identity = opened_by(passphrase);
    let mut clear = Vec::new();
    age::Decryptor::new_buffered(sealed)?
        .decrypt(std::iter::once(&identity as _))?
        .read_to_end(&mut clear)?;
    Ok(clear)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> (x25519::Identity, String) {
        let identity = x25519::Identity::generate();
        let text = identity.to_string().expose_secret().to_owned();
        (identity, text)
    }

    fn damaged(key: &str) -> String {
        let (rest, last) = key.split_at(key.len() - 1);
        format!("{rest}{}", if last == "Q" { "P" } else { "Q" })
    }

    #[test]
    fn an_unknown_line_is_noted_and_skipped() {
        let (first, first_text) = secret();
        let (second, second_text) = secret();
        let text = format!(
            "# created: today\n# public key: age1lie\n{first_text}\r\nAGE-SECRET-KEY-PQ-1HUNTER2\nAGE-PLUGIN-YUBIKEY-1HUNTER2\n{}\nhunter2\n{second_text}\n",
            damaged(&first_text)
        );
        let mut identities = Identities::new();
        identities.add_text(&SecretString::from(text), "keys.txt");
        let public: Vec<_> = identities.fingerprints().map(|each| each.text).collect();
        assert_eq!(public, [first.to_public().to_string(), second.to_public().to_string()]);
        let lines: Vec<_> =
            identities.notes().iter().map(|note| note.origin.line.unwrap()).collect();
        assert_eq!(lines, [4, 5, 6, 7]);
        let shown = format!("{identities:?}").to_lowercase();
        assert!(
            !shown.contains("hunter2") && !shown.contains(&first_text[16..30].to_lowercase()),
            "{shown}"
        );
    }

    #[test]
    fn files_that_hold_no_identity_are_noted() {
        let directory = tempfile::tempdir().unwrap();
        for (text, reason) in [
            ("# nothing\n", "there is no identity in it"),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
                "does not parse",
            ),
            ("-----BEGIN AGE ENCRYPTED FILE-----\n", "text encoding"),
            ("age-encryption.org/v1\n-> scrypt", "no passphrase was given"),
        ] {
            let path = directory.path().join("keys");
            fs_err::write(&path, text).unwrap();
            let identities = Identities::load(&path).unwrap();
            assert!(identities.is_empty());
            assert!(identities.notes()[0].to_string().contains(reason), "{:?}", identities.notes());
        }
        let missing = Identities::load(directory.path().join("missing")).unwrap_err();
        assert!(matches!(missing, Error::IdentityUnreadable { .. }));
        let endless = Identities::load("/dev/zero").unwrap_err();
        assert!(matches!(endless, Error::IdentityUnreadable { .. }));
    }
}
