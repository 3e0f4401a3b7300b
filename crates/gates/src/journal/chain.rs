//! The chain: which record may follow which.

use super::Verification;
use super::hash::{Hash, Head};
use super::line::{self, Flaw};
use super::record::Record;
use crate::Damage;

/// The end of the part of a journal that has been checked.
#[derive(Debug, Default)]
pub(super) struct Chain {
    head: Option<Head>,
}

impl Chain {
    pub(super) fn after(last: Option<&Record>) -> Self {
        Self {
            head: last.map(Record::head),
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.head.map_or(0, |head| head.seq)
    }

    pub(super) fn hash(&self) -> Hash {
        self.head.map_or(Hash::GENESIS, |head| head.hash)
    }

    pub(super) fn verification(&self) -> Verification {
        Verification {
            records: self.records(),
            head: self.head,
        }
    }

    /// Checks that `line` holds the next record, and moves on to it.
    pub(super) fn follow(&mut self, line: &[u8]) -> Result<Record, Flaw> {
        let record = line::parse(line)?;
        let expected = self.records() + 1;
        if record.seq != expected {
            let found = record.seq;
            return Err(Damage::OutOfOrder { expected, found }.into());
        }
        let expected = self.hash();
        if record.prev != expected {
            let found = record.prev;
            return Err(Damage::Unlinked { expected, found }.into());
        }
        self.head = Some(record.head());
        Ok(record)
    }
}
