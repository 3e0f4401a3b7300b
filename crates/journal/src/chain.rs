//! The chain: which record may follow which.

use std::path::Path;

use crate::hash::{Hash, Head};
use crate::line::{self, Flaw};
use crate::record::Record;
use crate::rotation;
use crate::{Damage, Error};

/// The end of the part of a journal that has been checked.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    head: Option<Head>,
}

impl Chain {
    pub(crate) fn after(last: Option<&Record>) -> Self {
        Self { head: last.map(Record::head) }
    }

    pub(crate) fn records(&self) -> u64 {
        self.head.map_or(0, |head| head.seq)
    }

    pub(crate) fn hash(&self) -> Hash {
        self.head.map_or(Hash::GENESIS, |head| head.hash)
    }

    pub(crate) fn head(&self) -> Option<Head> {
        self.head
    }

    /// Checks every line in the content of a file of this journal, and moves on to its end.
    pub(crate) fn follow_file(
        &mut self,
        journal: &Path,
        path: &Path,
        content: &[u8],
        visit: &mut impl FnMut(Record),
    ) -> Result<(), Error> {
        for (line, number) in content.split_inclusive(|byte| *byte == b'\n').zip(1..) {
            let Some(line) = line.strip_suffix(b"\n") else {
                let bytes = line.len() as u64;
                return Err(Flaw::from(Damage::Torn { bytes }).at(path, number));
            };
            let expected = self.records() + 1;
            let record = self.follow(line).map_err(|flaw| match flaw {
                Flaw::Damage(Damage::OutOfOrder { found, .. })
                    if number == 1 && found > expected =>
                {
                    let part = rotation::part(journal, expected);
                    Flaw::from(Damage::MissingPart { part, before: found })
                }
                other => other,
            });
            visit(record.map_err(|flaw| flaw.at(path, number))?);
        }
        Ok(())
    }

    /// Checks that `line` holds the next record, and moves on to it.
    pub(crate) fn follow(&mut self, line: &[u8]) -> Result<Record, Flaw> {
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
