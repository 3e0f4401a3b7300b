//! A dump: every row of one snapshot, counted, digested and compressed while it streams by.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::archive::{COPY_BEGIN, COPY_END, copy_in_statement, manifest_text, pointer_member};
use crate::catalog;
use crate::census::Census;
use crate::database::Database;
use crate::ddl::Ddl;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::facts::{self, Facts};
use crate::gzip::MemberCompressor;
use crate::large_object::{self, PieceSink};
use crate::manifest::{FORMAT, Manifest, Member, MemberKind, Source};
use crate::progress::{Phase, Progress, Work};
use crate::scan::{self, RowSink, scan};
use crate::script;
use crate::snapshot::Snapshot;
use crate::tools::PgDump;

/// How to dump.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DumpOptions {
    /// Sessions that read rows. Default: the number of processors, at least 2.
    pub jobs: usize,
    /// Bytes of row text per member before compression. Default: 2 MiB.
    pub block_size: usize,
    /// libdeflate's level, 1 to 12. Default: 4, measured in `docs/benchmarks.md`.
    pub level: u8,
    /// How long to wait for a lock on the tables. Default: 30 s.
    pub lock_timeout: Duration,
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
            bin_directories: Vec::new(),
        }
    }
}

/// The number of processors, at least 2: one worker always waits for the server.
pub(crate) fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().max(2))
}

/// Dumps a database into `writer` as a `pgsnap/1` archive, and gives the writer back with the manifest.
///
/// The writer receives gzip members; it is not flushed, synced or closed. Memory is bounded by
/// `jobs` times a few times `block_size` (or the largest row, if that is larger). Dropping the future
/// ends all sessions and drops the writer.
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
    let (members, received) = mpsc::channel(options.jobs.max(1));
    let writing = tokio::task::spawn_blocking(move || write_members(writer, received));
    let dumped = dump_members(source, &members, options, progress).await;
    drop(members);
    let written = writing.await.map_err(|_| Error::WorkerDied {
        what: "writing the archive".into(),
    })?;
    // When the disk is full every sender fails too: the disk is the news.
    let (writer, index) = written.map_err(|source| Error::Write { source })?;
    let manifest = Manifest {
        members: index,
        ..dumped?
    };
    tokio::task::spawn_blocking(move || write_manifest(writer, manifest))
        .await
        .map_err(|_| Error::WorkerDied {
            what: "writing the manifest".into(),
        })?
        .map_err(|source| Error::Write { source })
}

/// A compressed member on its way to the writer.
struct Packed {
    kind: MemberKind,
    table: Option<usize>,
    rows: Option<u64>,
    raw: u64,
    hash: Option<Digest>,
    bytes: Vec<u8>,
}

fn write_members<W: Write>(
    mut writer: W,
    mut received: mpsc::Receiver<Packed>,
) -> io::Result<(W, Vec<Member>)> {
    let mut index = Vec::new();
    let mut offset = 0;
    while let Some(packed) = received.blocking_recv() {
        writer.write_all(&packed.bytes)?;
        let length = packed.bytes.len() as u64;
        let Packed {
            kind,
            table,
            rows,
            raw,
            hash,
            ..
        } = packed;
        index.push(Member {
            kind,
            offset,
            length,
            raw,
            hash,
            table,
            rows,
        });
        offset += length;
    }
    Ok((writer, index))
}

fn write_manifest<W: Write>(mut writer: W, manifest: Manifest) -> io::Result<(W, Manifest)> {
    let offset = manifest
        .members
        .last()
        .map_or(0, |member| member.offset + member.length);
    let member = MemberCompressor::new(6).compress(manifest_text(&manifest).as_bytes());
    writer.write_all(&member)?;
    writer.write_all(&pointer_member(
        offset,
        member.len() as u64,
        Digest::of(&member),
    ))?;
    Ok((writer, manifest))
}

/// Sends every member but the manifest; returns a manifest whose index is still empty.
async fn dump_members(
    source: &Database,
    members: &mpsc::Sender<Packed>,
    options: &DumpOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Manifest> {
    progress.begin(Phase::Snapshot, Work::default());
    let snapshot = Snapshot::take(source, "dump", options.lock_timeout).await?;
    let facts = snapshot.facts.clone();
    let tool = PgDump::find(facts.server_major(), &options.bin_directories).await?;

    progress.begin(Phase::Schema, Work::default());
    let ddl = Ddl::read(source, &tool, &snapshot, options.lock_timeout).await?;
    send_text(members, MemberKind::Prologue, script::prologue(&facts)).await?;
    send_text(members, MemberKind::PreData, ddl.pre_data.clone()).await?;

    progress.begin(Phase::Dump, scan::expected(&snapshot.tables));
    let heads: Arc<Vec<String>> = Arc::new(
        snapshot
            .tables
            .iter()
            .map(|table| {
                copy_in_statement(
                    &table.name,
                    table.columns.iter().map(|column| column.name.as_str()),
                ) + COPY_BEGIN
            })
            .collect(),
    );
    let packer = || Packer::new(Arc::clone(&heads), members.clone(), options);
    let tables = scan(&snapshot, options.jobs, "dump", progress, packer).await?;

    let (large_objects, privileges) =
        dump_large_objects(&snapshot, &tool, members, options).await?;
    let sequences = catalog::sequences(&snapshot.leader).await?;
    send_text(
        members,
        MemberKind::Sequences,
        sequences.iter().map(catalog::setval).collect(),
    )
    .await?;
    send_text(members, MemberKind::Check, script::check_block(&tables)).await?;
    send_text(members, MemberKind::PostData, ddl.post_data.clone()).await?;
    send_text(members, MemberKind::LargeObjects, privileges).await?;
    send_text(members, MemberKind::Epilogue, script::epilogue().to_owned()).await?;

    let census = Census {
        tables,
        sequences,
        large_objects,
        extensions: catalog::extensions(&snapshot.leader).await?,
        locale: facts.locale.clone(),
        schema: Some(ddl.fingerprint(&tool, facts.server_major())),
        content: true,
    };
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        writer: concat!("pgsnap ", env!("CARGO_PKG_VERSION")).to_owned(),
        taken_at: facts.now.clone(),
        source: provenance(&snapshot, facts, &tool).await?,
        census,
        members: Vec::new(),
    };
    snapshot.finish().await?;
    Ok(manifest)
}

async fn provenance(snapshot: &Snapshot, facts: Facts, tool: &PgDump) -> Result<Source> {
    Ok(Source {
        server_version: facts.server_version,
        server_version_num: facts.server_version_num,
        system_identifier: facts.system_identifier,
        pg_dump: tool.version.clone(),
        database: facts.database,
        database_oid: facts.database_oid,
        owner: facts.owner,
        encoding: facts.encoding,
        locale: facts.locale,
        comment: facts.comment,
        settings: facts.settings,
        role_settings: facts.role_settings,
        connection_limit: facts.connection_limit,
        privileges: facts.privileges,
        roles: facts::roles(&snapshot.leader).await?,
        tablespaces: facts::tablespaces(&snapshot.leader).await?,
        lsn: facts.lsn,
        in_recovery: facts.in_recovery,
    })
}

/// Sends the large objects; returns what they are and, where `pg_dump` leaves them out, the
/// statements for their privileges, which must come last.
async fn dump_large_objects(
    snapshot: &Snapshot,
    tool: &PgDump,
    members: &mpsc::Sender<Packed>,
    options: &DumpOptions,
) -> Result<(crate::census::LargeObjects, String)> {
    /// The first `pg_dump` that keeps the definitions of large objects in the data section.
    const DEFINITIONS_MOVED: u32 = 17;
    let mut privileges = String::new();
    if tool.major >= DEFINITIONS_MOVED {
        send_text(
            members,
            MemberKind::LargeObjects,
            large_object::definitions(&snapshot.leader).await?,
        )
        .await?;
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
    members: mpsc::Sender<Packed>,
    block: String,
    block_size: usize,
}

impl LargeObjectWriter {
    async fn flush(&mut self) -> Result<()> {
        send_text(
            &self.members,
            MemberKind::LargeObjects,
            std::mem::take(&mut self.block),
        )
        .await
    }
}

impl PieceSink for LargeObjectWriter {
    async fn piece(&mut self, oid: u32, position: i64, bytes: &[u8]) -> Result<()> {
        if !bytes.is_empty() {
            self.block
                .push_str(&large_object::put_statement(oid, position, bytes));
        }
        if self.block.len() >= self.block_size {
            self.flush().await
        } else {
            Ok(())
        }
    }
}

/// Sends a member of SQL text. An empty text makes no member.
async fn send_text(members: &mpsc::Sender<Packed>, kind: MemberKind, text: String) -> Result<()> {
    const LEVEL: u8 = 6;
    if text.trim().is_empty() {
        return Ok(());
    }
    let members = members.clone();
    let packing = tokio::task::spawn_blocking(move || {
        let bytes = MemberCompressor::new(LEVEL).compress(text.as_bytes());
        let hash = Some(Digest::of(text.as_bytes()));
        let packed = Packed {
            kind,
            table: None,
            rows: None,
            raw: text.len() as u64,
            hash,
            bytes,
        };
        members.blocking_send(packed).map_err(|_| writer_gone())
    });
    packing.await.map_err(|_| Error::WorkerDied {
        what: "compressing".into(),
    })?
}

fn writer_gone() -> Error {
    Error::WorkerDied {
        what: "writing the archive".into(),
    }
}

/// Gathers rows of one table into blocks and compresses them beside the reading.
struct Packer {
    heads: Arc<Vec<String>>,
    members: mpsc::Sender<Packed>,
    block_size: usize,
    block: Vec<u8>,
    rows: u64,
    /// Compressor and spare buffer, while no compression is under way.
    idle: Option<Spare>,
    busy: Option<JoinHandle<Result<Spare>>>,
}

/// A compressor and an empty buffer.
type Spare = (MemberCompressor, Vec<u8>);

impl Packer {
    fn new(heads: Arc<Vec<String>>, members: mpsc::Sender<Packed>, options: &DumpOptions) -> Self {
        let idle = Some((MemberCompressor::new(options.level), Vec::new()));
        Self {
            heads,
            members,
            block_size: options.block_size,
            block: Vec::new(),
            rows: 0,
            idle,
            busy: None,
        }
    }

    /// Waits for the compression under way, if any.
    async fn settle(&mut self) -> Result<()> {
        if let Some(busy) = self.busy.take() {
            let settled = busy.await.map_err(|_| Error::WorkerDied {
                what: "compressing".into(),
            })?;
            self.idle = Some(settled?);
        }
        Ok(())
    }

    async fn flush(&mut self, table: usize) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.settle().await?;
        let (mut compressor, spare) = self.idle.take().expect("settled just above");
        let mut block = std::mem::replace(&mut self.block, spare);
        let rows = std::mem::take(&mut self.rows);
        let members = self.members.clone();
        self.busy = Some(tokio::task::spawn_blocking(move || {
            block.extend_from_slice(COPY_END.as_bytes());
            let bytes = compressor.compress(&block);
            let raw = block.len() as u64;
            let packed = Packed {
                kind: MemberKind::Data,
                table: Some(table),
                rows: Some(rows),
                raw,
                hash: None,
                bytes,
            };
            members.blocking_send(packed).map_err(|_| writer_gone())?;
            block.clear();
            Ok((compressor, block))
        }));
        Ok(())
    }
}

impl RowSink for Packer {
    async fn rows(&mut self, table: usize, rows: Bytes) -> Result<()> {
        if self.block.is_empty() {
            self.block.extend_from_slice(self.heads[table].as_bytes());
        }
        self.block.extend_from_slice(&rows);
        self.rows += memchr::memchr_iter(b'\n', &rows).count() as u64;
        if self.block.len() >= self.block_size {
            self.flush(table).await
        } else {
            Ok(())
        }
    }

    async fn end_of_piece(&mut self, table: usize) -> Result<()> {
        self.flush(table).await
    }

    async fn finish(mut self) -> Result<()> {
        self.settle().await
    }
}
