//! What can go wrong, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::journal::{Hash, Head};

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
        /// Where the journal was expected.
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
        /// What the line calls its format.
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
        /// What is wrong with it.
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
        /// How many records it holds now.
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
        /// What is wrong with it.
        reason: String,
    },

    /// What a gate asks makes no sense.
    #[error("the gate `{gate}` makes no sense: {reason}")]
    #[non_exhaustive]
    InvalidRule {
        /// Its name.
        gate: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A document is not evidence of a version that is known.
    #[error("this is not evidence that can be judged: {reason}")]
    #[non_exhaustive]
    NotEvidence {
        /// What is wrong with it.
        reason: String,
    },

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
        /// Why.
        reason: String,
    },

    /// An approval was written in a version of the format that this library does not know.
    #[error("the approval `{}` is in the unknown format `{format}`", path.display())]
    #[non_exhaustive]
    UnknownApproval {
        /// The approval or revocation.
        path: PathBuf,
        /// What it calls its format.
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

    /// A text is not a hash or a head.
    #[error("`{text}` is not a {expected}")]
    #[non_exhaustive]
    Malformed {
        /// What was expected there, with its shape.
        expected: &'static str,
        /// What was given.
        text: String,
    },
}

impl Error {
    /// The clock was set back behind a record of this time.
    #[must_use]
    pub fn clock_set_back(now: jiff::Timestamp, newest: jiff::Timestamp) -> Self {
        Self::ClockSetBack { now, newest }
    }

    /// The remedy, as one sentence for the operator, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some(
                "check the path; a journal that existed before was removed or moved".to_owned(),
            ),
            Self::InvalidGate { .. } => Some(
                "use letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 64 characters"
                    .to_owned(),
            ),
            Self::Signature(error) => error.hint().map(ToOwned::to_owned),
            Self::ClockSetBack { .. } => Some(
                "set the clock of this machine right; if it is, wait until it has passed the record".to_owned(),
            ),
            Self::UnknownApproval { .. } => {
                Some("a newer version of the program wrote it: use that one".to_owned())
            }
            Self::UnknownVersion { .. } => {
                Some("a newer version of the program wrote this journal: use that one".to_owned())
            }
            Self::Damaged { damage: Damage::Torn { .. }, .. } => Some(
                "if a crash interrupted an append, the line was never acknowledged, and the next append moves it aside; \
                 otherwise the last line was edited"
                    .to_owned(),
            ),
            Self::Damaged { damage: Damage::MissingPart { .. }, .. } => Some(
                "put the closed part of the journal back, if there was one; else keep this file as evidence, and compare it with a copy from a backup"
                    .to_owned(),
            ),
            Self::Damaged { .. } | Self::Truncated { .. } | Self::Rewritten { .. } => Some(
                "keep this file as evidence, and compare it with a copy from a backup".to_owned(),
            ),
            Self::NotEvidence { .. } => Some(
                "`hubctl gates --bundle FILE` writes it; a newer version of the program may have written this one"
                    .to_owned(),
            ),
            Self::Io(error) => regularfile::hint(error).map(ToOwned::to_owned),
            Self::InvalidApproval { .. }
            | Self::InvalidRecord { .. }
            | Self::InvalidRule { .. }
            | Self::Malformed { .. } => None,
        }
    }
}

/// What is wrong with a line of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The line does not have the shape of a record.
    #[non_exhaustive]
    Unreadable {
        /// Why it could not be read.
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
    /// The records before this one are in no file: lines were deleted, or a closed part of the journal is missing.
    #[non_exhaustive]
    MissingPart {
        /// Where they would begin.
        part: PathBuf,
        /// The first record that is there again.
        before: u64,
    },
    /// A closed part holds other records than the journal, from the same number on or a later one: one of the two was exchanged.
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
