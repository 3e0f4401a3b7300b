//! What can go wrong with a signature, and what to do about it.

use std::io;
use std::path::PathBuf;

/// The result of every operation of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of every operation of this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// Others may change who is allowed to sign.
    #[error("{} may be changed by others (mode {mode:o})", path.display())]
    #[non_exhaustive]
    Writable {
        /// The file of allowed signers.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A line of the allowed signers cannot be understood, so nothing in the file counts.
    #[error("{} cannot be used: line {line}: {reason}", path.display())]
    #[non_exhaustive]
    InvalidSigners {
        /// The file of allowed signers.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },

    /// These bytes are no armored SSH signature.
    #[error("this is not an SSH signature: {reason}")]
    #[non_exhaustive]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The signature was made for another purpose.
    #[error("the signature was made for the namespace `{found}`, not for `{expected}`")]
    #[non_exhaustive]
    OtherNamespace {
        /// What it should have been made for.
        expected: String,
        /// What it was made for.
        found: String,
    },
    /// The signature does not belong to these bytes.
    #[error("the signature by {fingerprint} does not belong to what it stands at")]
    #[non_exhaustive]
    Mismatch {
        /// The key that it names.
        fingerprint: String,
    },
    /// The signature proves too little.
    #[error("the signature by {fingerprint} is too weak: {reason}")]
    #[non_exhaustive]
    Weak {
        /// The key that made it.
        fingerprint: String,
        /// What is weak about it.
        reason: String,
    },
    /// Nobody's key made the signature.
    #[error("the signature is by {fingerprint}, which is no key of an allowed signer")]
    #[non_exhaustive]
    UnknownKey {
        /// The key that made it.
        fingerprint: String,
    },
    /// The key is an allowed signer's, but not for this.
    #[error("the signature by {fingerprint} does not count: {reason}")]
    #[non_exhaustive]
    NotAllowed {
        /// The key that made it.
        fingerprint: String,
        /// Why not.
        reason: String,
    },

    /// The public half of a key cannot be had.
    #[error("{} holds no public key: {reason}", path.display())]
    #[non_exhaustive]
    NoPublicKey {
        /// The key's file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// `ssh-keygen` is not installed.
    #[error("ssh-keygen was not found")]
    NoKeygen,
    /// `ssh-keygen` did not sign.
    #[error("ssh-keygen did not sign with {}: {said}", path.display())]
    #[non_exhaustive]
    NotSigned {
        /// The key's file.
        path: PathBuf,
        /// What it said.
        said: String,
    },
    /// `ssh-keygen` did not answer, and nobody was there whom it could have asked.
    #[error("ssh-keygen did not sign with {} within {seconds} s", path.display())]
    #[non_exhaustive]
    NoAnswer {
        /// The key's file.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
}

impl Error {
    /// Whether a signature was judged, and the answer is no.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Malformed { .. }
                | Self::OtherNamespace { .. }
                | Self::Mismatch { .. }
                | Self::Weak { .. }
                | Self::UnknownKey { .. }
                | Self::NotAllowed { .. }
        )
    }

    /// The remedy, as one sentence for the operator, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Writable { .. } => Some("whoever may write it may add a key: `chmod go-w` it"),
            Self::InvalidSigners { .. } => Some(
                "a line is `NAME [OPTIONS] KEY`, as `man ssh-keygen` has it under ALLOWED SIGNERS",
            ),
            Self::Malformed { .. } | Self::Mismatch { .. } => {
                Some("one of them was changed after it was signed")
            }
            Self::Weak { .. } => Some("sign with a key of the type ed25519"),
            Self::UnknownKey { .. } => {
                Some("if you know whose key that is, add it to the allowed signers")
            }
            Self::NoPublicKey { .. } => {
                Some("name an OpenSSH private key, or its `.pub` where an agent holds it")
            }
            Self::NoKeygen => Some("install the clients of OpenSSH"),
            Self::NotSigned { .. } | Self::NoAnswer { .. } => Some(
                "where nobody can be asked, a key needs an agent, or has no passphrase and needs no touch",
            ),
            Self::Io(error) => regularfile::hint(error),
            Self::OtherNamespace { .. } | Self::NotAllowed { .. } => None,
        }
    }
}
