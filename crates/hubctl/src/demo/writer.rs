//! Agents that keep writing while the demo takes a backup.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pgsnap::Database;
use tokio::task::JoinHandle;

/// One transaction over five tables.
pub(super) const TICK: &str = include_str!("writer.sql");

/// Commits one transaction over five tables after the other.
pub(crate) struct Writer {
    ticks: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Writer {
    pub(crate) fn start(database: Database) -> Self {
        let (ticks, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&ticks), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                if pgsnap::execute(&database, TICK).await.is_ok() {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { ticks, stop, task }
    }

    /// Ends after the transaction under way; returns how many were committed.
    pub(crate) async fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        let _ = (&mut self.task).await;
        self.ticks.load(Ordering::SeqCst)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
