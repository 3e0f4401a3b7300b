//! The clients: led to the new primary, and seen to arrive there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use runbook::{Effect, Found, Pending, StepFacts};
use serde_json::{Value, json};

use crate::failure::Refusal;
use crate::hook::{Answer, Hooked};
use crate::ops::cutover::Migration;
use crate::ops::cutover::step::{Work, memory};
use crate::probe::{self, Nonce};
use crate::redirect;
use crate::settings::{ProbeTable, RedirectTable, WriteProbeTable};

/// The longest wait for a service to come up.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(200);
/// Time beside the patience, for the last answer.
const SPARE: Duration = Duration::from_secs(30);

/// Asks until the answer is yes, or patience ends with the last error.
async fn until<'a>(ask: impl Fn() -> Pending<'a, anyhow::Result<()>> + Send) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        match ask().await {
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
            yes => return yes,
        }
    }
}

/// The service at the target is healthy.
#[derive(Default)]
pub(super) struct Health {
    healthy: Mutex<bool>,
}

impl Work for Health {
    fn facts(&self) -> StepFacts {
        super::reading("health", "The service at the target is healthy")
    }

    async fn check(&self, _: &Migration) -> anyhow::Result<Found> {
        Ok(if *memory(&self.healthy) { Found::Done(Value::Null) } else { Found::NotDone })
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let api = migration.to.settings.api.clone().unwrap_or_default();
        until(|| Box::pin(probe::healthy(&api))).await?;
        *memory(&self.healthy) = true;
        Ok(Value::Null)
    }

    fn limit(&self) -> Duration {
        PATIENCE + SPARE
    }
}

/// Leads clients to the target.
pub(super) struct Redirect {
    pub(super) redirect: RedirectTable,
}

impl Work for Redirect {
    fn facts(&self) -> StepFacts {
        let what = match (&self.redirect.file, &self.redirect.command) {
            (Some(file), _) => format!("{}", file.display()),
            (None, command) => format!("{command:?}"),
        };
        let id = format!("redirect.{}", &blake3::hash(what.as_bytes()).to_hex()[..6]);
        StepFacts::new(id, "Lead clients to the target")
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        let run = migration.id.to_string();
        let of = Hooked { site: &migration.to.name, run: &run };
        Ok(match redirect::is_led(&self.redirect, &of).await {
            Answer::Yes => Found::Done(Value::Null),
            Answer::No => Found::NotDone,
            Answer::Unknown(reason) => Found::Unknown(reason),
        })
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let run = migration.id.to_string();
        redirect::lead(&self.redirect, &Hooked { site: &migration.to.name, run: &run }).await?;
        Ok(Value::Null)
    }

    fn check_limit(&self) -> Duration {
        self.redirect.within + SPARE
    }

    fn limit(&self) -> Duration {
        self.redirect.within + SPARE
    }
}

/// The new primary answers at the address that clients use.
pub(super) struct Probe {
    probe: ProbeTable,
    answered: Mutex<Option<String>>,
}

impl Probe {
    pub(super) fn new(probe: ProbeTable) -> Self {
        Self { probe, answered: Mutex::default() }
    }

    /// Refuses an answer of another server than the expected one.
    async fn ask(&self, site: &str, expected: &str) -> anyhow::Result<()> {
        let found = probe::answering(&self.probe).await?;
        if found == expected {
            return Ok(());
        }
        let fact = format!("server {found} answers clients, and {site} is {expected}");
        Err(Refusal::no(fact).into())
    }
}

impl Work for Probe {
    fn facts(&self) -> StepFacts {
        super::reading("probe", "The new primary answers clients")
    }

    async fn check(&self, _: &Migration) -> anyhow::Result<Found> {
        let answered = memory(&self.answered).clone();
        Ok(answered.map_or(Found::NotDone, |identity| Found::Done(json!(identity))))
    }

    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let to = &migration.to;
        let Some(expected) = to.begun_as.system_identifier.clone() else {
            return Err(Refusal::no(format!("the system identifier of {} is not known", to.name))
                .hint("the role of the site needs EXECUTE on pg_control_system()")
                .into());
        };
        until(|| Box::pin(self.ask(&to.name, &expected))).await?;
        *memory(&self.answered) = Some(expected.clone());
        Ok(json!({ "system_identifier": expected }))
    }

    fn limit(&self) -> Duration {
        PATIENCE + SPARE
    }
}

/// A write at the address that clients use arrives in the new primary.
pub(super) struct WriteProbe {
    probe: WriteProbeTable,
    /// The write was accepted.
    accepted: AtomicBool,
}

impl WriteProbe {
    pub(super) fn new(probe: WriteProbeTable) -> Self {
        Self { probe, accepted: AtomicBool::new(false) }
    }

    async fn write(&self, migration: &Migration, nonce: &Nonce) -> anyhow::Result<()> {
        // One write is enough: some services keep every one.
        if !self.accepted.load(Ordering::SeqCst) {
            probe::write(&self.probe, nonce).await?;
            self.accepted.store(true, Ordering::SeqCst);
        }
        if self.is_there(migration, nonce).await? {
            return Ok(());
        }
        Err(Refusal::no("a write was accepted, and is not in the new primary").into())
    }

    /// Looks for the row of this run in the new primary.
    async fn is_there(&self, migration: &Migration, nonce: &Nonce) -> anyhow::Result<bool> {
        let query = probe::sql(&self.probe, nonce);
        let answer = pgsnap::query_scalar(migration.to.database(), &query).await?;
        Ok(answer.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 0)))
    }
}

impl Work for WriteProbe {
    fn facts(&self) -> StepFacts {
        StepFacts::new("write-probe", "A write of a client arrives in the new primary")
            .with_effect(Effect::Nothing)
    }

    async fn check(&self, migration: &Migration) -> anyhow::Result<Found> {
        let nonce = Nonce::of(&migration.id.to_string());
        Ok(match self.is_there(migration, &nonce).await? {
            true => Found::Done(Value::Null),
            false => Found::NotDone,
        })
    }

    /// The same run writes the same row, with the same idempotency key.
    async fn act(&self, migration: &Migration) -> anyhow::Result<Value> {
        let nonce = Nonce::of(&migration.id.to_string());
        until(|| Box::pin(self.write(migration, &nonce))).await?;
        Ok(Value::Null)
    }

    fn limit(&self) -> Duration {
        PATIENCE + SPARE
    }
}
