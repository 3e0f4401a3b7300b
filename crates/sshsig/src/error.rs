//! Errors of signatures, with hints.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

/// The result of every operation of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The meaning of an error for the question that was asked.
///
/// The enum is exhaustive on purpose: a program that maps it to exit codes does
/// not compile when a class is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller asked for something invalid: a key without its public half.
    Usage,
    /// The question was asked, and the answer is no: a signature does not count.
    No,
    /// The question could not be asked: the file system refused, or no answer.
    CouldNotAsk,
}

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
        /// The fault in it.
        reason: String,
    },

    /// These bytes are no armored SSH signature.
    #[error("this is not an SSH signature: {reason}")]
    #[non_exhaustive]
    Malformed {
        /// The fault.
        reason: String,
    },
    /// The signature was made for another purpose.
    #[error("the signature was made for the namespace `{found}`, not for `{expected}`")]
    #[non_exhaustive]
    OtherNamespace {
        /// The expected namespace.
        expected: String,
        /// The namespace it was made for.
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
        /// The weakness.
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
        /// The reason.
        reason: String,
    },

    /// The public half of a key cannot be had.
    #[error("{} holds no public key: {reason}", path.display())]
    #[non_exhaustive]
    NoPublicKey {
        /// The key's file.
        path: PathBuf,
        /// The reason.
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
        /// Its message.
        said: String,
    },
    /// `ssh-keygen` did not answer, and nobody was there whom it could have asked.
    #[error("ssh-keygen did not sign with {} within {seconds} s", path.display())]
    #[non_exhaustive]
    NoAnswer {
        /// The key's file.
        path: PathBuf,
        /// The time it was given.
        seconds: u64,
    },
}

impl Error {
    /// Says whether a signature was judged, and the answer is no, or it could not be judged.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Writable { .. } | Self::InvalidSigners { .. } | Self::NoPublicKey { .. } => {
                ErrorClass::Usage
            }
            // It is not the file that it should be, or not in trusted hands.
            Self::Io(error) if regularfile::Error::of(error).is_some() => ErrorClass::Usage,
            Self::Malformed { .. }
            | Self::OtherNamespace { .. }
            | Self::Mismatch { .. }
            | Self::Weak { .. }
            | Self::UnknownKey { .. }
            | Self::NotAllowed { .. } => ErrorClass::No,
            Self::Io(_) | Self::NoKeygen | Self::NotSigned { .. } | Self::NoAnswer { .. } => {
                ErrorClass::CouldNotAsk
            }
        }
    }

    /// The remedy, as one sentence for the operator, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Writable { .. } => "others can add a key: `chmod go-w` it",
            Self::InvalidSigners { .. } => {
                "a line is `NAME [OPTIONS] KEY`, as `man ssh-keygen` has it under ALLOWED SIGNERS"
            }
            Self::Malformed { .. } | Self::Mismatch { .. } => {
                "one of them was changed after it was signed"
            }
            Self::Weak { .. } => "sign with a key of the type ed25519",
            Self::UnknownKey { .. } => {
                "if you know whose key that is, add it to the allowed signers"
            }
            Self::NoPublicKey { .. } => {
                "name an OpenSSH private key, or its `.pub` where an agent holds it"
            }
            Self::NoKeygen => "install the clients of OpenSSH",
            Self::NotSigned { .. } | Self::NoAnswer { .. } => {
                "where nobody can be asked, a key needs an agent, or has no passphrase and needs no touch"
            }
            Self::Io(error) => return regularfile::hint(error),
            Self::OtherNamespace { .. } | Self::NotAllowed { .. } => return None,
        };
        Some(hint.into())
    }
}
