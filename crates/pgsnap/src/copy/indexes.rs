//! Indexes that are built while rows of other tables are still on their way.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::restore::{INDEX_SETTINGS, Schedule, Task, run_build};
use crate::session::Session;

/// Sessions that build each index once the rows of its table are there. Dropping it ends them.
pub(crate) struct IndexBuilds(JoinSet<Result<()>>);

impl IndexBuilds {
    /// `jobs` builders, each with a session from its first index on.
    pub(crate) fn begin(
        target: &Database,
        schedule: &Arc<Schedule>,
        jobs: usize,
        progress: &Arc<dyn Progress>,
    ) -> Self {
        let mut builders = JoinSet::new();
        for _ in 0..jobs.max(1) {
            builders.spawn(run(target.clone(), Arc::clone(schedule), Arc::clone(progress)));
        }
        Self(builders)
    }

    /// Returns with the first failure, and never without one.
    pub(crate) async fn failure(&mut self) -> Error {
        while let Some(ended) = self.0.join_next().await {
            if let Err(error) = outcome(ended) {
                return error;
            }
        }
        std::future::pending().await
    }

    /// Waits for the last index.
    pub(crate) async fn finish(mut self) -> Result<()> {
        while let Some(ended) = self.0.join_next().await {
            outcome(ended)?;
        }
        Ok(())
    }
}

fn outcome(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.map_err(|error| Error::WorkerDied { what: format!("building indexes ({error})") })?
}

async fn run(target: Database, schedule: Arc<Schedule>, progress: Arc<dyn Progress>) -> Result<()> {
    let mut session = None;
    while let Some(task) = schedule.next().await {
        let Task::Build(build) = task else {
            unreachable!("this schedule has no rows to load");
        };
        let session = match &mut session {
            Some(session) => session,
            none => none.insert(open(&target).await?),
        };
        run_build(session, &build, &schedule, &progress).await?;
    }
    Ok(())
}

async fn open(target: &Database) -> Result<Session> {
    let session = Session::open(target, "copy").await?;
    session.execute("the session settings", INDEX_SETTINGS).await?;
    Ok(session)
}
