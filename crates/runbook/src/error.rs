//! The errors around a run. A step that fails is no error, but an outcome of the run.

use std::borrow::Cow;
use std::io;

use crate::lock::Owner;

/// The answer that an error gives to the question that was asked.
///
/// The enum is exhaustive on purpose: a program that maps it to exit codes does
/// not compile when a class is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller described something that cannot be run.
    Usage,
    /// The question was asked, and the answer is no.
    No,
    /// The question could not be asked.
    CouldNotAsk,
}

/// The error of every operation of this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// The journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] journal::Error),

    /// A runbook, or what was asked of its run, is described in a way that cannot be.
    #[error("invalid runbook: {reason}")]
    #[non_exhaustive]
    Invalid {
        /// The flaw.
        reason: String,
    },

    /// The run was begun with another description.
    #[error("run `{id}` was begun with another runbook: {difference}")]
    #[non_exhaustive]
    Changed {
        /// The run.
        id: String,
        /// The first difference.
        difference: String,
    },

    /// Another runner works with this journal.
    #[error("another runner is at work{}", by(owner.as_ref()))]
    #[non_exhaustive]
    Locked {
        /// The other runner, where the lock file tells.
        owner: Option<Owner>,
    },

    /// The journal holds another run that has not ended.
    #[error("run `{id}` has not ended")]
    #[non_exhaustive]
    Unfinished {
        /// The other run.
        id: String,
    },

    /// A record was written in a version of the format that this library does not know.
    #[error("record {seq} of the journal uses the unknown format `{format}`")]
    #[non_exhaustive]
    UnknownVersion {
        /// The number of the record.
        seq: u64,
        /// The format that the record names.
        format: String,
    },

    /// A record of a known version makes no sense where it stands.
    #[error("record {seq} of the journal is invalid: {reason}")]
    #[non_exhaustive]
    InvalidRecord {
        /// The number of the record.
        seq: u64,
        /// The flaw.
        reason: String,
    },
}

impl Error {
    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid { reason: reason.into() }
    }

    /// Says whether the answer is no, or the question could not be asked.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid { .. } | Self::Changed { .. } => ErrorClass::Usage,
            Self::Unfinished { .. } | Self::InvalidRecord { .. } => ErrorClass::No,
            Self::Io(_) | Self::Locked { .. } | Self::UnknownVersion { .. } => {
                ErrorClass::CouldNotAsk
            }
            Self::Journal(error) => match error.class() {
                journal::ErrorClass::Usage => ErrorClass::Usage,
                journal::ErrorClass::No => ErrorClass::No,
                journal::ErrorClass::CouldNotAsk => ErrorClass::CouldNotAsk,
            },
        }
    }

    /// Returns whether the same call may succeed later with nothing else changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Io(_) | Self::Locked { .. } => true,
            Self::Journal(error) => matches!(error, journal::Error::Io(_)),
            Self::Invalid { .. }
            | Self::Changed { .. }
            | Self::Unfinished { .. }
            | Self::UnknownVersion { .. }
            | Self::InvalidRecord { .. } => false,
        }
    }

    /// The remedy, as one sentence for the operator, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Changed { .. } => {
                "resume it with the version and the settings that began it, or undo it with them"
            }
            Self::Locked { .. } => "wait until the other runner ends",
            Self::Unfinished { .. } => "resume that run, undo it, or abandon it first",
            Self::UnknownVersion { .. } => {
                "a newer version of the program began this: use that one"
            }
            Self::InvalidRecord { .. } => {
                "keep the journal as evidence, and compare it with a copy from a backup"
            }
            Self::Io(error) => return regularfile::hint(error),
            Self::Journal(error) => return error.hint(),
            Self::Invalid { .. } => return None,
        };
        Some(hint.into())
    }
}

fn by(owner: Option<&Owner>) -> String {
    owner.map(|owner| format!(": {owner}")).unwrap_or_default()
}
