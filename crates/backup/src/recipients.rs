//! The recipients of a sealed file: public keys, or one passphrase.

mod sops;

use std::fmt;
use std::io::{Cursor, Write as _};
use std::path::Path;

use age::{scrypt, ssh, x25519};
use secrecy::SecretString;

use crate::origin::{Origin, Problem};
use crate::plugin::{self, PluginRecipient, Terms};
use crate::unsealed::open_reader;
use crate::{Error, Identities, Result};

/// No file of recipients is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The way a recipient unwraps the file key; the names are those of the stanza types of the age
/// format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecipientKind {
    /// An age public key, `age1…`.
    X25519,
    /// An SSH public key, `ssh-ed25519 …`.
    SshEd25519,
    /// An SSH public key, `ssh-rsa …`.
    SshRsa,
    /// A passphrase.
    Scrypt,
    /// A plugin's own kind: `age1NAME1…` of the program `age-plugin-NAME`.
    Plugin,
}

impl RecipientKind {
    /// The stanza type of the age format; `plugin` where only the plugin knows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X25519 => "X25519",
            Self::SshEd25519 => "ssh-ed25519",
            Self::SshRsa => "ssh-rsa",
            Self::Scrypt => "scrypt",
            Self::Plugin => "plugin",
        }
    }
}

/// The public name of a recipient: what may be shown, logged and recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Fingerprint {
    /// Its type.
    pub kind: RecipientKind,
    /// The public key without comment, or the word `passphrase`.
    pub text: String,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

type Member = (Fingerprint, Box<dyn age::Recipient + Send + Sync>);

/// The recipients of a sealed file: any of them can open it alone.
///
/// Give two or more: the key at hand, and an escrow key that is kept elsewhere. A recipient given
/// twice counts once.
#[derive(Default)]
pub struct Recipients {
    members: Vec<Member>,
}

impl Recipients {
    /// No recipient yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A passphrase as the sole recipient, which is all the age format allows beside it.
    ///
    /// Sealing and opening take about a second and 256 MiB of memory each, which is what makes
    /// guessing expensive.
    pub fn passphrase(passphrase: SecretString) -> Self {
        let fingerprint =
            Fingerprint { kind: RecipientKind::Scrypt, text: "passphrase".to_owned() };
        Self { members: vec![(fingerprint, Box::new(scrypt::Recipient::new(passphrase)))] }
    }

    /// Adds one recipient: `age1…`, `ssh-ed25519 …`, `ssh-rsa …`, or `age1NAME1…` of an age plugin,
    /// whose program is looked for when something is sealed.
    ///
    /// # Errors
    /// [`Error::BadRecipients`] without the text, because it may be a private key given by mistake.
    pub fn add(&mut self, recipient: &str) -> Result<()> {
        let origin = Origin::whole(format!("recipient {}", self.members.len() + 1));
        match parse(recipient.trim()) {
            Ok(member) => self.insert(member),
            Err(reason) => Err(Error::BadRecipients { problems: vec![Problem { origin, reason }] }),
        }
    }

    /// Adds every recipient of a file: one per line, empty lines and lines that begin with `#` are
    /// skipped. A file whose name ends in `.yaml` or `.yml` is a configuration of SOPS, whose age
    /// recipients are taken.
    ///
    /// # Errors
    /// [`Error::BadRecipients`] names every line that is none, and nothing is added: sealing for
    /// fewer keys than the file lists would be found out when the missing one is needed.
    pub fn add_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        // Whoever may add a recipient may read every backup from then on.
        let bytes = regularfile::Options::read().trusted_for_root().to_vec(path, LARGEST)?;
        let (text, name) = (String::from_utf8_lossy(&bytes), path.display().to_string());
        let kind = path.extension().and_then(|kind| kind.to_str());
        match kind {
            Some("yaml" | "yml") => self.add_lines(&sops::recipients(&text, &name)?, &name),
            _ => self.add_lines(&text, &name),
        }
    }

    fn add_lines(&mut self, text: &str, name: &str) -> Result<()> {
        let mut members = Vec::new();
        let mut problems = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match parse(line) {
                Ok(member) => members.push(member),
                Err(reason) => {
                    problems.push(Problem { origin: Origin::line(name, index + 1), reason });
                }
            }
        }
        if problems.is_empty() && members.is_empty() {
            problems.push(Problem {
                origin: Origin::whole(name),
                reason: "there is no recipient in it".to_owned(),
            });
        }
        if !problems.is_empty() {
            return Err(Error::BadRecipients { problems });
        }
        members.into_iter().try_for_each(|member| self.insert(member))
    }

    fn insert(&mut self, member: Member) -> Result<()> {
        if self.members.iter().any(|(fingerprint, _)| fingerprint.kind == RecipientKind::Scrypt) {
            return Err(Error::PassphraseNotAlone);
        }
        if !self.members.iter().any(|(fingerprint, _)| *fingerprint == member.0) {
            self.members.push(member);
        }
        Ok(())
    }

    /// The public name of each, in the order given.
    pub fn fingerprints(&self) -> impl ExactSizeIterator<Item = &Fingerprint> {
        self.members.iter().map(|(fingerprint, _)| fingerprint)
    }

    /// The number of them.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns true if there is none, which [`Vault::begin`](crate::Vault::begin) refuses.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Seals a short text for them, away from any vault: a challenge, say.
    ///
    /// # Errors
    /// [`Error::NoRecipients`].
    pub fn seal(&self, clear: &[u8]) -> Result<Vec<u8>> {
        let members = self.members().map(|(_, recipient)| recipient);
        let encryptor = age::Encryptor::with_recipients(members).map_err(Error::of_sealing)?;
        let mut sealed = Vec::new();
        let mut writer = encryptor.wrap_output(&mut sealed)?;
        writer.write_all(clear)?;
        writer.finish()?;
        Ok(sealed)
    }

    /// Requires that one of the identities opens files that are sealed for these recipients: seals
    /// a short text and opens it.
    ///
    /// # Errors
    /// [`Error::NotProvable`]; [`Error::PluginFailed`] and others of sealing and opening.
    pub fn require_opened_by(&self, identities: &Identities) -> Result<()> {
        let probe = self.seal(b"opens")?;
        match open_reader(Cursor::new(probe), "what is sealed", identities) {
            Ok(_) => Ok(()),
            Err(Error::NoIdentityMatched { .. } | Error::NoIdentity { .. }) => {
                Err(Error::NotProvable {
                    tried: identities.len(),
                    recipients: self.fingerprints().map(ToString::to_string).collect(),
                })
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&Fingerprint, &dyn age::Recipient)> {
        self.members
            .iter()
            .map(|(fingerprint, recipient)| (fingerprint, &**recipient as &dyn age::Recipient))
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fingerprints()).finish()
    }
}

fn parse(text: &str) -> Result<Member, String> {
    if let Ok(recipient) = text.parse::<x25519::Recipient>() {
        let fingerprint = Fingerprint { kind: RecipientKind::X25519, text: recipient.to_string() };
        return Ok((fingerprint, Box::new(recipient)));
    }
    if let Some(plugin) = plugin::of_recipient(text) {
        let fingerprint = Fingerprint { kind: RecipientKind::Plugin, text: text.to_owned() };
        let recipient = PluginRecipient { plugin, text: text.to_owned(), terms: Terms::default() };
        return Ok((fingerprint, Box::new(recipient)));
    }
    match text.parse::<ssh::Recipient>() {
        Ok(recipient) => Ok((ssh_fingerprint(&recipient), Box::new(recipient))),
        Err(error) => Err(refusal(text, &error)),
    }
}

/// The public key without its comment.
pub(crate) fn ssh_fingerprint(recipient: &ssh::Recipient) -> Fingerprint {
    let kind = match recipient {
        ssh::Recipient::SshRsa(..) => RecipientKind::SshRsa,
        ssh::Recipient::SshEd25519(..) => RecipientKind::SshEd25519,
    };
    Fingerprint { kind, text: recipient.to_string().trim().to_owned() }
}

/// Says what the text looks like without repeating it.
fn refusal(text: &str, error: &ssh::ParseRecipientKeyError) -> String {
    let upper = text.to_ascii_uppercase();
    if upper.starts_with("AGE-SECRET-KEY-")
        || upper.starts_with("AGE-PLUGIN-")
        || upper.starts_with("-----BEGIN")
    {
        return "this is a private key; give its public key".to_owned();
    }
    if text.starts_with("age1") {
        return "not a complete age public key; a character is missing or wrong".to_owned();
    }
    match error {
        ssh::ParseRecipientKeyError::RsaModulusTooSmall => {
            "an RSA key of less than 2048 bits".to_owned()
        }
        ssh::ParseRecipientKeyError::RsaModulusTooLarge => "an RSA key that is too long".to_owned(),
        ssh::ParseRecipientKeyError::Unsupported(_) => {
            "an SSH key of a type that cannot encrypt".to_owned()
        }
        _ => "not a public key".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSH: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

    fn age_key() -> String {
        x25519::Identity::generate().to_public().to_string()
    }

    #[test]
    fn lines_comments_and_duplicates() {
        let key = age_key();
        let mut recipients = Recipients::new();
        recipients
            .add_lines(&format!("# escrow\n\n{key}\r\n{SSH} someone@somewhere\n{key}\n"), "keys")
            .unwrap();
        let shown: Vec<_> = recipients.fingerprints().map(|each| each.text.clone()).collect();
        assert_eq!(shown, [key, SSH.to_owned()]);
    }

    #[test]
    fn every_bad_line_is_named_and_none_is_shown() {
        use age::secrecy::ExposeSecret as _;
        let secret = x25519::Identity::generate().to_string().expose_secret().to_owned();
        let text = format!("{}\n{secret}\nage1short\nage1yubikey1abc\nhunter2\n", age_key());
        let mut recipients = Recipients::new();
        let message = recipients.add_lines(&text, "team.txt").unwrap_err().to_string();
        for expected in [
            "team.txt, line 2: this is a private key",
            "line 3: not a complete",
            "line 4: not a complete",
            "line 5: not a",
        ] {
            assert!(message.contains(expected), "{message}");
        }
        assert!(!message.contains("hunter2") && !message.contains(&secret[..20]), "{message}");
        assert!(recipients.is_empty());
    }

    #[test]
    fn a_passphrase_stays_alone_and_unseen() {
        let mut recipients = Recipients::passphrase(SecretString::from("hunter2"));
        assert!(matches!(recipients.add(&age_key()), Err(Error::PassphraseNotAlone)));
        assert!(!format!("{recipients:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_without_recipients_is_refused() {
        assert!(Recipients::new().add_lines("# nobody\n", "empty").is_err());
    }
}
