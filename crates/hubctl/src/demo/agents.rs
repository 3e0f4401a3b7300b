//! Agents that write to the site that a file names, and do not stop while the service moves.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pgsnap::Database;
use tokio::task::JoinHandle;

use super::writer::TICK;

/// The pause between two transactions.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// No file that leads clients is larger.
const LARGEST: u64 = 64 * 1024;

/// Commits one transaction after the other, each at the site that the file names at that moment.
pub(crate) struct Agents {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// The experience of the agents.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Transactions whose commit was answered.
    pub(crate) committed: u64,
    /// Transactions that failed; the commit of some of them may have succeeded.
    pub(crate) failed: u64,
    /// Time between the last commit at one site and the first at the next, for each change.
    pub(crate) gaps: Vec<Duration>,
    last: Option<(String, Instant)>,
}

/// Sites by name, and the file whose line `SITE=NAME` leads to one of them.
pub(crate) struct Directions {
    pub(crate) sites: Vec<(&'static str, Database)>,
    pub(crate) file: PathBuf,
}

impl Agents {
    pub(crate) fn start(directions: Directions) -> Self {
        let (seen, stop) =
            (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                if let Some((site, database)) = directions.site() {
                    let commit = tokio::time::timeout(PATIENCE, pgsnap::execute(database, TICK));
                    let is_committed = matches!(commit.await, Ok(Ok(())));
                    lock(&shared).note(site, is_committed);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { seen, stop, task }
    }

    /// Waits until a transaction is committed after now, for some seconds at most.
    pub(crate) async fn wait_for_commit(&self) -> Seen {
        let (before, deadline) = (lock(&self.seen).committed, Instant::now() + PATIENCE);
        while lock(&self.seen).committed == before && Instant::now() < deadline {
            tokio::time::sleep(PAUSE).await;
        }
        lock(&self.seen).clone()
    }

    /// Ends after the transaction under way.
    pub(crate) async fn stop(mut self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        let _ = (&mut self.task).await;
        lock(&self.seen).clone()
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn note(&mut self, site: &str, is_committed: bool) {
        if !is_committed {
            self.failed += 1;
            return;
        }
        let now = Instant::now();
        if let Some((last, at)) = &self.last
            && last != site
        {
            self.gaps.push(now - *at);
        }
        self.committed += 1;
        self.last = Some((site.to_owned(), now));
    }
}

impl Directions {
    fn site(&self) -> Option<(&'static str, &Database)> {
        let text = regularfile::read_to_string(&self.file, LARGEST).ok()?;
        let named = text.lines().find_map(|line| line.strip_prefix("SITE="))?;
        let (name, database) = self.sites.iter().find(|(name, _)| *name == named.trim())?;
        Some((name, database))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_between_two_sites() {
        let mut seen = Seen::default();
        for (site, is_committed) in
            [("a", true), ("a", false), ("a", true), ("b", false), ("b", true), ("b", true)]
        {
            seen.note(site, is_committed);
        }
        assert_eq!((seen.committed, seen.failed, seen.gaps.len()), (4, 2, 1));
        seen.note("a", true);
        assert_eq!(seen.gaps.len(), 2);
    }

    #[test]
    fn the_file_names_the_site() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("clients.env");
        let database = Database::from_url("postgresql://hub@127.0.0.1/a").unwrap();
        let sites = vec![("a", database.clone()), ("b", database)];
        let directions = Directions { sites, file: file.clone() };
        assert!(directions.site().is_none());
        fs_err::write(&file, "# clients\nSITE=b\n").unwrap();
        assert_eq!(directions.site().unwrap().0, "b");
        fs_err::write(&file, "SITE=c\n").unwrap();
        assert!(directions.site().is_none());
    }
}
