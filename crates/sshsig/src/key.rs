//! Public keys, and where the one of a signing key is found.

use std::fmt;
use std::io;
use std::path::Path;

use ssh_key::{HashAlg, PrivateKey};

use crate::{Error, Result};

/// No file of a key is larger.
pub(crate) const LARGEST: u64 = 1024 * 1024;

/// A public key of SSH.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(ssh_key::public::KeyData);

impl PublicKey {
    /// The public half of the key in a file, which may be the private or the public one. No
    /// passphrase is needed.
    ///
    /// # Errors
    /// [`Error::NoPublicKey`], and [`Error::Io`] where the file cannot be read.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = regularfile::read_to_string(path, LARGEST)?;
        if let Ok(key) = ssh_key::PublicKey::from_openssh(text.trim()) {
            return Ok(Self(key.key_data().clone()));
        }
        // OpenSSH keeps the public half in clear beside an encrypted private one.
        if let Ok(key) = PrivateKey::from_openssh(&text) {
            return Ok(Self(key.public_key().key_data().clone()));
        }
        Self::beside(path)
    }

    /// Older formats of private keys do not tell it, but `ssh-keygen` leaves it beside them.
    fn beside(path: &Path) -> Result<Self> {
        let mut public = path.as_os_str().to_owned();
        public.push(".pub");
        let missing = |reason: String| Error::NoPublicKey { path: path.to_owned(), reason };
        let text = match regularfile::read_to_string(&public, LARGEST) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(missing("it is no OpenSSH key, and no `.pub` is beside it".to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        let key = ssh_key::PublicKey::from_openssh(text.trim())
            .map_err(|error| missing(error.to_string()))?;
        Ok(Self(key.key_data().clone()))
    }

    pub(crate) fn of(data: &ssh_key::public::KeyData) -> Self {
        Self(data.clone())
    }

    pub(crate) fn parse(text: &str) -> Result<Self, ssh_key::Error> {
        ssh_key::PublicKey::from_openssh(text).map(|key| Self(key.key_data().clone()))
    }

    pub(crate) fn data(&self) -> &ssh_key::public::KeyData {
        &self.0
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.fingerprint()).finish()
    }
}
