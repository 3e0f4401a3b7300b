//! Running the steps with several sessions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use super::refreshes::is_refresh;
use super::{Refreshes, Step};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::progress::{Phase, Progress, Work};
use crate::session::Session;
use crate::sql;

/// Runs the steps.
pub(crate) async fn run(
    session: &Session,
    database: &Database,
    steps: Vec<Step>,
    phase: Phase,
    jobs: usize,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    progress.begin(phase, Work { bytes: 0, rows: steps.len() as u64 });
    let done = Work { bytes: 0, rows: 1 };
    let mut beside: Vec<(u64, String)> = Vec::new();
    let mut refreshes = Refreshes::default();
    for step in steps {
        match step {
            Step::Beside { statement, weight, .. } => beside.push((weight, statement)),
            Step::Alone(statement) => {
                run_beside(session, database, std::mem::take(&mut beside), jobs, progress).await?;
                if is_refresh(&statement) {
                    refreshes.run(session, statement).await?;
                } else {
                    session.execute(&describe(&statement), &statement).await?;
                }
                progress.advance(done);
            }
        }
    }
    run_beside(session, database, beside, jobs, progress).await?;
    refreshes.end()
}

/// Memory for one index build, so that the usual sizes sort without touching the disk. The server's
/// own setting stays where it is higher.
pub(crate) const INDEX_SETTINGS: &str = "
    SET synchronous_commit = off;
    SELECT pg_catalog.set_config('maintenance_work_mem', '256MB', false)
     WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) < pg_catalog.pg_size_bytes('256MB')";

async fn run_beside(
    session: &Session,
    database: &Database,
    mut statements: Vec<(u64, String)>,
    jobs: usize,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    statements.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let jobs = jobs.min(statements.len());
    let queue: Queue = Arc::new(Mutex::new(statements.into()));
    if jobs <= 1 {
        return run_queue(session, &queue, progress).await;
    }
    let mut workers: JoinSet<Result<()>> = JoinSet::new();
    for _ in 0..jobs {
        let worker = Session::open(database, "restore").await?;
        worker.execute("the session settings", INDEX_SETTINGS).await?;
        let (queue, progress) = (Arc::clone(&queue), Arc::clone(progress));
        workers.spawn(async move { run_queue(&worker, &queue, &progress).await });
    }
    while let Some(ended) = workers.join_next().await {
        ended
            .map_err(|error| Error::WorkerDied { what: format!("building indexes ({error})") })??;
    }
    Ok(())
}

type Queue = Arc<Mutex<VecDeque<(u64, String)>>>;

async fn run_queue(session: &Session, queue: &Queue, progress: &Arc<dyn Progress>) -> Result<()> {
    loop {
        let next = queue.lock().expect("no worker panics while it holds the queue").pop_front();
        let Some((_, statement)) = next else {
            return Ok(());
        };
        match session.execute(&describe(&statement), &statement).await {
            // Statistics are not data: a foreign partition that cannot be reached must not undo a restore.
            Err(error @ Error::Server { .. }) if statement.starts_with("ANALYZE ") => {
                progress.note(&error.to_string());
            }
            other => other?,
        }
        progress.advance(Work { bytes: 0, rows: 1 });
    }
}

/// Kind and name only: a statement may hold values that must not reach an error.
pub(crate) fn describe(statement: &str) -> String {
    let last = sql::statements(statement).pop().unwrap_or_default();
    format!("`{}`", sql::label(&last))
}
