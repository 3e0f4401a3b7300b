//! A dump: every row of one snapshot, counted, digested and compressed while it streams by.

mod members;
mod packer;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use self::members::{Members, Packed};
use self::packer::Packer;
use crate::archive::{COPY_BEGIN, copy_in_statement, manifest_text, pointer_member};
use crate::catalog::{self, Table};
use crate::census::{Census, TableCensus};
use crate::database::Database;
use crate::ddl::Ddl;
use crate::definitions::{self, EarlyDdl, Scope};
use crate::digest::Digest;
use crate::encoding::{self, Encoding};
use crate::error::{Error, Result};
use crate::facts::{self, Facts};
use crate::foreign_data::{self, ForeignTable};
use crate::globals;
use crate::gzip::MemberCompressor;
use crate::large_object::{self, DEFINITIONS_MOVED, PieceSink};
use crate::manifest::{Manifest, MemberKind, Source, format_of};
use crate::progress::{Phase, Progress, Work};
use crate::scan::{self, scan};
use crate::script;
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::standby;
use crate::tools::PgDump;

/// Options of a dump.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DumpOptions {
    /// Sessions that read rows. Default: the number of processors, at least 2.
    pub jobs: usize,
    /// Bytes of row text per member before compression. Default: 2 MiB.
    pub block_size: usize,
    /// libdeflate's level, 1 to 12. Default: 4, measured in `docs/benchmarks.md`.
    pub level: u8,
    /// The longest wait for a lock on the tables. Default: 30 s.
    pub lock_timeout: Duration,
    /// Keep what the passwords of the roles are checked against in the manifest, which takes a
    /// superuser. Default: no.
    pub role_passwords: bool,
    /// Dump the rows of foreign tables of these foreign servers, too: exact names, no patterns.
    /// They are of the moment in which each server was asked, not of the snapshot. Default: none,
    /// as by `pg_dump`; the definitions are dumped anyway.
    pub foreign_data: Vec<String>,
    /// Directories to look for `pg_dump` in, before the usual places.
    pub bin_directories: Vec<PathBuf>,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self {
            jobs: default_jobs(),
            block_size: 2 << 20,
            level: 4,
            lock_timeout: Duration::from_secs(30),
            role_passwords: false,
            foreign_data: Vec::new(),
            bin_directories: Vec::new(),
        }
    }
}

/// The number of processors, at least 2: one worker always waits for the server.
pub(crate) fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().max(2))
}

/// Dumps a database into `writer` as a `pgsnap/1` archive, and gives the writer back with the
/// manifest.
///
/// The writer receives gzip members; it is not flushed, synced or closed. Memory is bounded by
/// `jobs` times a few times `block_size` (or the largest row, if that is larger). Dropping the
/// future ends all sessions and drops the writer.
///
/// # Errors
/// Any failure of any session fails the dump; a short archive is never finished, because
/// the manifest that makes it one is written last.
pub async fn dump<W: Write + Send + 'static>(
    source: &Database,
    writer: W,
    options: &DumpOptions,
    progress: &Arc<dyn Progress>,
) -> Result<(W, Manifest)> {
    let mut writer = writer;
    let mut readings = 0;
    let (writer, index, dumped) = loop {
        let early = match readings {
            0 => None,
            _ => Some(read_early(source, options, &mut readings).await?),
        };
        let (opening, members, received) = members::channel();
        let writing = tokio::task::spawn_blocking(move || members::write(writer, received));
        let dumped = dump_members(source, opening, &members, early, options, progress).await;
        drop(members);
        let written =
            writing.await.map_err(|_| Error::WorkerDied { what: "writing the archive".into() })?;
        // When the disk is full every sender fails too: the disk is the news.
        let (returned, index) = written.map_err(|source| Error::Write { source })?;
        let is_early = readings > 0;
        let may_repeat = match &dumped {
            Err(Error::LockQueue) => true,
            Err(Error::ChangedMeanwhile { .. }) => is_early,
            _ => false,
        };
        if !may_repeat || !index.is_empty() || readings >= EARLY_READINGS {
            break (returned, index, dumped);
        }
        tracing::debug!(
            "a writer locks tables exclusively; reading the definitions before the snapshot"
        );
        writer = returned;
        readings += 1;
    };
    let manifest = Manifest { members: index, ..dumped? };
    tokio::task::spawn_blocking(move || write_manifest(writer, manifest))
        .await
        .map_err(|_| Error::WorkerDied { what: "writing the manifest".into() })?
        .map_err(|source| Error::Write { source })
}

/// Definitions are read at most this often before the snapshot.
const EARLY_READINGS: usize = 10;

/// Reads definitions, again if a table is dropped before `pg_dump` has locked it.
async fn read_early(
    source: &Database,
    options: &DumpOptions,
    readings: &mut usize,
) -> Result<EarlyDdl> {
    loop {
        let read = EarlyDdl::find(source, &options.bin_directories, options.lock_timeout);
        match read.await {
            Err(Error::ToolFailed { .. }) if *readings < EARLY_READINGS => *readings += 1,
            read => return read,
        }
    }
}

fn write_manifest<W: Write>(mut writer: W, manifest: Manifest) -> io::Result<(W, Manifest)> {
    let offset = manifest.members.last().map_or(0, |member| member.offset + member.length);
    let member = MemberCompressor::new(6).compress(manifest_text(&manifest).as_bytes());
    writer.write_all(&member)?;
    writer.write_all(&pointer_member(
        &manifest.format,
        offset,
        member.len() as u64,
        Digest::of(&member),
    ))?;
    Ok((writer, manifest))
}

/// Sends every member but the manifest; returns a manifest whose index is still empty.
async fn dump_members(
    source: &Database,
    opening: oneshot::Sender<Vec<Packed>>,
    members: &Members,
    early: Option<EarlyDdl>,
    options: &DumpOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Manifest> {
    progress.begin(Phase::Snapshot, Work::default());
    let snapshot = Snapshot::take(source, "dump", options.lock_timeout, options.jobs).await?;
    foreign_data::require_servers(&snapshot.leader, &options.foreign_data).await?;
    foreign_data::require_no_rerouting(&snapshot.leader).await?;
    if !options.foreign_data.is_empty() {
        progress.note("rows of foreign tables are of the moment in which their server is asked, not of the snapshot");
    }
    standby::note_what_is_missing(&snapshot, progress).await?;
    let facts = snapshot.facts.clone();
    let tool = PgDump::find(facts.server_major(), &options.bin_directories).await?;
    let settled = match Encoding::of_name(&facts.encoding) {
        None => None,
        Some(_) => {
            let mut tables = snapshot.tables(&options.foreign_data).await?;
            encoding::settle(&snapshot, &mut tables, None, progress).await?;
            Some(tables)
        }
    };
    let format = format_of(settled.iter().flatten().map(|table| table.encoding));

    // pg_dump takes the longest where there are many tables, so nothing that it need not wait for comes before it.
    let definitions = async {
        let ddl = async {
            match early {
                Some(early) => early.into_ddl(&snapshot, source).await,
                None => definitions::read_ddl(source, &tool, &snapshot, options.lock_timeout).await,
            }
        };
        let (ddl, provenance) =
            tokio::try_join!(ddl, provenance(&snapshot.leader, facts.clone(), &tool))?;
        let foreign = foreign_data::tables(&snapshot.leader, &options.foreign_data).await?;
        send_opening(opening, script::prologue(&facts, format), &ddl, &foreign).await?;
        let schema = ddl.fingerprint(&tool, facts.server_major());
        Ok((ddl.post_data, schema, provenance))
    };
    let rows = read_rows(&snapshot, settled, members, options, progress);
    let read = tokio::try_join!(definitions, rows)?;
    let scope = match options.foreign_data[..] {
        [] => Scope::Rows,
        _ => Scope::ForeignRows,
    };
    let read = definitions::unchanged(Ok(read), &snapshot, source, scope).await?;
    let ((post_data, schema, mut provenance), tables) = read;

    let (large_objects, privileges) =
        dump_large_objects(&snapshot, &tool, members, options).await?;
    let sequences = catalog::sequences(&snapshot.leader).await?;
    let setvals = sequences.iter().map(catalog::setval).collect();
    for (kind, text) in [
        (MemberKind::Sequences, setvals),
        (MemberKind::Check, script::check_block(&tables)),
        // Before the event triggers, with which the rest ends.
        (MemberKind::LargeObjects, privileges),
        (MemberKind::PostData, post_data),
        (MemberKind::Epilogue, script::epilogue().to_owned()),
    ] {
        members.send_text(kind, text).await?;
    }

    let census = Census {
        tables,
        sequences,
        large_objects,
        extensions: catalog::extensions(&snapshot.leader).await?,
        locale: facts.locale.clone(),
        schema: Some(schema),
        content: true,
    };
    if options.role_passwords {
        globals::add_passwords(&snapshot.leader, &mut provenance).await?;
    }
    let manifest = Manifest {
        format: format.to_owned(),
        writer: concat!("pgsnap ", env!("CARGO_PKG_VERSION")).to_owned(),
        taken_at: facts.now,
        source: provenance,
        census,
        members: Vec::new(),
    };
    snapshot.finish().await?;
    Ok(manifest)
}

/// Sends everything before the rows.
async fn send_opening(
    opening: oneshot::Sender<Vec<Packed>>,
    prologue: String,
    ddl: &Ddl,
    foreign: &[ForeignTable],
) -> Result<()> {
    let prologue = Packed::text(MemberKind::Prologue, prologue).await?;
    let pre_data = Packed::text(MemberKind::PreData, ddl.pre_data.clone()).await?;
    let check = Packed::text(MemberKind::Check, script::foreign_check(foreign)).await?;
    opening
        .send(prologue.into_iter().chain(pre_data).chain(check).collect())
        .map_err(|_| members::writer_gone())
}

async fn read_rows(
    snapshot: &Snapshot,
    settled: Option<Vec<Table>>,
    members: &Members,
    options: &DumpOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<TableCensus>> {
    let tables = match settled {
        Some(tables) => tables,
        None => snapshot.tables(&options.foreign_data).await?,
    };
    progress.begin(Phase::Dump, scan::expected(&tables));
    let heads: Arc<Vec<String>> = Arc::new(
        tables
            .iter()
            .map(|table| {
                copy_in_statement(
                    &table.name,
                    table.columns.iter().map(|column| column.name.as_str()),
                    table.encoding,
                ) + COPY_BEGIN
            })
            .collect(),
    );
    let packer = || Packer::new(Arc::clone(&heads), members.clone(), options);
    scan(snapshot, tables, options.jobs, "dump", progress, packer).await
}

/// Returns the origin of the rows, for the manifest.
pub(crate) async fn provenance(session: &Session, facts: Facts, tool: &PgDump) -> Result<Source> {
    let mut roles = facts::roles(session).await?;
    if !facts.shut_out.is_empty() {
        roles.extend(facts.shut_out.iter().cloned());
        roles.sort_unstable();
        roles.dedup();
    }
    let tablespaces = facts::tablespaces(session).await?;
    Ok(Source {
        pg_dump: tool.version.clone(),
        database_bytes: facts::database_bytes(session).await?,
        role_definitions: globals::roles(session, &roles).await?,
        memberships: globals::memberships(session, &roles).await?,
        tablespace_definitions: globals::tablespaces(session, &tablespaces).await?,
        roles,
        tablespaces,
        ..facts.into_source()
    })
}

/// Sends the large objects; returns what they are and, where `pg_dump` leaves them out, the
/// statements for their privileges, which must come after their contents.
async fn dump_large_objects(
    snapshot: &Snapshot,
    tool: &PgDump,
    members: &Members,
    options: &DumpOptions,
) -> Result<(crate::census::LargeObjects, String)> {
    let mut privileges = String::new();
    if tool.major >= DEFINITIONS_MOVED {
        let definitions = large_object::definitions(&snapshot.leader).await?;
        members.send_text(MemberKind::LargeObjects, definitions).await?;
        privileges = large_object::privileges(&snapshot.leader).await?;
    }
    let mut writer = LargeObjectWriter {
        members: members.clone(),
        block: String::new(),
        block_size: options.block_size,
    };
    let found = large_object::read(&snapshot.leader, &mut writer).await?;
    writer.flush().await?;
    Ok((found, privileges))
}

struct LargeObjectWriter {
    members: Members,
    block: String,
    block_size: usize,
}

impl LargeObjectWriter {
    async fn flush(&mut self) -> Result<()> {
        self.members.send_text(MemberKind::LargeObjects, std::mem::take(&mut self.block)).await
    }
}

impl PieceSink for LargeObjectWriter {
    async fn piece(&mut self, oid: u32, position: i64, bytes: &[u8]) -> Result<()> {
        if !bytes.is_empty() {
            self.block.push_str(&large_object::put_statement(oid, position, bytes));
        }
        if self.block.len() >= self.block_size { self.flush().await } else { Ok(()) }
    }
}
