//! Errors before a tunnel is supervised. The faults of a supervised tunnel are part of its state.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

/// The meaning of an error for the question that was asked.
///
/// The enum is exhaustive on purpose: a program that maps it to exit codes does
/// not compile when a class is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller asked for something invalid: a tunnel that cannot be, or is not
    /// there.
    Usage,
    /// The question was asked, and the answer is no: none of this library so far.
    No,
    /// The question could not be asked: the file system, the host or the supervisor did not answer.
    CouldNotAsk,
}

/// The error of every operation of this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A tunnel is described in a way that cannot be.
    #[error("{reason}")]
    #[non_exhaustive]
    Invalid {
        /// The fault in it.
        reason: String,
    },

    /// There is no tunnel of this name.
    #[error("there is no tunnel `{name}`")]
    #[non_exhaustive]
    Unknown {
        /// The name that was asked for.
        name: String,
    },

    /// Nobody supervises: the socket is not there, or nobody answers on it.
    #[error("no supervisor is running")]
    #[non_exhaustive]
    NotRunning {
        /// Its runtime directory.
        runtime: PathBuf,
    },

    /// Another supervisor has this runtime directory.
    #[error("a supervisor is running already, as process {pid}")]
    #[non_exhaustive]
    Running {
        /// Its process.
        pid: u32,
    },

    /// A host did not show its key.
    #[error("the host shows no key: {reason}")]
    #[non_exhaustive]
    NoHostKey {
        /// The message of `ssh`.
        reason: String,
    },

    /// The supervisor answered with something else than was asked for.
    #[error("the supervisor answered `{said}`")]
    #[non_exhaustive]
    Protocol {
        /// The answer, shortened.
        said: String,
    },
}

impl Error {
    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid { reason: reason.into() }
    }

    /// Says whether the caller is wrong, or the question could not be asked.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid { .. } | Self::Unknown { .. } => ErrorClass::Usage,
            Self::Io(_)
            | Self::NotRunning { .. }
            | Self::Running { .. }
            | Self::NoHostKey { .. }
            | Self::Protocol { .. } => ErrorClass::CouldNotAsk,
        }
    }

    /// The remedy, as one sentence for the operator, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::NotRunning { .. } => "start the tunnels first",
            Self::Running { .. } => "ask that one, or stop it first",
            Self::Protocol { .. } => {
                "the supervisor is of another version: restart it with this one"
            }
            Self::NoHostKey { .. } => "see whether the host can be reached: `ssh -v` tells more",
            Self::Io(error) => return regularfile::hint(error),
            Self::Invalid { .. } | Self::Unknown { .. } => return None,
        };
        Some(hint.into())
    }
}
