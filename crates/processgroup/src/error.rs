//! Ends that are no end of the program's own.

use std::io;
use std::time::Duration;

/// The reason why a program did not end by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It could not be started.
    #[error("it cannot be started")]
    #[non_exhaustive]
    NotStarted {
        /// The answer of the operating system.
        source: io::Error,
    },
    /// It was ended when its time was over.
    #[error("it did not end within {limit:?}")]
    #[non_exhaustive]
    TimedOut {
        /// Its time.
        limit: Duration,
        /// The part of its standard output that was kept.
        stdout: Vec<u8>,
        /// The part of its standard error that was kept.
        stderr: Vec<u8>,
    },
    /// It was ended because it printed more than is kept.
    #[error("it printed more than {limit} bytes")]
    #[non_exhaustive]
    TooLong {
        /// The most that is kept.
        limit: usize,
    },
    /// The operating system does not say how it ended.
    #[error("its end is unknown")]
    #[non_exhaustive]
    NotWatched {
        /// The answer of the operating system.
        source: io::Error,
    },
}

impl Error {
    /// Returns the remedy as one sentence for the operator.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotStarted { source } => match source.kind() {
                io::ErrorKind::NotFound => "check its path, or that it is on PATH",
                io::ErrorKind::PermissionDenied => "make it executable: `chmod +x` it",
                _ => "run it by hand to see why",
            },
            Self::TimedOut { .. } => {
                "run it by hand to see what it waits for, or give it more time"
            }
            Self::TooLong { .. } => "let it print only its answer",
            Self::NotWatched { .. } => "run it again",
        }
    }
}
