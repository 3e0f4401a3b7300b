//! Compressed members on their way to the one thread that writes them.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::gzip::MemberCompressor;
use crate::manifest::{Member, MemberKind};

/// Compressed bytes that may wait: for a slow disk, or for the definitions, which come first in the
/// file and take longer than the rows where there are ten thousand small tables.
const WAITING_KIB: u32 = 16 << 10;

/// A compressed member.
pub(super) struct Packed {
    pub(super) kind: MemberKind,
    pub(super) table: Option<usize>,
    pub(super) rows: Option<u64>,
    pub(super) raw: u64,
    pub(super) hash: Option<Digest>,
    pub(super) bytes: Vec<u8>,
}

impl Packed {
    /// A member of SQL text, or none if there is nothing in it.
    pub(super) async fn text(kind: MemberKind, text: String) -> Result<Option<Self>> {
        const LEVEL: u8 = 6;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let packing = tokio::task::spawn_blocking(move || Self {
            kind,
            table: None,
            rows: None,
            raw: text.len() as u64,
            hash: Some(Digest::of(text.as_bytes())),
            bytes: MemberCompressor::new(LEVEL).compress(text.as_bytes()),
        });
        packing.await.map(Some).map_err(|_| Error::WorkerDied { what: "compressing".into() })
    }
}

/// The way to the writer.
#[derive(Clone)]
pub(super) struct Members {
    sender: mpsc::UnboundedSender<(Packed, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

/// The writer's end.
pub(super) struct Received {
    /// The members that must stand first.
    opening: oneshot::Receiver<Vec<Packed>>,
    rest: mpsc::UnboundedReceiver<(Packed, OwnedSemaphorePermit)>,
}

/// A way to the writer, for the members that must stand first and for all others.
pub(super) fn channel() -> (oneshot::Sender<Vec<Packed>>, Members, Received) {
    let (first, opening) = oneshot::channel();
    let (sender, rest) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(WAITING_KIB as usize));
    (first, Members { sender, room }, Received { opening, rest })
}

impl Members {
    /// Hands a member over; waits while too many bytes wait already.
    pub(super) async fn send(&self, packed: Packed) -> Result<()> {
        let kib = u32::try_from(packed.bytes.len() / 1024 + 1).unwrap_or(WAITING_KIB);
        let permit = Arc::clone(&self.room)
            .acquire_many_owned(kib.min(WAITING_KIB))
            .await
            .expect("the semaphore is never closed");
        self.sender.send((packed, permit)).map_err(|_| writer_gone())
    }

    /// Sends a member of SQL text. An empty text makes no member.
    pub(super) async fn send_text(&self, kind: MemberKind, text: String) -> Result<()> {
        match Packed::text(kind, text).await? {
            Some(packed) => self.send(packed).await,
            None => Ok(()),
        }
    }
}

pub(super) fn writer_gone() -> Error {
    Error::WorkerDied { what: "writing the archive".into() }
}

/// Writes what comes until nobody sends any more, and returns the writer with the index.
pub(super) fn write<W: Write>(mut writer: W, received: Received) -> io::Result<(W, Vec<Member>)> {
    let Received { opening, mut rest } = received;
    let mut index = Index::default();
    // Without an opening the dump has failed; why is known where it failed.
    let Ok(opening) = opening.blocking_recv() else {
        return Ok((writer, index.members));
    };
    for packed in opening {
        index.write(&mut writer, packed)?;
    }
    while let Some((packed, _permit)) = rest.blocking_recv() {
        index.write(&mut writer, packed)?;
    }
    Ok((writer, index.members))
}

#[derive(Default)]
struct Index {
    members: Vec<Member>,
    offset: u64,
}

impl Index {
    fn write(&mut self, writer: &mut impl Write, packed: Packed) -> io::Result<()> {
        writer.write_all(&packed.bytes)?;
        let length = packed.bytes.len() as u64;
        self.members.push(Member {
            kind: packed.kind,
            offset: self.offset,
            length,
            raw: packed.raw,
            hash: packed.hash,
            table: packed.table,
            rows: packed.rows,
        });
        self.offset += length;
        Ok(())
    }
}
