//! The fence around the source.

use std::time::Duration;

use runbook::{Found, StepFacts};
use serde_json::{Value, json};

use crate::failure::Refusal;
use crate::ops::cutover::Migration;
use crate::ops::cutover::step::Work;
use crate::ops::freeze::take_fence_down;
use crate::ops::{FreezeOrder, ThawOrder, freeze};

/// Freezes the source, and thaws it on the way back.
pub(super) struct Fence;

impl Work for Fence {
    fn facts(&self) -> StepFacts {
        StepFacts::new("fence", "Freeze the source")
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        let from = &migration.from;
        let (fence, identity) = (from.fence().await?, from.identify().await?);
        Ok(match (fence, &identity.database) {
            (None, Some(_)) => Found::NotDone,
            (None, None) => Found::Unknown(format!(
                "there is no database {} at {}, and no fence",
                from.database().name(),
                from.name
            )),
            // What was read behind an earlier fence says nothing about this one.
            (Some(record), None)
                if migration.recorded_fence().is_some_and(|recorded| recorded != record.id) =>
            {
                Found::Partly(format!("another fence stands around it: {}", record.id))
            }
            // A run that was killed before it read what later proofs begin with.
            (Some(record), None)
                if migration.from.files.reading(&record.id)?.is_none()
                    && migration.recorded_fence().is_none() =>
            {
                Found::Partly(format!("nothing was read behind fence {}", record.id))
            }
            // The rename is the last change of a fence.
            (Some(record), None) => Found::Done(json!({
                "fence": record.id,
                "behind": record.fenced_name(),
            })),
            (Some(record), Some(_)) => {
                Found::Partly(format!("fence {} was begun and is not whole", record.id))
            }
        })
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let frozen = freeze(&migration.ops, FreezeOrder::new(&migration.from.name)).await?;
        Ok(json!({ "fence": frozen.fence.id, "ended": frozen.ended.len() }))
    }

    async fn undo(&self, migration: &Migration) -> anyhow::Result<()> {
        // The source may come back only where the target says that it is not the primary.
        if migration.may_be_committed()
            && let pgsnap::HandoverState::Done(_) = migration.handover().await?
        {
            return Err(Refusal::no(format!(
                "{} is the primary, so {} stays frozen",
                migration.to.name, migration.from.name
            ))
            .into());
        }
        take_fence_down(&migration.ops, ThawOrder::new(&migration.from.name)).await.map(drop)
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(180)
    }
}
