//! Damage to a line.

use std::fmt;
use std::path::PathBuf;

use crate::Hash;

/// Damage to a line of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The line does not have the shape of a record.
    #[non_exhaustive]
    Unreadable {
        /// The reason why it could not be read.
        reason: String,
    },
    /// The text of the record and its hash do not belong together: one of them was edited.
    #[non_exhaustive]
    Edited {
        /// The hash that the line states.
        stated: Hash,
        /// The hash that its text gives.
        computed: Hash,
    },
    /// Another record should be here: lines were deleted, inserted or moved.
    #[non_exhaustive]
    OutOfOrder {
        /// The sequence number that belongs here.
        expected: u64,
        /// The sequence number that the record has.
        found: u64,
    },
    /// The record follows another one than the line before it: that line was replaced.
    #[non_exhaustive]
    Unlinked {
        /// The hash of the record before it.
        expected: Hash,
        /// The hash that the record states for its predecessor.
        found: Hash,
    },
    /// The last line does not end: an append was interrupted, or the end was edited.
    #[non_exhaustive]
    Torn {
        /// The length of the incomplete line in bytes.
        bytes: u64,
    },
    /// The records before this one are in no file: lines were deleted, or a closed part of the
    /// journal is missing.
    #[non_exhaustive]
    MissingPart {
        /// The part in which they would begin.
        part: PathBuf,
        /// The first record that is there again.
        before: u64,
    },
    /// A closed part holds other records than the journal, from the same number on or a later one:
    /// one of the two was exchanged.
    #[non_exhaustive]
    Overlapping {
        /// The part.
        part: PathBuf,
    },
    /// There is no record, although closed parts of the journal are there: it was emptied.
    Emptied,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { reason } => write!(f, "this is not a record ({reason})"),
            Self::Edited { stated, computed } => write!(
                f,
                "the record was edited (its hash is {stated}, but its text gives {computed})"
            ),
            Self::OutOfOrder { expected, found } => write!(
                f,
                "record {found} stands where record {expected} belongs (lines were deleted, inserted or moved)"
            ),
            Self::Unlinked { expected, found } => write!(
                f,
                "the record follows {found}, but the record before it is {expected} (it was replaced)"
            ),
            Self::Torn { bytes } => write!(f, "the last line is torn after {bytes} bytes"),
            Self::MissingPart { part, before } => write!(
                f,
                "the records before {before} are missing (lines were deleted, or the closed part `{}` is not there)",
                part.display()
            ),
            Self::Overlapping { part } => write!(
                f,
                "`{}` holds other records than the journal (one of the two was exchanged)",
                part.display()
            ),
            Self::Emptied => f.write_str(
                "there is no record, although closed parts of the journal are there (it was emptied)",
            ),
        }
    }
}
