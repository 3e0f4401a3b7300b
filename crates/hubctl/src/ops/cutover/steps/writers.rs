//! The programs that write: stopped before the fence, started after the commit point, and their
//! outboxes delivered at the end.

use std::sync::Mutex;
use std::time::Duration;

use runbook::{Effect, Found, OnResume, StepFacts};
use serde_json::{Value, json};

use crate::hook::{Answer, Hooked};
use crate::ops::cutover::Migration;
use crate::ops::cutover::step::{Work, memory};
use crate::settings::WriterTable;
use crate::writer;

/// Time beside that of the commands themselves.
const SPARE: Duration = Duration::from_secs(30);

/// Which site a writer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops::cutover) enum End {
    From,
    To,
}

/// A name as a part of the name of a step, so that a run is not resumed with other writers.
pub(super) fn word(name: &str) -> String {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    match !name.is_empty() && name.bytes().all(is_plain) {
        true => name.to_owned(),
        false => blake3::hash(name.as_bytes()).to_hex()[..8].to_owned(),
    }
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }

    fn name(self, migration: &Migration) -> &str {
        match self {
            Self::From => &migration.from.name,
            Self::To => &migration.to.name,
        }
    }
}

fn all(migration: &Migration) -> impl Iterator<Item = (End, WriterTable)> {
    let of = |end, writers: &[WriterTable]| {
        let writers = writers.to_vec();
        writers.into_iter().map(move |writer| (end, writer))
    };
    let from = of(End::From, &migration.from.settings.writers);
    from.chain(of(End::To, &migration.to.settings.writers))
}

/// The writers of both sites that can be stopped. Those of the target must not write before the
/// commit point either.
pub(in crate::ops::cutover) fn services(
    migration: &Migration,
) -> impl Iterator<Item = (End, WriterTable)> {
    all(migration).filter(|(_, writer)| writer.stop.is_some())
}

/// The writers of the target that can be started.
pub(super) fn services_at_target(migration: &Migration) -> impl Iterator<Item = WriterTable> {
    services(migration).filter(|(end, _)| *end == End::To).map(|(_, writer)| writer)
}

/// The writers of both sites with an outbox.
pub(in crate::ops::cutover) fn outboxes(
    migration: &Migration,
) -> impl Iterator<Item = (End, WriterTable)> {
    all(migration).filter(|(_, writer)| writer.pending.is_some())
}

/// Returns whether a writer is stopped.
pub(in crate::ops::cutover) async fn is_stopped(
    migration: &Migration,
    end: End,
    writer: &WriterTable,
) -> Answer {
    let run = migration.id.to_string();
    writer::is_stopped(writer, &Hooked { site: end.name(migration), run: &run }).await
}

/// The number of writes that wait in an outbox.
pub(in crate::ops::cutover) async fn pending(
    migration: &Migration,
    end: End,
    writer: &WriterTable,
) -> anyhow::Result<u64> {
    let run = migration.id.to_string();
    writer::pending(writer, &Hooked { site: end.name(migration), run: &run }).await
}

/// Stops a writer until the end of the move, or of its undoing.
pub(super) struct Hold {
    pub(super) end: End,
    pub(super) writer: WriterTable,
}

impl Work for Hold {
    fn facts(&self) -> StepFacts {
        let place = match self.end {
            End::From => "at the source",
            End::To => "at the target",
        };
        let title = format!("Stop {} {place}", self.writer.name);
        StepFacts::new(format!("hold.{}.{}", self.end.word(), word(&self.writer.name)), title)
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        Ok(match is_stopped(migration, self.end, &self.writer).await {
            Answer::Yes => Found::Done(Value::Null),
            Answer::No => Found::NotDone,
            Answer::Unknown(reason) => Found::Unknown(reason),
        })
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let run = migration.id.to_string();
        let of = Hooked { site: self.end.name(migration), run: &run };
        writer::stop(&self.writer, &of).await?;
        Ok(Value::Null)
    }

    async fn undo(&self, migration: &Migration) -> anyhow::Result<()> {
        let run = migration.id.to_string();
        let of = Hooked { site: self.end.name(migration), run: &run };
        writer::start(&self.writer, &of).await
    }

    fn check_limit(&self) -> Duration {
        self.writer.within + SPARE
    }

    fn limit(&self) -> Duration {
        self.writer.within + SPARE
    }
}

/// Starts a writer of the new primary.
pub(super) struct Start {
    pub(super) writer: WriterTable,
}

impl Work for Start {
    fn facts(&self) -> StepFacts {
        let title = format!("Start {} at the target", self.writer.name);
        StepFacts::new(format!("start.{}", word(&self.writer.name)), title)
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        Ok(match is_stopped(migration, End::To, &self.writer).await {
            Answer::Yes => Found::NotDone,
            Answer::No => Found::Done(Value::Null),
            Answer::Unknown(reason) => Found::Unknown(reason),
        })
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let run = migration.id.to_string();
        writer::start(&self.writer, &Hooked { site: &migration.to.name, run: &run }).await?;
        Ok(Value::Null)
    }

    fn check_limit(&self) -> Duration {
        self.writer.within + SPARE
    }

    fn limit(&self) -> Duration {
        self.writer.within + SPARE
    }
}

/// Delivers what waited in an outbox to the new primary.
pub(super) struct Replay {
    end: End,
    writer: WriterTable,
    replayed: Mutex<Option<Value>>,
}

impl Replay {
    pub(super) fn new(end: End, writer: WriterTable) -> Self {
        Self { end, writer, replayed: Mutex::default() }
    }
}

impl Work for Replay {
    fn facts(&self) -> StepFacts {
        let title = format!("Deliver the outbox of {}", self.writer.name);
        StepFacts::new(format!("replay.{}.{}", self.end.word(), word(&self.writer.name)), title)
            .with_effect(Effect::Nothing)
            .on_resume(OnResume::Recorded)
    }

    async fn check(&self, _: &Migration) -> anyhow::Result<Found> {
        Ok(memory(&self.replayed).clone().map_or(Found::NotDone, Found::Done))
    }

    /// Its exit code is the proof. Clients go on writing, so the outbox need not be empty after it.
    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let run = migration.id.to_string();
        let of = Hooked { site: self.end.name(migration), run: &run };
        let before = writer::pending(&self.writer, &of).await?;
        writer::replay(&self.writer, &of).await?;
        let after = writer::pending(&self.writer, &of).await?;
        let evidence = json!({ "writer": self.writer.name, "before": before, "after": after });
        *memory(&self.replayed) = Some(evidence.clone());
        Ok(evidence)
    }

    fn limit(&self) -> Duration {
        self.writer.within * 3 + SPARE
    }
}
