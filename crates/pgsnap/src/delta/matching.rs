//! Rows of the source on their way: those that the base has stay where they are, the others go to
//! it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::change::NewRows;
use super::index::{RowIndex, row_hash};
use crate::error::{Error, Result};
use crate::scan::RowSink;

/// Claims each row of the source in the index of the base.
pub(super) struct Matcher {
    base: Arc<Vec<RowIndex>>,
    new_rows: mpsc::Sender<NewRows>,
    /// Rows of the present piece that the base lacks.
    pending: Vec<u8>,
}

impl Matcher {
    pub(super) fn new(base: &Arc<Vec<RowIndex>>, new_rows: mpsc::Sender<NewRows>) -> Self {
        Self { base: Arc::clone(base), new_rows, pending: Vec::new() }
    }

    async fn send(&mut self, table: usize) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.pending).into();
        // The receiver's own error is told: it ends the scan.
        let sent = self.new_rows.send(NewRows { table, rows }).await;
        sent.map_err(|_| Error::WorkerDied { what: "sending new rows".into() })
    }
}

impl RowSink for Matcher {
    async fn rows(&mut self, table: usize, rows: Bytes) -> Result<()> {
        /// Bytes of new rows that go together.
        const BLOCK: usize = 1 << 20;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &rows) {
            let row = &rows[start..end];
            if !self.base[table].claim(row_hash(row)) {
                self.pending.extend_from_slice(&rows[start..=end]);
            }
            start = end + 1;
        }
        if self.pending.len() >= BLOCK { self.send(table).await } else { Ok(()) }
    }

    async fn end_of_piece(&mut self, table: usize) -> Result<()> {
        self.send(table).await
    }

    async fn finish(self) -> Result<()> {
        Ok(())
    }
}
