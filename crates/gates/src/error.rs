//! Errors, with hints.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

/// The meaning of an error for the question that was asked.
///
/// The enum is exhaustive on purpose: a program that maps it to exit codes does
/// not compile when a class is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller asked for something invalid: a rule or a name.
    Usage,
    /// The question was asked, and the answer is no: a signature does not count.
    No,
    /// The question could not be asked: the file system, the clock, a program.
    CouldNotAsk,
}

/// The error of every operation of this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A gate that cannot be asked.
    #[error("the gate `{gate}` is invalid: {reason}")]
    #[non_exhaustive]
    InvalidRule {
        /// Its name.
        gate: String,
        /// The fault in it.
        reason: String,
    },

    /// A document is not evidence of a version that is known.
    #[error("this is not evidence that can be judged: {reason}")]
    #[non_exhaustive]
    NotEvidence {
        /// The fault in it.
        reason: String,
    },

    /// A file is neither a bundle nor evidence that can be read.
    #[error("{reason}")]
    #[non_exhaustive]
    NotABundle {
        /// The fault in it.
        reason: String,
    },

    /// A bundle would be longer than any that is read back.
    #[error("the bundle would unpack to more than {} MiB", limit >> 20)]
    #[non_exhaustive]
    BundleTooLong {
        /// The length, in bytes, that no bundle exceeds.
        limit: u64,
    },

    /// A bundle cannot be written.
    #[error("the bundle cannot be written")]
    BundleNotWritten(#[source] io::Error),

    /// This cannot name a gate.
    #[error("`{gate}` cannot name a gate")]
    #[non_exhaustive]
    InvalidGate {
        /// The name.
        gate: String,
    },

    /// An approval would be void, so nothing was signed.
    #[error("the approval would not count: {reason}")]
    #[non_exhaustive]
    InvalidApproval {
        /// The reason.
        reason: String,
    },

    /// An approval was written in a version of the format that this library does not know.
    #[error("the approval `{}` is in the unknown format `{format}`", path.display())]
    #[non_exhaustive]
    UnknownApproval {
        /// The approval or revocation.
        path: PathBuf,
        /// The name of its format.
        format: String,
    },

    /// The clock was set back: what has expired would count again.
    #[error("the clock says {now}, and the newest record of the journal is of {newest}")]
    #[non_exhaustive]
    ClockSetBack {
        /// The time of asking.
        now: jiff::Timestamp,
        /// The time of the newest record.
        newest: jiff::Timestamp,
    },

    /// A signature cannot be made, or does not count.
    #[error(transparent)]
    Signature(#[from] sshsig::Error),

    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Error {
    /// Says whether the answer is no, or the question could not be asked.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InvalidGate { .. }
            | Self::InvalidRule { .. }
            | Self::NotABundle { .. }
            | Self::NotEvidence { .. } => ErrorClass::Usage,
            Self::Signature(error) => match error.class() {
                sshsig::ErrorClass::Usage => ErrorClass::Usage,
                sshsig::ErrorClass::No => ErrorClass::No,
                sshsig::ErrorClass::CouldNotAsk => ErrorClass::CouldNotAsk,
            },
            Self::Journal(error) => match error.class() {
                journal::ErrorClass::Usage => ErrorClass::Usage,
                journal::ErrorClass::No => ErrorClass::No,
                journal::ErrorClass::CouldNotAsk => ErrorClass::CouldNotAsk,
            },
            Self::Io(_)
            | Self::BundleTooLong { .. }
            | Self::BundleNotWritten(_)
            | Self::InvalidApproval { .. }
            | Self::UnknownApproval { .. }
            | Self::ClockSetBack { .. } => ErrorClass::CouldNotAsk,
        }
    }

    /// The remedy, as one sentence for the operator, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::InvalidGate { .. } => {
                "use letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 64 characters"
            }
            Self::Signature(error) => return error.hint(),
            Self::Journal(error) => return error.hint(),
            Self::ClockSetBack { .. } => {
                "set the clock of this machine right; if it is, wait until it has passed the record"
            }
            Self::UnknownApproval { .. } => "a newer version of the program wrote it: use that one",
            Self::NotEvidence { .. } => {
                "name a bundle of gates; a newer version of the program may have written this one"
            }
            Self::BundleTooLong { .. } => "name fewer gates",
            Self::Io(error) | Self::BundleNotWritten(error) => return regularfile::hint(error),
            Self::InvalidApproval { .. } | Self::InvalidRule { .. } | Self::NotABundle { .. } => {
                return None;
            }
        };
        Some(hint.into())
    }
}
