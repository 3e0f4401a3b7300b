//! Rotation: what is in the journal moves into a file of its own, and the chain goes on.
//!
//! The closed parts of `JOURNAL` are `JOURNAL.NUMBER`, with the number of their first record in ten
//! digits. A part is made before the journal gives it up, as a copy: after a crash in between, the
//! journal is whole and the copy is a left-over. It begins with the same record as the journal and
//! holds nothing that the journal does not begin with; the next rotation replaces it. Anything else
//! is damage.

use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;
use regularfile::Options;

use crate::chain::Chain;
use crate::evidence::{self, Kind as _};
use crate::journal::read_part;
use crate::line::Flaw;
use crate::record::{NewRecord, Outcome, Record};
use crate::tail::TornLine;
use crate::{Damage, Error, Hash, Journal, line};

/// The word for a rotation that ended.
const ROTATED: &str = "rotated";
/// The least number of digits in the number of a part.
const DIGITS: usize = 10;

/// The answer of [`Journal::rotate`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rotated {
    /// The file of the records.
    pub part: PathBuf,
    /// The number of records in it.
    pub records: u64,
    /// The first record of the new file.
    pub record: Record,
    /// The incomplete line of an earlier crash that had to be moved aside first.
    pub torn: Option<TornLine>,
}

impl Journal {
    /// Moves all records into a file beside the journal, `JOURNAL.NUMBER` by the number of the
    /// first of them, and begins the journal anew with a record that says so and follows the last
    /// of them. Every reader goes on to see all of them, as long as the parts stay where they are.
    ///
    /// The whole chain is verified first, so that no damage is put away unseen. `at` is the time of
    /// the rotation. Nothing happens, and nothing is returned, where the journal is empty or holds
    /// only the record of the rotation before.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`] and [`Journal::verify`].
    pub fn rotate(&self, at: SystemTime) -> Result<Option<Rotated>, Error> {
        let mut file = self.writer()?;
        let (last, torn) = self.heal(&mut file, at)?;
        let chain = self.walk_locked(&mut file, drop)?.chain;
        let Some(last) = last else { return Ok(None) };
        let mut content = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut content)?;
        let first = first_record(&content).expect("a verified journal begins with a record");
        let records = chain.records() - first + 1;
        if records == 1 && is_rotation(&last) {
            return Ok(None);
        }
        let part = part(&self.path, first);
        self.replace(&part, &content, &file)?;
        let name = part.file_name().unwrap_or_default().to_string_lossy();
        let evidence = evidence::Rotated { records, sha256: Hash::of(&content) };
        let new = NewRecord::of(at, Outcome::Other(ROTATED.to_owned()), name, &evidence);
        let (record, line) = line::seal(new, Chain::after(Some(&last)))?;
        // The lock of the new file is held until its name is durable: nobody may append to what a crash could take back.
        let _held = self.replace(&self.path, line.as_bytes(), &file)?;
        tracing::info!(part = %part.display(), "rotated the journal after {records} records");
        Ok(Some(Rotated { part, records, record, torn }))
    }

    /// Gives `content` this name, durably, as a file of the same owner as the journal, and locked.
    fn replace(&self, path: &Path, content: &[u8], journal: &fs::File) -> Result<fs::File, Error> {
        let unfinished = unfinished(&self.path);
        // Never what somebody else may have put there, or still holds open.
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = Options::new_file().open(&unfinished)?;
        file.lock()?;
        let (old, new) = (journal.metadata()?, file.metadata()?);
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(file.file(), Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(old.permissions())?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        regularfile::sync_directory(regularfile::parent(path))?;
        Ok(file)
    }
}

/// Returns true if this is the record of a rotation.
pub(crate) fn is_rotation(record: &Record) -> bool {
    record.kind == evidence::Rotated::KIND
        && matches!(&record.outcome, Outcome::Other(word) if word == ROTATED)
}

/// The number of the first record in the content of a file; nothing where its first line is no
/// record.
pub(crate) fn first_record(content: &[u8]) -> Option<u64> {
    let first = content.split(|byte| *byte == b'\n').next()?;
    line::parse(first).ok().map(|record| record.seq)
}

/// The closed parts of a journal with the numbers in their names, in order, left-overs of a crash
/// included.
pub(crate) fn parts(journal: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let name = journal.file_name().unwrap_or_default();
    let mut parts = Vec::new();
    let items = match fs::read_dir(regularfile::parent(journal)) {
        // The first record makes the directory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(parts),
        items => items?,
    };
    for item in items {
        let item = item?;
        let found = item.file_name();
        let number = found
            .to_str()
            .zip(name.to_str())
            .and_then(|(found, name)| found.strip_prefix(name)?.strip_prefix('.'))
            .filter(|digits| digits.len() >= DIGITS && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok());
        parts.extend(number.map(|number| (number, item.path())));
    }
    parts.sort();
    Ok(parts)
}

/// The files beside a journal.
pub(crate) struct Beside {
    /// The parts before the journal's own records, in order.
    pub(crate) parts: Vec<PathBuf>,
    /// The leftovers of an interrupted rotation.
    pub(crate) leftovers: Vec<PathBuf>,
}

impl Beside {
    /// Tells the closed parts of a journal with this content from left-overs.
    pub(crate) fn of(journal: &Path, content: &[u8]) -> Result<Self, Error> {
        let all = parts(journal)?;
        let damaged = |damage: Damage| Err(Flaw::from(damage).at(journal, 1));
        if content.is_empty() && !all.is_empty() {
            return damaged(Damage::Emptied);
        }
        let mut beside = Self { parts: Vec::new(), leftovers: Vec::new() };
        // A first line that is no record is told by whoever reads it, behind all parts.
        let first = first_record(content).unwrap_or(u64::MAX);
        for (number, path) in all {
            if number < first {
                beside.parts.push(path);
            } else if number == first && content.starts_with(&read_part(&path)?) {
                beside.leftovers.push(path);
            } else {
                return damaged(Damage::Overlapping { part: path });
            }
        }
        let unfinished = unfinished(journal);
        if unfinished.symlink_metadata().is_ok() {
            beside.leftovers.push(unfinished);
        }
        Ok(beside)
    }
}

/// The file in which a record would be, if it is in a part of its own.
pub(crate) fn part(journal: &Path, first: u64) -> PathBuf {
    beside(journal, &format!(".{first:0DIGITS$}"))
}

fn unfinished(journal: &Path) -> PathBuf {
    beside(journal, ".unfinished")
}

fn beside(journal: &Path, suffix: &str) -> PathBuf {
    let mut path = journal.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}
