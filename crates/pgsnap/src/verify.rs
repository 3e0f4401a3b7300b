//! Verifying an archive from end to end, without a database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::archive::{Archive, MemberReader};
use crate::census::TableCensus;
use crate::digest::{Key, Tally};
use crate::dump::default_jobs;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Member, MemberKind};
use crate::progress::{Phase, Progress, Work};
use crate::tallies::{Tallies, Total};

/// Options of a verification.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Threads. Default: the number of processors, at least 2.
    pub jobs: usize,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { jobs: default_jobs() }
    }
}

/// The result of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Tables recounted and redigested.
    pub tables: usize,
    /// Rows in them.
    pub rows: u64,
    /// Decompressed bytes.
    pub bytes: u64,
}

/// Members a thread takes at a time: consecutive members are read without seeking.
const RUN: usize = 8;

/// Reads every member, checks its CRC and hash, recounts and redigests every table, and
/// compares with the manifest. Blocks its thread.
///
/// # Errors
/// [`Error::Damaged`] names the table or member; [`Error::Read`] what the storage said.
pub fn verify(
    archive: &Archive,
    options: &VerifyOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Verified> {
    let manifest = archive.manifest();
    let mut counts = vec![0; manifest.census.tables.len()];
    for table in manifest.members.iter().filter_map(|member| member.table) {
        counts[table] += 1;
    }
    let tallies = Tallies::new(counts);
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let expected = Work {
        bytes: manifest.members.iter().map(|member| member.raw).sum(),
        rows: manifest.census.rows(),
    };
    progress.begin(Phase::Verify, expected);

    let worker = || -> Result<()> {
        let mut reader = archive.reader()?;
        while !stop.load(Ordering::Relaxed) {
            let start = next.fetch_add(RUN, Ordering::Relaxed);
            if start >= manifest.members.len() {
                break;
            }
            let end = manifest.members.len().min(start + RUN);
            for member in &manifest.members[start..end] {
                verify_member(&mut reader, manifest, member, &tallies, progress.as_ref())?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.jobs.max(1))
            .map(|_| scope.spawn(|| worker().inspect_err(|_| stop.store(true, Ordering::Relaxed))))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Error::WorkerDied { what: "verifying".into() }))
            })
            .collect::<Result<Vec<()>>>()
    })?;

    for (table, total) in manifest.census.tables.iter().zip(tallies.into_totals()) {
        table.expect(&total)?;
    }
    Ok(Verified {
        tables: manifest.census.tables.len(),
        rows: manifest.census.rows(),
        bytes: expected.bytes,
    })
}

fn verify_member(
    reader: &mut MemberReader,
    manifest: &Manifest,
    member: &Member,
    tallies: &Tallies,
    progress: &dyn Progress,
) -> Result<()> {
    let (MemberKind::Data, Some(index)) = (member.kind, member.table) else {
        reader.read(member)?;
        progress.advance(Work { bytes: member.raw, rows: 0 });
        return Ok(());
    };
    let table = &manifest.census.tables[index];
    let (raw, rows) = reader.read_rows(member, table)?;
    let mut tally = Tally::new(table.key());
    tally.add_lines(&raw[rows]);
    if Some(tally.rows) != member.rows {
        return Err(Error::damaged(format!(
            "a member of {} holds {} rows instead of {:?}",
            table.name, tally.rows, member.rows
        )));
    }
    let rows = tally.rows;
    tallies.add(index, tally);
    progress.advance(Work { bytes: member.raw, rows });
    Ok(())
}

impl TableCensus {
    /// Returns the position of the key in a row of this table.
    pub(crate) fn key(&self) -> Key {
        let columns: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        Key::new(&columns, &self.key)
    }

    /// Compares rows that were read with what the census says of them.
    fn expect(&self, total: &Total) -> Result<()> {
        if total.rows != self.rows || total.bytes != self.bytes {
            return Err(Error::damaged(format!(
                "{} holds {} rows, the manifest says {}",
                self.name, total.rows, self.rows
            )));
        }
        if total.digest != self.digest || total.buckets != self.buckets {
            return Err(Error::damaged(format!(
                "the rows of {} are not those the manifest describes",
                self.name
            )));
        }
        Ok(())
    }
}
