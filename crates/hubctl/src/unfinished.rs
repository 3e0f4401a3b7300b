//! The leftovers of an interrupted command on a server: the database that a restore was building,
//! or a fence. They are dropped or taken down before the program ends, if that is quick.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pgsnap::{Database, UnfenceOptions};

use crate::fences::FenceLock;
use crate::interruption::Interruption;
use crate::printer::Printer;

/// The sessions of a dropped restore are usually gone within this time; what they still do cannot
/// be awaited for ever.
const PATIENCE: Duration = Duration::from_secs(10);
/// A server that says nothing within this time is not waited for.
const ANSWER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Work under way that leaves something when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    work: Mutex<Option<Work>>,
    /// The cutover that the work is a part of.
    cutover: Mutex<Option<String>>,
}

#[derive(Debug, Clone)]
enum Work {
    /// A restore into this database.
    Restore(Database),
    /// A fence around this database. One that the run itself put up has a record here, and is taken
    /// down. Other runs wait.
    Fence(Database, Option<PathBuf>, #[expect(dead_code, reason = "held")] FenceLock),
}

impl Unfinished {
    /// From now on there may be an unfinished database.
    pub(crate) fn begin(&self, target: &Database) {
        self.set(Some(Work::Restore(target.clone())));
    }

    /// From now on there may be a fence: with the record of this run's own, or an earlier one.
    pub(crate) fn begin_fence(&self, database: &Database, own: Option<&Path>, lock: FenceLock) {
        self.set(Some(Work::Fence(database.clone(), own.map(Path::to_owned), lock)));
    }

    /// The work ended, and has cleaned up after itself.
    pub(crate) fn end(&self) {
        self.set(None);
    }

    /// From now on a cutover is under way, which goes on or is undone by a later run.
    pub(crate) fn begin_cutover(&self, run: String) {
        *self.cutover.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
    }

    /// The cutover stopped, and has said where.
    pub(crate) fn end_cutover(&self) {
        *self.cutover.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The cutover that is under way.
    pub(crate) fn cutover(&self) -> Option<String> {
        self.cutover.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns true if a fence may still stand.
    pub(crate) fn may_be_fenced(&self) -> bool {
        matches!(*self.lock(), Some(Work::Fence(..)))
    }

    fn set(&self, work: Option<Work>) {
        *self.lock() = work;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Undoes what was left when the future of the work was dropped, and says so. The server must
    /// answer soon, and then has its time.
    pub(crate) async fn undo(&self, printer: &Printer, interruption: &Interruption) {
        let work = self.lock().clone();
        match work {
            Some(Work::Restore(target)) => drop_left(&target, printer, interruption).await,
            Some(Work::Fence(database, Some(record), _)) => {
                match take_down(&database, record, interruption).await {
                    Ok(()) => {
                        self.end();
                        printer.say(format_args!("no fence is left around {database}"));
                    }
                    Err(reason) => printer.warn(format_args!(
                        "an unfinished fence may stand around {database}, because {reason}"
                    )),
                }
            }
            Some(Work::Fence(_, None, _)) | None => {}
        }
    }
}

/// Returns true if the server answers soon.
async fn answers(database: &Database) -> bool {
    let asked = pgsnap::unfinished_databases(database);
    matches!(tokio::time::timeout(ANSWER, asked).await, Ok(Ok(_)))
}

/// Drops the databases of a restore.
async fn drop_left(target: &Database, printer: &Printer, interruption: &Interruption) {
    if !answers(target).await {
        return printer.warn(
            "an unfinished database may be left, because the server does not answer; the next restore drops it",
        );
    }
    interruption.cleaning();
    let dropping = tokio::time::timeout(PATIENCE, drop_leftovers(target));
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

/// Takes an unfinished fence down, or says why it may still stand.
async fn take_down(
    database: &Database,
    record: PathBuf,
    interruption: &Interruption,
) -> Result<(), String> {
    if !answers(database).await {
        return Err("the server does not answer".to_owned());
    }
    interruption.cleaning();
    let mut options = UnfenceOptions::default();
    options.record = Some(record);
    options.timeout = PATIENCE;
    match tokio::time::timeout(PATIENCE, pgsnap::unfence(database, &options)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the server still works on it".to_owned()),
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
