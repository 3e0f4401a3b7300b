//! An SSH private key under a passphrase, which is asked for only when the key is needed.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use age::ssh::{EncryptedKey, Identity};
use age::{DecryptError, Identity as _};
use age_core::format::{FileKey, Stanza};
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine as _};
use sha2::{Digest as _, Sha256};

use super::Ask;
use crate::recipients::Fingerprint;

/// The key, whom to ask, and the key without passphrase once somebody answered.
pub(crate) struct LockedSshKey {
    path: PathBuf,
    fingerprint: Fingerprint,
    key: EncryptedKey,
    ask: Option<Ask>,
    unlocked: OnceLock<Identity>,
}

impl LockedSshKey {
    pub(super) fn new(
        path: PathBuf,
        fingerprint: Fingerprint,
        key: EncryptedKey,
        ask: Option<Ask>,
    ) -> Self {
        Self { path, fingerprint, key, ask, unlocked: OnceLock::new() }
    }

    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn unwrap_stanzas(
        &self,
        stanzas: &[Stanza],
    ) -> Option<Result<FileKey, DecryptError>> {
        let mine = stanzas.iter().any(|stanza| {
            stanza.tag.starts_with("ssh-")
                && stanza.args.first().map(String::as_str) == self.tag().as_deref()
        });
        if !mine {
            return None;
        }
        match self.unlock()? {
            Ok(identity) => identity.unwrap_stanzas(stanzas),
            Err(error) => Some(Err(error)),
        }
    }

    fn unlock(&self) -> Option<Result<&Identity, DecryptError>> {
        if let Some(identity) = self.unlocked.get() {
            return Some(Ok(identity));
        }
        let passphrase = self.ask.as_ref()?(&self.path)?;
        Some(
            self.key
                .decrypt(passphrase)
                .map(|key| self.unlocked.get_or_init(|| Identity::Unencrypted(key))),
        )
    }

    /// The four bytes by which an SSH stanza names its key: the beginning of the hash of the public
    /// key.
    fn tag(&self) -> Option<String> {
        let encoded = self.fingerprint.text.split(' ').nth(1)?;
        let public = BASE64_STANDARD_NO_PAD
            .decode(encoded)
            .or_else(|_| BASE64_STANDARD.decode(encoded))
            .ok()?;
        Some(BASE64_STANDARD_NO_PAD.encode(&Sha256::digest(public)[..4]))
    }
}
