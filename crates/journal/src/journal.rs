//! The journal: append, read and verify, safely beside other processes.

use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;
use regularfile::Options;

use crate::chain::Chain;
use crate::line::{self, Flaw};
use crate::rotation::{self, Beside};
use crate::{Damage, Error, Head, NewRecord, Record, TornLine, tail};

/// A user who may change the journal, or replace it, may write what did not happen. Root may read
/// that of another user.
const READING: Options = Options::read().trusted_for_root();
const WRITING: Options = Options::append().trusted_for_root();

/// A hash-chained journal in a file of JSON lines.
///
/// The value only remembers the path: each operation opens and locks the file for itself, so a
/// `Journal` may be cloned, sent to other threads, and used beside other processes.
#[derive(Debug, Clone)]
pub struct Journal {
    pub(crate) path: PathBuf,
}

/// The answer of [`Journal::append`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Appended {
    /// The record as it stands in the journal, with its number and hashes.
    pub record: Record,
    /// The incomplete line of an earlier crash that had to be moved aside first. Tell the operator
    /// about it; the journal has a record of its own about it, just before [`Appended::record`].
    pub torn: Option<TornLine>,
}

/// The answer of a verification that found nothing wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// The number of records.
    pub records: u64,
    /// The newest record; nothing when the journal is empty.
    pub head: Option<Head>,
    /// Leftovers of an interrupted rotation beside the journal. The next rotation replaces them.
    pub leftovers: Vec<PathBuf>,
}

impl Journal {
    /// Opens the journal at `path`, and creates it, with its directory, where it does not exist.
    ///
    /// The file is created with mode 0600. It is not verified here.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] when only closed parts of it are there, [`Error::Io`] when the file or
    /// its directory cannot be created or opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let directory = regularfile::parent(&path);
        regularfile::create_directory(directory)?;
        // A new journal beside the parts of an old one would be another past.
        if let Some(journal) = Self::find(&path)? {
            return Ok(journal);
        }
        match Options::new_file().open(&path) {
            Ok(file) => {
                file.sync_all()?;
                regularfile::sync_directory(directory)?;
                tracing::info!("created the journal {}", path.display());
                Self::open_existing(path)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::open_existing(path),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the journal at `path`, which must exist: the way to read one, since a missing journal
    /// is then an error and not an empty journal.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] when there is no such file, [`Error::Io`] when it cannot be opened.
    pub fn open_existing(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        // By the path as it was given, with the links on the way.
        let journal = match READING.open(&path).and_then(|_| fs::canonicalize(&path)) {
            // Parts lie beside the file itself, by whatever link it is reached.
            Ok(path) => Self { path },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing { path });
            }
            Err(error) => return Err(error.into()),
        };
        Ok(journal)
    }

    /// Opens the journal at `path`; nothing where there is none, and never was one.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where only closed parts of it are there, and [`Error::Io`].
    pub fn find(path: impl Into<PathBuf>) -> Result<Option<Self>, Error> {
        let path = path.into();
        match Self::open_existing(&path) {
            Ok(journal) => Ok(Some(journal)),
            Err(Error::Missing { .. }) if rotation::parts(&path)?.is_empty() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The path of the journal.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one record and returns after it is on the disk.
    ///
    /// Only the last record is checked before, so the cost does not grow with the journal. A torn
    /// last line is moved aside first, as [`Journal::recover`] does. After an error the journal is
    /// as it was; if even restoring that fails (a broken disk), the rest is a torn line, or a whole
    /// record that nobody was told about.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRecord`] for a record that cannot be written, [`Error::Missing`] when the
    /// journal was removed since it was opened, [`Error::Damaged`] or [`Error::UnknownVersion`]
    /// when the journal's end is not sound, and [`Error::Io`].
    pub fn append(&self, new: NewRecord) -> Result<Appended, Error> {
        new.check()?;
        let mut file = self.writer()?;
        let (last, torn) = self.heal(&mut file, new.at)?;
        // Whoever rotated may have been killed before the name of this file was durable.
        if last.as_ref().is_some_and(rotation::is_rotation) {
            regularfile::sync_directory(regularfile::parent(&self.path))?;
        }
        let record = append_line(&mut file, last.as_ref(), new)?;
        tracing::debug!(journal = %self.path.display(), "recorded {}: {}", record.seq, record.kind);
        Ok(Appended { record, torn })
    }

    /// Moves a torn last line aside, if there is one, and says so in the journal; `at` is the time
    /// of this recovery.
    ///
    /// The line goes to `PATH.torn-STAMP`. It was never acknowledged to anyone, but it is kept. A
    /// last record that is complete but for its line end is completed instead, and is not reported.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`].
    pub fn recover(&self, at: SystemTime) -> Result<Option<TornLine>, Error> {
        let mut file = self.writer()?;
        Ok(self.heal(&mut file, at)?.1)
    }

    /// The newest record that is whole. Only this one is checked.
    ///
    /// # Errors
    ///
    /// As [`Journal::verify`]; but a torn line behind it is none, since nobody was told of that.
    pub fn head(&self) -> Result<Option<Head>, Error> {
        let mut file = self.reader()?;
        match tail::read(&mut file)?.last.as_deref().map(line::parse) {
            Some(Ok(record)) => Ok(Some(record.head())),
            // Walking tells what is wrong, and where.
            Some(Err(_)) | None => Ok(self.walk_locked(&mut file, drop)?.chain.head()),
        }
    }

    /// Reads all records, oldest first, after verifying them as [`Journal::verify`] does.
    ///
    /// # Errors
    ///
    /// As [`Journal::verify`].
    pub fn read(&self) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        self.walk(|record| records.push(record))?;
        Ok(records)
    }

    /// Verifies every line: its shape, its version, its hash, its number, and its link to the line
    /// before.
    ///
    /// A journal whose end was cut off at a line end verifies; only [`Journal::verify_against`]
    /// finds that.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or [`Error::UnknownVersion`] with the first line that is wrong,
    /// [`Error::Missing`], [`Error::Io`].
    pub fn verify(&self) -> Result<Verification, Error> {
        Ok(self.walk(drop)?.verification())
    }

    /// Verifies every line, and that the journal still holds the record that was its head at some
    /// earlier time.
    ///
    /// # Errors
    ///
    /// As [`Journal::verify`]; also [`Error::Truncated`] when the journal ends before that record,
    /// and [`Error::Rewritten`] when it has another one in its place.
    pub fn verify_against(&self, head: &Head) -> Result<Verification, Error> {
        let mut found = None;
        let walked = self.walk(|record| {
            if record.seq == head.seq {
                found = Some(record.hash);
            }
        })?;
        match found {
            Some(hash) if hash == head.hash => Ok(walked.verification()),
            Some(found) => Err(Error::Rewritten { path: self.path.clone(), head: *head, found }),
            None => Err(Error::Truncated {
                path: self.path.clone(),
                records: walked.chain.records(),
                head: *head,
            }),
        }
    }

    /// Passes every verified record to `visit`, and returns where the chain ends.
    fn walk(&self, visit: impl FnMut(Record)) -> Result<Walked, Error> {
        let mut file = self.reader()?;
        self.walk_locked(&mut file, visit)
    }

    /// As [`Journal::walk`], for a file that this process has locked already.
    pub(crate) fn walk_locked(
        &self,
        file: &mut fs::File,
        mut visit: impl FnMut(Record),
    ) -> Result<Walked, Error> {
        let mut content = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut content)?;

        let beside = Beside::of(&self.path, &content)?;
        let mut chain = Chain::default();
        for part in beside.parts {
            chain.follow_file(&self.path, &part, &read_part(&part)?, &mut visit)?;
        }
        chain.follow_file(&self.path, &self.path, &content, &mut visit)?;
        tracing::debug!(journal = %self.path.display(), "verified {} records", chain.records());
        Ok(Walked { chain, leftovers: beside.leftovers })
    }

    /// Makes the end of the journal sound, and returns its last record.
    pub(crate) fn heal(
        &self,
        file: &mut fs::File,
        at: SystemTime,
    ) -> Result<(Option<Record>, Option<TornLine>), Error> {
        let tail = tail::read(file)?;
        let last = match &tail.last {
            None => None,
            Some(line) => match line::parse(line) {
                Ok(record) => Some(record),
                // Walking from the start tells the number of the line, or of an earlier one that is wrong too.
                Err(flaw) => {
                    let chain = self.walk_locked(file, drop)?.chain;
                    return Err(flaw.at(&self.path, chain.records()));
                }
            },
        };
        if last.is_none() && !rotation::parts(&self.path)?.is_empty() {
            return Err(Flaw::from(Damage::Emptied).at(&self.path, 1));
        }
        if tail.torn.is_empty() {
            return Ok((last, None));
        }
        if let Ok(record) = Chain::after(last.as_ref()).follow(&tail.torn) {
            file.write_all(b"\n")?;
            file.sync_all()?;
            return Ok((Some(record), None));
        }
        let torn = tail.move_aside(&self.path, file, at)?;
        tracing::warn!(
            to = %torn.path.display(),
            "moved {} bytes of an incomplete record out of the journal",
            torn.bytes
        );
        let record = append_line(file, last.as_ref(), torn.record(at))?;
        Ok((Some(record), Some(torn)))
    }

    pub(crate) fn writer(&self) -> Result<fs::File, Error> {
        self.locked(&WRITING, fs::File::lock)
    }

    fn reader(&self) -> Result<fs::File, Error> {
        self.locked(&READING, fs::File::lock_shared)
    }

    /// Opens and locks the file that has the journal's name: whoever waited for the lock while it
    /// was rotated holds a file without a name.
    fn locked(
        &self,
        options: &Options,
        lock: impl Fn(&fs::File) -> io::Result<()>,
    ) -> Result<fs::File, Error> {
        loop {
            let file = self.file(options)?;
            lock(&file)?;
            let (held, named) = (file.metadata()?, self.file(options)?.metadata()?);
            if (held.dev(), held.ino()) == (named.dev(), named.ino()) {
                return Ok(file);
            }
        }
    }

    fn file(&self, options: &Options) -> Result<fs::File, Error> {
        options.open(&self.path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Error::Missing { path: self.path.clone() }
            } else {
                error.into()
            }
        })
    }
}

/// A closed part is as trusted as the directory, which the journal lies in as well.
pub(crate) fn read_part(path: &Path) -> Result<Vec<u8>, Error> {
    Ok(Options::read().in_place().to_vec(path, u64::MAX)?)
}

/// A journal that was read from its beginning to its end.
pub(crate) struct Walked {
    pub(crate) chain: Chain,
    leftovers: Vec<PathBuf>,
}

impl Walked {
    fn verification(self) -> Verification {
        Verification {
            records: self.chain.records(),
            head: self.chain.head(),
            leftovers: self.leftovers,
        }
    }
}

/// Writes the record behind `last`, or leaves the file as it was.
fn append_line(
    file: &mut fs::File,
    last: Option<&Record>,
    new: NewRecord,
) -> Result<Record, Error> {
    let (record, line) = line::seal(new, Chain::after(last))?;
    let length = file.metadata()?.len();
    // One write: a reader without a lock, such as `tail -f`, sees whole lines.
    if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_all()) {
        // Best effort: what cannot be taken back is a torn line for the next append.
        let _ = file.set_len(length);
        return Err(error.into());
    }
    Ok(record)
}
