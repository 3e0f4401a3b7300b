//! The rows on their way: by a backup and its restore, or by the rows that differ.

use std::time::Duration;

use runbook::{Effect, Found, OnResume, StepFacts};
use serde_json::{Value, json};

use super::copy::drop_prepared;
use crate::failure::Refusal;
use crate::human;
use crate::ops::cutover::Migration;
use crate::ops::cutover::step::{LONG, Work, failure_of, memory};
use crate::ops::phases;
use crate::ops::{BackupOrder, BackupReport, RestoreOrder, backup, restore};

/// Backs up the frozen source: the last state of the old primary.
pub(super) struct FinalBackup {
    id: &'static str,
    taken: std::sync::Mutex<Option<Value>>,
}

impl FinalBackup {
    /// The backup that the new primary is restored from.
    pub(super) fn before_the_commit() -> Self {
        Self { id: "backup", taken: std::sync::Mutex::default() }
    }

    /// The backup that is taken once clients are served again.
    pub(super) fn after_the_commit() -> Self {
        Self { id: "final-backup", taken: std::sync::Mutex::default() }
    }

    async fn back_up(&self, migration: &Migration) -> anyhow::Result<BackupReport> {
        let order = BackupOrder {
            source: Some(migration.from.name.clone()),
            of_former_primary: migration.is_committed(),
            ..BackupOrder::default()
        };
        backup(&migration.ops, order).await
    }
}

impl Work for FinalBackup {
    fn facts(&self) -> StepFacts {
        super::reading(self.id, "Back up the frozen source")
    }

    async fn check(&self, _: &Migration) -> anyhow::Result<Found> {
        let taken = memory(&self.taken).clone();
        Ok(taken.map_or(Found::NotDone, Found::Done))
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let evidence = match self.back_up(migration).await {
            Ok(taken) => json!({ "id": taken.id, "state": taken.state, "sha256": taken.sha256 }),
            // The new primary serves already, and the old one may be gone.
            Err(error) if migration.is_committed() => {
                let (from, reason) = (&migration.from.name, failure_of(&error).reason);
                json!({ "skipped": format!("the frozen {from} was not backed up: {reason}") })
            }
            Err(error) => return Err(error),
        };
        *memory(&self.taken) = Some(evidence.clone());
        Ok(evidence)
    }

    fn limit(&self) -> Duration {
        LONG
    }
}

/// Restores the final backup under the name of the prepared database.
pub(super) struct Restore;

impl Work for Restore {
    fn facts(&self) -> StepFacts {
        StepFacts::new("transfer", "Restore it at the target, compared row by row")
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        let evidence = json!({ "database": migration.prepared_name() });
        Ok(migration.prepared_state().await?.found(evidence))
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let taken = migration.recorded("backup");
        let Some(id) = taken["id"].as_str() else {
            return Err(Refusal::no("the journal does not name the final backup").into());
        };
        let mut order = RestoreOrder::to(&migration.to.name);
        id.clone_into(&mut order.entry);
        order.database = Some(migration.prepared_name());
        let restored = restore(&migration.ops, order).await?;
        Ok(json!({ "entry": restored.entry, "database": restored.database() }))
    }

    async fn undo(&self, migration: &Migration) -> anyhow::Result<()> {
        drop_prepared(migration).await
    }

    fn limit(&self) -> Duration {
        LONG
    }
}

/// Brings the copy up to the frozen source, proven in the same transaction.
pub(super) struct Update;

impl Work for Update {
    fn facts(&self) -> StepFacts {
        StepFacts::new("transfer", "Ship the rows that differ, compared row by row")
            .with_effect(Effect::Nothing)
            .on_resume(OnResume::Repeat)
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        Ok(match &*migration.updated.lock().await {
            Some(updated) => Found::Done(json!({
                "rows": updated.census.rows(),
                "digest": updated.census.digest().to_string(),
            })),
            None => Found::NotDone,
        })
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let options = migration.delta_options();
        if migration.base.lock().await.is_none() {
            migration.survey(&options).await?;
        }
        let Some(base) = migration.base.lock().await.take() else {
            return Err(Refusal::could_not_ask("the rows of the copy were not read").into());
        };
        let source = migration.from.frozen().await?;
        let progress = migration.ops.progress(phases::CENSUS);
        let updated = pgsnap::delta(&source, base, &options, &progress).await?;
        let (inserted, deleted) =
            updated.tables.iter().fold((0, 0), |(inserted, deleted), table| {
                (inserted + table.inserted, deleted + table.deleted)
            });
        migration.ops.say(format_args!(
            "{} shipped, {} deleted; found equal",
            human::plural(inserted, "row"),
            human::number(deleted)
        ));
        let evidence = json!({ "inserted": inserted, "deleted": deleted });
        *migration.updated.lock().await = Some(updated);
        Ok(evidence)
    }

    fn limit(&self) -> Duration {
        LONG
    }
}
