//! Errors, with hints.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use crate::{Damage, Hash, Head};

/// The meaning of an error for the question that was asked.
///
/// The enum is exhaustive on purpose: a program that maps it to exit codes does
/// not compile when a class is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller asked for something invalid: a path without a
    /// journal, a text that is not a hash.
    Usage,
    /// The question was asked, and the answer is no: the journal is damaged.
    No,
    /// The question could not be asked: the file system refused.
    CouldNotAsk,
}

/// The error of every operation of this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// There is no journal at this path, or only closed parts of one.
    #[error("there is no journal at `{}`", path.display())]
    #[non_exhaustive]
    Missing {
        /// The expected path of the journal.
        path: PathBuf,
    },

    /// A line was written in a version of the format that this library does not know.
    #[error("journal `{}` uses the unknown format `{format}` at line {line}", path.display())]
    #[non_exhaustive]
    UnknownVersion {
        /// The journal.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The format named in the line.
        format: String,
    },

    /// A line is not what was once written there.
    #[error("journal `{}` is damaged at line {line}: {damage}", path.display())]
    #[non_exhaustive]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The first line that is wrong, counted from 1.
        line: u64,
        /// The fault in it.
        damage: Damage,
    },

    /// The journal is sound in itself, but ends before a head that it once had.
    #[error(
        "journal `{}` was truncated: it ends at record {records}, but it once reached record {}",
        path.display(), head.seq
    )]
    #[non_exhaustive]
    Truncated {
        /// The journal.
        path: PathBuf,
        /// The number of records it holds now.
        records: u64,
        /// The head that was known.
        head: Head,
    },

    /// The journal is sound in itself, but is not the one whose head was known.
    #[error(
        "journal `{}` was rewritten: record {} has the hash {found}, but it once was {}",
        path.display(), head.seq, head.hash
    )]
    #[non_exhaustive]
    Rewritten {
        /// The journal.
        path: PathBuf,
        /// The head that was known.
        head: Head,
        /// The hash that the record has now.
        found: Hash,
    },

    /// A new record cannot be written, and nothing was.
    #[error("the record cannot be written: {reason}")]
    #[non_exhaustive]
    InvalidRecord {
        /// The fault in it.
        reason: String,
    },

    /// A text is not a hash or a head.
    #[error("`{text}` is not a {expected}")]
    #[non_exhaustive]
    Malformed {
        /// The expected text and its shape.
        expected: &'static str,
        /// The given text.
        text: String,
    },
}

impl Error {
    /// Says whether the answer is no, or the question could not be asked.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Missing { .. } | Self::InvalidRecord { .. } | Self::Malformed { .. } => {
                ErrorClass::Usage
            }
            Self::Damaged { .. } | Self::Truncated { .. } | Self::Rewritten { .. } => {
                ErrorClass::No
            }
            Self::Io(_) | Self::UnknownVersion { .. } => ErrorClass::CouldNotAsk,
        }
    }

    /// The remedy, as one sentence for the operator, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Missing { .. } => {
                "check the path; a journal that existed before was removed or moved"
            }
            Self::UnknownVersion { .. } => {
                "a newer version of the program wrote this journal: use that one"
            }
            Self::Damaged { damage: Damage::Torn { .. }, .. } => {
                "if a crash interrupted an append, the line was never acknowledged, and the next append moves it aside; \
                 otherwise the last line was edited"
            }
            Self::Damaged { damage: Damage::MissingPart { .. }, .. } => {
                "put the closed part of the journal back, if there was one; else keep this file as evidence, and compare it with a copy from a backup"
            }
            Self::Damaged { .. } | Self::Truncated { .. } | Self::Rewritten { .. } => {
                "keep this file as evidence, and compare it with a copy from a backup"
            }
            Self::Io(error) => return regularfile::hint(error),
            Self::InvalidRecord { .. } | Self::Malformed { .. } => return None,
        };
        Some(hint.into())
    }
}
