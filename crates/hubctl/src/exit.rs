//! Exit codes.

use std::process::ExitCode;

/// The answer of a command, as its exit code.
///
/// "The answer is no" and "could not ask" lead an operator to different places, so they are never
/// mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// 0: yes, or done.
    Yes,
    /// 1: the answer is no: different, damaged, a failed drill, an obstacle in the way.
    No,
    /// 2: the arguments or the configuration make no sense.
    Usage,
    /// 3: the question could not be asked: connection, tool, disk, lock.
    CouldNotAsk,
    /// 4: everything else holds, and an approval is missing, expired or void.
    NeedsApproval,
    /// 130: interrupted by a signal. Nothing unfinished is in place; what a restore had begun
    /// beside it is dropped, or named and dropped by the next one.
    Interrupted,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::CouldNotAsk => 3,
            Self::NeedsApproval => 4,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
