//! The allowed signers: whose keys count, for which namespaces, and when.

mod line;
mod pattern;
mod time;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::key::PublicKey;
use crate::signature::Signature;
use crate::{Error, Result};
use line::SignerLine;

/// Group and others may write.
const WRITABLE: u32 = 0o022;

/// No file of allowed signers is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A file of allowed signers, as `man ssh-keygen` specifies it.
#[derive(Debug, Clone)]
pub struct AllowedSigners {
    path: PathBuf,
    lines: Vec<SignerLine>,
}

/// The owner of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// The principals of the line that allows the key, as they stand there.
    pub principals: String,
    /// The key, as `SHA256:…`.
    pub fingerprint: String,
}

impl AllowedSigners {
    /// Reads a file. Times in it that name no zone are of `zone`.
    ///
    /// # Errors
    /// [`Error::Writable`], [`Error::InvalidSigners`], and [`Error::Io`].
    pub fn load(path: impl AsRef<Path>, zone: &TimeZone) -> Result<Self> {
        let path = path.as_ref();
        let file = regularfile::Options::read().trusted();
        let text = file.to_string(path, LARGEST).map_err(refused)?;
        // Not even a group of the user's own.
        let mode = fs_err::metadata(path)?.permissions().mode() & 0o7777;
        if mode & WRITABLE != 0 {
            return Err(Error::Writable { path: path.to_owned(), mode });
        }
        Self::parse(&text, path, zone)
    }

    /// The same of a text; `path` stands for it in errors.
    ///
    /// # Errors
    /// [`Error::InvalidSigners`].
    pub fn parse(text: &str, path: impl AsRef<Path>, zone: &TimeZone) -> Result<Self> {
        let path = path.as_ref();
        let mut lines = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let line = SignerLine::parse(text, zone).map_err(|reason| Error::InvalidSigners {
                path: path.to_owned(),
                line: index + 1,
                reason,
            })?;
            lines.extend(line);
        }
        Ok(Self { path: path.to_owned(), lines })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true if no signer is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Holds a signature against the bytes, and its key against the file as of the time `at`.
    ///
    /// # Errors
    /// What is wrong with it, all of class [`ErrorClass::No`](crate::ErrorClass::No).
    pub fn verify(
        &self,
        namespace: &str,
        message: &[u8],
        armored: &str,
        at: Timestamp,
    ) -> Result<Signer> {
        self.judge(None, namespace, message, armored, at)
    }

    /// The same for a signer who calls himself `principal`, which the line of his key has to allow.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify).
    pub fn verify_as(
        &self,
        principal: &str,
        namespace: &str,
        message: &[u8],
        armored: &str,
        at: Timestamp,
    ) -> Result<Signer> {
        self.judge(Some(principal), namespace, message, armored, at)
    }

    /// Finds the signer with this key for the namespace at the time `at`: the first line that
    /// allows it, for this principal if one is named.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] and [`Error::NotAllowed`].
    pub fn signer(
        &self,
        key: &PublicKey,
        principal: Option<&str>,
        namespace: &str,
        at: Timestamp,
    ) -> Result<Signer> {
        self.allowed(key, principal, namespace, at)
    }

    fn judge(
        &self,
        principal: Option<&str>,
        namespace: &str,
        message: &[u8],
        armored: &str,
        at: Timestamp,
    ) -> Result<Signer> {
        let signature = Signature::parse(armored)?;
        signature.check(namespace, message)?;
        let signer = self.allowed(signature.key(), principal, namespace, at)?;
        let by = &signer.principals;
        tracing::debug!(key = signer.fingerprint, "a signature for {namespace} by {by} counts");
        Ok(signer)
    }

    fn allowed(
        &self,
        key: &PublicKey,
        principal: Option<&str>,
        namespace: &str,
        at: Timestamp,
    ) -> Result<Signer> {
        let fingerprint = key.fingerprint();
        let mut refusal = None;
        for line in self.lines.iter().filter(|line| line.key() == key) {
            match line.refusal(principal, namespace, at) {
                None => {
                    return Ok(Signer { principals: line.principals().to_owned(), fingerprint });
                }
                Some(reason) => refusal = refusal.or(Some(reason)),
            }
        }
        Err(match refusal {
            Some(reason) => Error::NotAllowed { fingerprint, reason },
            None => Error::UnknownKey { fingerprint },
        })
    }
}

impl Signer {
    /// The one name of this signer; nothing where the line names several, or has wildcards.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        pattern::is_literal(&self.principals).then_some(&self.principals)
    }
}
fn refused(error: std::io::Error) -> Error {
    match regularfile::Error::of(&error) {
        Some(regularfile::Error::Writable { path, mode, .. }) => {
            Error::Writable { path: path.clone(), mode: *mode }
        }
        _ => Error::Io(error),
    }
}
