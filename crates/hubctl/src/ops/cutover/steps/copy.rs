//! The copy that is made ahead of the freeze, and the reading of its rows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgsnap::{CopyOptions, DeltaOptions};
use runbook::{Effect, Found, OnResume, StepFacts};
use serde_json::{Value, json};

use crate::failure::Refusal;
use crate::human;
use crate::ops::cutover::Migration;
use crate::ops::cutover::step::{LONG, Work};
use crate::ops::phases;

/// Copies the source under the name of the prepared database.
pub(super) struct Copy;

impl Work for Copy {
    fn facts(&self) -> StepFacts {
        StepFacts::new("copy", "Copy the source ahead of the freeze")
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        let evidence = json!({ "database": migration.prepared_name() });
        Ok(migration.prepared_state().await?.found(evidence))
    }

    /// The former primary is a copy already, if the versions are the same: only the writes since
    /// then are missing.
    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let (ops, to) = (&migration.ops, &migration.to);
        if let Some(template) = former_primary(migration).await? {
            let id = migration.id.to_string();
            pgsnap::clone_database(to.database(), &template, &id).await?;
            ops.say(format_args!("{template} was cloned at {}", to.name));
            return Ok(json!({ "template": template }));
        }
        let target = migration.prepared();
        let progress = ops.progress(phases::COPY);
        ops.unfinished().begin(&target);
        let source = migration.from.database();
        let copied = pgsnap::copy(source, &target, &CopyOptions::default(), &progress).await;
        ops.unfinished().end();
        let copied = copied?;
        ops.say(format_args!(
            "{} copied and found equal",
            human::plural(copied.restored.rows, "row")
        ));
        Ok(json!({ "rows": copied.restored.rows, "schema": copied.census.schema }))
    }

    async fn undo(&self, migration: &Migration) -> anyhow::Result<()> {
        drop_prepared(migration).await
    }

    fn limit(&self) -> Duration {
        LONG
    }
}

/// The database of the target that an earlier move retired, if a delta may begin with it.
async fn former_primary(migration: &Migration) -> anyhow::Result<Option<String>> {
    let (source, target) = (migration.from.identify().await?, migration.to.identify().await?);
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(&source.server_version) != major(&target.server_version) {
        return Ok(None);
    }
    let Ok(Some(fence)) = migration.to.fence().await else {
        return Ok(None);
    };
    let behind = fence.fenced_name();
    Ok(target.others.iter().any(|other| other.name == behind).then(|| behind.to_owned()))
}

/// Drops the prepared database, and what a copy or restore of it left.
pub(super) async fn drop_prepared(migration: &Migration) -> anyhow::Result<()> {
    pgsnap::drop_leftovers(&migration.prepared()).await?;
    let id = migration.id.to_string();
    for name in pgsnap::unfinished_databases(migration.to.database()).await? {
        // An unfinished clone of this run. Those of others are theirs to drop.
        if name.ends_with(&id) {
            pgsnap::drop_database(migration.to.database(), &name).await?;
        }
    }
    pgsnap::drop_prepared(migration.to.database(), &id).await?;
    Ok(())
}

/// Reads all rows of the copy, so that nothing but the source is read in the freeze.
#[derive(Default)]
pub(super) struct Survey {
    /// The rows were read by this process.
    is_read: AtomicBool,
}

impl Work for Survey {
    fn facts(&self) -> StepFacts {
        StepFacts::new("survey", "Read the rows of the copy")
            .with_effect(Effect::Nothing)
            .on_resume(OnResume::Recorded)
    }

    async fn check(&self, _: &Migration) -> anyhow::Result<Found> {
        Ok(match self.is_read.load(Ordering::SeqCst) {
            true => Found::Done(Value::Null),
            false => Found::NotDone,
        })
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let options = migration.delta_options();
        let (source, base) = (migration.from.database(), migration.prepared());
        let plan = pgsnap::plan_delta(source, &base, &options).await?;
        if let Some(obstacle) = plan.obstacles.first() {
            return Err(Refusal::no(obstacle.problem.clone()).hint(obstacle.remedy.clone()).into());
        }
        let rows = migration.survey(&options).await?;
        self.is_read.store(true, Ordering::SeqCst);
        Ok(json!({ "rows": rows }))
    }

    fn limit(&self) -> Duration {
        LONG
    }
}

impl Migration {
    /// The options of the delta. The schema that was copied is in the record of the copy.
    pub(super) fn delta_options(&self) -> DeltaOptions {
        let mut options = DeltaOptions::default();
        let schema = self.recorded("copy")["schema"].take();
        options.copied_schema = serde_json::from_value(schema).ok();
        options
    }

    /// Reads the rows of the prepared database into memory. Returns their number.
    pub(super) async fn survey(&self, options: &DeltaOptions) -> anyhow::Result<u64> {
        let progress = self.ops.progress(phases::CENSUS);
        let base = pgsnap::survey(&self.prepared(), options, &progress).await?;
        let rows = base.rows();
        *self.base.lock().await = Some(base);
        Ok(rows)
    }
}
