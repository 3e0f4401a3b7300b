//! The commit point, and the mark on the old primary.

use std::sync::Mutex;
use std::time::Duration;

use pgsnap::{HandedOver, Handover, HandoverState, LocatedDatabase, Marker, MarkerRole};
use runbook::{Effect, Found, StepFacts};
use serde_json::{Value, json};

use crate::failure::Refusal;
use crate::ops::cutover::Migration;
use crate::ops::cutover::questions::require_same;
use crate::ops::cutover::step::{Work, failure_of, is_no, memory};

/// The longest time for sessions to leave the databases that are renamed.
const SWAP: Duration = Duration::from_secs(20);

/// One transaction at the target: the prepared database takes the real name and the marker.
pub(super) struct Commit;

impl Work for Commit {
    fn facts(&self) -> StepFacts {
        StepFacts::new("commit", "Make the target the primary").with_effect(Effect::Commit)
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        Ok(match migration.handover().await? {
            HandoverState::Done(done) => {
                migration.set_committed();
                Found::Done(evidence(&done))
            }
            // A server that was set back to an earlier state has neither database.
            HandoverState::NotDone { prepared: false }
                if migration.may_be_committed() && !migration.is_going_back() =>
            {
                Found::Unknown("the target has neither the prepared database nor its mark".into())
            }
            HandoverState::NotDone { .. } => Found::NotDone,
            _ => Found::Unknown("the target gives no clear answer".to_owned()),
        })
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let to = &migration.to;
        let run = migration.id.to_string();
        let order = Handover::new(run, to.name.clone(), migration.epoch, SWAP);
        let done = pgsnap::hand_over(to.database(), &order).await?;
        Ok(evidence(&done))
    }
}

fn evidence(done: &HandedOver) -> Value {
    json!({ "epoch": done.marker.epoch, "kept": done.kept })
}

/// The longest wait for an old primary while clients wait for the new one.
const BRIEF: Duration = Duration::from_secs(10);

/// Marks the old primary as retired, so that nobody takes it for the present one.
///
/// The fence holds without the mark, so an old primary that is gone does not keep the move from
/// its end.
pub(super) struct Retire {
    id: &'static str,
    title: &'static str,
    skipped: Mutex<Option<String>>,
}

impl Retire {
    /// Right after the commit point.
    pub(super) fn at_once() -> Self {
        let title = "Mark the old primary as retired";
        Self { id: "retire", title, skipped: Mutex::default() }
    }

    /// At the end, if the old primary could not be asked before.
    pub(super) fn at_the_end() -> Self {
        let title = "The old primary is marked as retired";
        Self { id: "retired", title, skipped: Mutex::default() }
    }

    fn marker(migration: &Migration) -> Marker {
        let (from, run) = (migration.from.name.clone(), migration.id.to_string());
        Marker::new(migration.epoch, MarkerRole::Retired, from, run)
    }

    async fn mark(migration: &Migration) -> anyhow::Result<()> {
        let from = &migration.from;
        require_same(from).await?;
        let record = from.files.record();
        Ok(pgsnap::retire(from.database(), Some(record), Self::marker(migration)).await?)
    }

    async fn is_marked(migration: &Migration) -> anyhow::Result<bool> {
        let identity = migration.from.identify().await?;
        let run = migration.id.to_string();
        let mut markers = identity.others.iter().filter_map(LocatedDatabase::own_marker);
        Ok(markers.any(|marker| marker.role == MarkerRole::Retired && marker.run == run))
    }
}

impl Work for Retire {
    fn facts(&self) -> StepFacts {
        StepFacts::new(self.id, self.title)
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        if let Some(reason) = memory(&self.skipped).clone() {
            return Ok(Found::Done(json!({ "skipped": reason })));
        }
        // The act says why it could not ask.
        let asked = tokio::time::timeout(BRIEF, Self::is_marked(migration)).await;
        let is_marked = matches!(asked, Ok(Ok(true)));
        Ok(if is_marked { Found::Done(Value::Null) } else { Found::NotDone })
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let marked = tokio::time::timeout(BRIEF, Self::mark(migration)).await;
        let marked = marked.unwrap_or_else(|_| {
            Err(Refusal::could_not_ask(format!("no answer within {} s", BRIEF.as_secs())).into())
        });
        match marked {
            Ok(()) => Ok(Value::Null),
            Err(error) => self.skip(migration, &error),
        }
    }
}

impl Retire {
    /// Goes on without the mark where the old primary could not be asked.
    fn skip(&self, migration: &Migration, error: &anyhow::Error) -> anyhow::Result<Value> {
        let reason = failure_of(error).reason;
        if is_no(error) {
            return Err(Refusal::no(reason).into());
        }
        let from = &migration.from.name;
        let skipped = format!("{from} could not be marked as retired: {reason}");
        *memory(&self.skipped) = Some(skipped.clone());
        Ok(json!({ "skipped": skipped }))
    }
}
