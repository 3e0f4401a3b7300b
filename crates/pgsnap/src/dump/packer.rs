//! Rows of a table on their way into members.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::DumpOptions;
use super::members::{Members, Packed};
use crate::archive::COPY_END;
use crate::error::{Error, Result};
use crate::gzip::{LARGEST_KEPT, MemberCompressor};
use crate::manifest::MemberKind;
use crate::scan::RowSink;

/// Gathers rows of one table into blocks and compresses them beside the reading.
pub(super) struct Packer {
    heads: Arc<Vec<String>>,
    members: Members,
    block_size: usize,
    block: Vec<u8>,
    rows: u64,
    /// Compressor and spare buffer, while no compression is under way.
    idle: Option<Spare>,
    busy: Option<JoinHandle<(Packed, Spare)>>,
}

/// A compressor and an empty buffer.
type Spare = (MemberCompressor, Vec<u8>);

impl Packer {
    pub(super) fn new(heads: Arc<Vec<String>>, members: Members, options: &DumpOptions) -> Self {
        let idle = Some((MemberCompressor::new(options.level), Vec::new()));
        Self {
            heads,
            members,
            // What is larger would not be read again.
            block_size: options.block_size.min(LARGEST_KEPT),
            block: Vec::new(),
            rows: 0,
            idle,
            busy: None,
        }
    }

    /// Waits for the compression under way, if any, and sends its result.
    async fn send_packed(&mut self) -> Result<()> {
        if let Some(busy) = self.busy.take() {
            let (packed, spare) =
                busy.await.map_err(|_| Error::WorkerDied { what: "compressing".into() })?;
            self.idle = Some(spare);
            self.members.send(packed).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, table: usize) -> Result<()> {
        /// Below this a thread of its own costs more than it takes off.
        const SMALL: usize = 64 << 10;
        if self.block.is_empty() {
            return Ok(());
        }
        self.send_packed().await?;
        let (compressor, spare) = self.idle.take().expect("settled just above");
        let block = std::mem::replace(&mut self.block, spare);
        let rows = std::mem::take(&mut self.rows);
        if block.len() < SMALL {
            let (packed, spare) = pack(compressor, block, table, rows);
            self.idle = Some(spare);
            return self.members.send(packed).await;
        }
        self.busy = Some(tokio::task::spawn_blocking(move || pack(compressor, block, table, rows)));
        Ok(())
    }
}

fn pack(
    mut compressor: MemberCompressor,
    mut block: Vec<u8>,
    table: usize,
    rows: u64,
) -> (Packed, Spare) {
    block.extend_from_slice(COPY_END.as_bytes());
    let packed = Packed {
        kind: MemberKind::Data,
        table: Some(table),
        rows: Some(rows),
        raw: block.len() as u64,
        hash: None,
        bytes: compressor.compress(&block),
    };
    block.clear();
    block.shrink_to(LARGEST_KEPT);
    (packed, (compressor, block))
}

impl RowSink for Packer {
    async fn rows(&mut self, table: usize, rows: Bytes) -> Result<()> {
        if self.block.is_empty() {
            self.block.extend_from_slice(self.heads[table].as_bytes());
        }
        self.block.extend_from_slice(&rows);
        self.rows += memchr::memchr_iter(b'\n', &rows).count() as u64;
        drop(rows);
        if self.block.len() >= self.block_size { self.flush(table).await } else { Ok(()) }
    }

    async fn end_of_piece(&mut self, table: usize) -> Result<()> {
        self.flush(table).await
    }

    async fn settle(&mut self) -> Result<()> {
        self.send_packed().await
    }

    async fn finish(mut self) -> Result<()> {
        self.send_packed().await
    }
}
