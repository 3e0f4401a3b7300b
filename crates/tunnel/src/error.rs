//! What can go wrong before a tunnel is supervised. What goes wrong with one that is, is its state.

use std::io;
use std::path::PathBuf;

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
        /// What is wrong with it.
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
        /// What `ssh` said.
        reason: String,
    },

    /// The supervisor answered with something else than was asked for.
    #[error("the supervisor answered `{said}`")]
    #[non_exhaustive]
    Protocol {
        /// What it said, shortened.
        said: String,
    },
}

impl Error {
    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid {
            reason: reason.into(),
        }
    }

    /// The remedy, as one sentence for the operator, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotRunning { .. } => Some("start the tunnels first"),
            Self::Running { .. } => Some("ask that one, or stop it first"),
            Self::Protocol { .. } => {
                Some("the supervisor is of another version: restart it with this one")
            }
            Self::NoHostKey { .. } => {
                Some("see whether the host can be reached: `ssh -v` tells more")
            }
            Self::Io(error) => regularfile::hint(error),
            Self::Invalid { .. } | Self::Unknown { .. } => None,
        }
    }
}
