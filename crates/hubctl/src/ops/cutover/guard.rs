//! Other runs are kept away from both databases, whatever journal they write to.

use std::sync::Arc;

use pgsnap::{Claim, Database};
use runbook::{Failure, Guard, Pending};
use tokio::sync::Mutex;

use super::Migration;
use super::step::failure_of;

/// The claims on both names. Past the commit point only the new primary is worked on, and the old
/// one may be gone.
pub(super) struct Claims {
    migration: Arc<Migration>,
    from: Mutex<Option<Claim>>,
    to: Mutex<Option<Claim>>,
}

impl Claims {
    pub(super) fn new(migration: &Arc<Migration>) -> Self {
        Self { migration: Arc::clone(migration), from: Mutex::default(), to: Mutex::default() }
    }

    async fn ensure_both(&self) -> anyhow::Result<()> {
        let migration = &self.migration;
        if let Err(error) = ensure(&self.to, migration.to.database()).await {
            // The way back must not wait for a target that is gone and was never the primary.
            let is_gone = !matches!(error, pgsnap::Error::Claimed { .. });
            if !(is_gone && migration.is_going_back() && !migration.may_be_committed()) {
                return Err(error.into());
            }
        }
        if migration.is_committed() {
            return Ok(());
        }
        Ok(ensure(&self.from, migration.from.database()).await?)
    }
}

/// Keeps a claim, or takes it again where its session ended with the server.
async fn ensure(claim: &Mutex<Option<Claim>>, database: &Database) -> pgsnap::Result<()> {
    let mut claim = claim.lock().await;
    if let Some(held) = &*claim
        && held.ensure().await.is_ok()
    {
        return Ok(());
    }
    *claim = Some(Claim::take(database).await?);
    Ok(())
}

impl Guard for Claims {
    fn ensure(&self) -> Pending<'_, Result<(), Failure>> {
        Box::pin(async { self.ensure_both().await.map_err(|error| failure_of(&error)) })
    }
}
