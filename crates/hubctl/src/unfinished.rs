//! The database that an interrupted restore was building: dropped before the program ends, where
//! that is quick.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pgsnap::Database;

use crate::interruption::Interruption;
use crate::printer::Printer;

/// The sessions of a dropped restore are usually gone within this time; what they still do cannot
/// be awaited for ever.
const PATIENCE: Duration = Duration::from_secs(10);
/// A server that says nothing within this time is not waited for.
const ANSWER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// The target of a restore under way.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Mutex<Option<Database>>);

impl Unfinished {
    /// From now on there may be an unfinished database.
    pub(crate) fn begin(&self, target: &Database) {
        self.set(Some(target.clone()));
    }

    /// The restore ended, and has cleaned up after itself.
    pub(crate) fn end(&self) {
        self.set(None);
    }

    fn set(&self, target: Option<Database>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Drops what the restore left when its future was dropped, and says so. The server must answer
    /// soon, and then has its time.
    pub(crate) async fn drop_left(&self, printer: &Printer, interruption: &Interruption) {
        let target = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(target) = target else { return };
        if !matches!(
            tokio::time::timeout(ANSWER, pgsnap::unfinished_databases(&target)).await,
            Ok(Ok(_))
        ) {
            return printer.warn(
                "an unfinished database may be left, because the server does not answer; the next restore drops it",
            );
        }
        interruption.cleaning();
        let dropping = tokio::time::timeout(PATIENCE, drop_leftovers(&target));
        match dropping.await {
            Ok(Ok(dropped)) => {
                for name in dropped {
                    printer.say(format_args!("dropped the unfinished database {name}"));
                }
            }
            Ok(Err(error)) => printer.warn(format_args!(
                "an unfinished database may be left, and the next restore drops it: {error}"
            )),
            Err(_) => printer.warn(
                "an unfinished database is left, because the server still works on it; the next restore drops it",
            ),
        }
    }
}

/// Tries until the sessions of the dropped restore are gone, and nothing of it is left.
async fn drop_leftovers(target: &Database) -> pgsnap::Result<Vec<String>> {
    let mut dropped = Vec::new();
    let begun = Instant::now();
    loop {
        match pgsnap::drop_leftovers(target).await {
            Ok(names) => dropped.extend(names),
            Err(error) if is_running(&error) && begun.elapsed() < PATIENCE => {}
            Err(error) => return Err(error),
        }
        if pgsnap::unfinished_databases(target).await?.is_empty() {
            return Ok(dropped);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The lock of the dropped restore goes with its session.
fn is_running(error: &pgsnap::Error) -> bool {
    matches!(error, pgsnap::Error::RestoreRunning { .. })
}
