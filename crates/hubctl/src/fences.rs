//! The files of the fences around sites, in the directory `fences` beside the journal.
//!
//! For a site that is frozen there are `SITE.json`, the [record](FenceRecord) that takes the fence
//! down, and `SITE.quiet.json`, the first reading that [`prove_quiet`](pgsnap::prove_quiet) begins
//! with. After a thaw the record is kept as `SITE.ID.json`. `SITE.lock` is locked by a run.

use std::fmt::Write as _;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use fs_err::File;
use pgsnap::{Database, FenceRecord, Identity, LocatedDatabase, MarkerRole, QuietReading};
use serde::{Deserialize, Serialize};

use crate::failure::Refusal;
use crate::settings::Settings;

/// A reading holds one line per sequence.
const LARGEST: u64 = 64 << 20;

/// The files of one site.
#[derive(Debug, Clone)]
pub(crate) struct FenceFiles {
    directory: PathBuf,
    stem: String,
    record: PathBuf,
    reading: PathBuf,
}

/// Keeps other runs on this machine away from the fence of a site, until the last clone is dropped
/// or the process ends.
#[derive(Debug, Clone)]
pub(crate) struct FenceLock(#[expect(dead_code, reason = "open as long as it holds")] Arc<File>);

/// The first reading behind a fence, and the id of that fence.
#[derive(Serialize, Deserialize)]
struct FirstReading {
    fence: String,
    reading: QuietReading,
}

impl FenceFiles {
    /// The files of the site with this label.
    pub(crate) fn of(settings: &Settings, label: &str) -> Self {
        let directory = regularfile::parent(&settings.journal.value).join("fences");
        let stem = stem(label);
        Self {
            record: directory.join(format!("{stem}.json")),
            reading: directory.join(format!("{stem}.quiet.json")),
            directory,
            stem,
        }
    }

    /// The file of the record of the fence that stands, or was begun.
    pub(crate) fn record(&self) -> &Path {
        &self.record
    }

    /// Finds the fence around this database, by its real name.
    pub(crate) async fn find(&self, database: &Database) -> anyhow::Result<Option<FenceRecord>> {
        let found = pgsnap::find_fence(database, Some(&self.record)).await;
        self.present(database, found).await
    }

    /// Leaves out the fence around a former primary, once a later move has given its name to
    /// another database.
    async fn present(
        &self,
        database: &Database,
        found: pgsnap::Result<Option<FenceRecord>>,
    ) -> anyhow::Result<Option<FenceRecord>> {
        let of_another = |identity: &Identity, oid: Option<u32>| {
            let marker = identity.database.as_ref().and_then(LocatedDatabase::own_marker);
            marker.is_some_and(|marker| {
                marker.role == MarkerRole::Primary && Some(marker.database_oid) != oid
            })
        };
        let record = match found {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(None),
            // The former primary was dropped, and its record is left.
            Err(error @ pgsnap::Error::FenceRecord { .. }) => {
                let is_former = match pgsnap::identify(database).await {
                    Ok(identity) => of_another(&identity, self.recorded_oid()),
                    Err(_) => false,
                };
                return if is_former { Ok(None) } else { Err(self.naming(error)) };
            }
            Err(error) => return Err(self.naming(error)),
        };
        let identity = pgsnap::identify(database).await?;
        let is_former = of_another(&identity, Some(record.database_oid));
        Ok((!is_former).then_some(record))
    }

    /// Finds the fence around this database; a database that does not exist has none.
    pub(crate) async fn find_any(
        &self,
        database: &Database,
    ) -> anyhow::Result<Option<FenceRecord>> {
        match pgsnap::find_fence(database, Some(&self.record)).await {
            Err(pgsnap::Error::CannotFence { .. }) => Ok(None),
            found => self.present(database, found).await,
        }
    }

    fn recorded_oid(&self) -> Option<u32> {
        let record = FenceRecord::load(&self.record).ok().flatten();
        record.map(|record| record.database_oid)
    }

    /// Names the file where the error is about the record.
    pub(crate) fn naming(&self, error: pgsnap::Error) -> anyhow::Error {
        let is_about_record = matches!(error, pgsnap::Error::FenceRecord { .. });
        let error = anyhow::Error::from(error);
        if is_about_record && self.record.exists() {
            let record = self.record.display();
            return error.context(format!("the fence differs from its record {record}"));
        }
        error
    }

    /// Takes the lock, and creates the directory where it is missing.
    pub(crate) fn lock(&self) -> anyhow::Result<FenceLock> {
        regularfile::create_directory(&self.directory)
            .with_context(|| format!("cannot create {}", self.directory.display()))?;
        let path = self.directory.join(format!("{}.lock", self.stem));
        match regularfile::create(&path, "") {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => regularfile::open(&path),
        }
        .and_then(|file| match file.try_lock() {
            Ok(()) => Ok(Some(FenceLock(Arc::new(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        })
        .with_context(|| format!("cannot lock {}", path.display()))?
        .ok_or_else(|| {
            Refusal::could_not_ask("another run works on the fence of this site")
                .hint("wait for it to end, or stop it")
                .into()
        })
    }

    /// The first reading behind this fence, if one was taken.
    pub(crate) fn reading(&self, fence: &str) -> anyhow::Result<Option<QuietReading>> {
        let damaged = || format!("cannot read {}", self.reading.display());
        let text = match regularfile::read_to_string(&self.reading, LARGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.with_context(damaged)?,
        };
        // A run that died before it wrote leaves an empty file.
        if text.is_empty() {
            return Ok(None);
        }
        let first: FirstReading = serde_json::from_str(&text).with_context(damaged)?;
        Ok((first.fence == fence).then_some(first.reading))
    }

    /// Writes the first reading behind this fence, durably.
    pub(crate) fn save_reading(&self, fence: &str, reading: &QuietReading) -> anyhow::Result<()> {
        let first = FirstReading { fence: fence.to_owned(), reading: reading.clone() };
        let text = serde_json::to_string(&first)? + "\n";
        let write = || match regularfile::create(&self.reading, "") {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => regularfile::replace(&self.reading, text),
        };
        write().with_context(|| format!("cannot write {}", self.reading.display()))
    }

    /// Gives the record of a fence that is down its lasting name, which is returned.
    pub(crate) fn retire(&self) -> anyhow::Result<Option<PathBuf>> {
        let Some(record) = FenceRecord::load(&self.record)? else {
            return Ok(None);
        };
        let kept = self.directory.join(format!("{}.{}.json", self.stem, stem(&record.id)));
        fs_err::rename(&self.record, &kept)?;
        regularfile::sync_directory(&self.directory)?;
        Ok(Some(kept))
    }
}

/// The label of a site as the beginning of a file's name: everything but letters, digits, `-` and
/// `_` becomes `%XX`, so that no two labels share a file and none leads elsewhere.
fn stem(label: &str) -> String {
    let mut stem = String::with_capacity(label.len());
    for byte in label.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => stem.push(char::from(byte)),
            _ => {
                let _ = write!(stem, "%{byte:02X}");
            }
        }
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_leads_elsewhere_or_to_the_file_of_another() {
        assert_eq!(stem("state-hub_1"), "state-hub_1");
        assert_eq!(stem("../a"), "%2E%2E%2Fa");
        assert_eq!(stem("hub@127.0.0.1:5432/ä"), "hub%40127%2E0%2E0%2E1%3A5432%2F%C3%A4");
        assert_ne!(stem("a.quiet"), "a.quiet");
    }
}
