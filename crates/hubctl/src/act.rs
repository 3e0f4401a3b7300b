//! An act and its record in the journal: done, failed, or interrupted.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use journal::{Head, Journal, NewRecord, Outcome};
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{Failure, is_damage};
use crate::ops::Console;
use crate::settings::Settings;

/// Something that was begun and will be journalled, whatever becomes of it.
///
/// Dropped without an end it is recorded as interrupted: a signal stopped it.
pub(crate) struct Act(Arc<Begun>);

struct Begun {
    journal: Journal,
    console: Arc<dyn Console>,
    kind: &'static str,
    subject: String,
    path: OnceLock<String>,
    at: Instant,
    is_recorded: AtomicBool,
}

/// The acts under way, for a program that has to end without dropping them.
static UNDER_WAY: Mutex<Vec<Weak<Begun>>> = Mutex::new(Vec::new());

/// Records every act under way as interrupted.
pub(crate) fn record_interrupted() {
    let acts = std::mem::take(&mut *UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner));
    acts.iter().filter_map(Weak::upgrade).for_each(|act| act.interrupt());
}

impl Act {
    /// Opens the journal before anything is done: what cannot be recorded is not begun.
    pub(crate) fn begin(
        settings: &Settings,
        console: Arc<dyn Console>,
        kind: &'static str,
        subject: impl Into<String>,
    ) -> anyhow::Result<Self> {
        let path = &settings.journal.value;
        let subject = subject.into();
        tracing::info!(journal = %path.display(), "begin: {kind} of {subject}");
        let journal = Journal::open(path)
            .with_context(|| format!("cannot open the journal {}", path.display()))?;
        let begun = Arc::new(Begun {
            journal,
            console,
            kind,
            subject,
            path: OnceLock::new(),
            at: Instant::now(),
            is_recorded: AtomicBool::new(false),
        });
        let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|act| act.strong_count() > 0);
        under_way.push(Arc::downgrade(&begun));
        Ok(Self(begun))
    }

    /// Names the sealed file that the act is about, in every record of it.
    pub(crate) fn about(self, path: &Path) -> Self {
        let _ = self.0.path.set(path.display().to_string());
        self
    }

    /// The newest record of the journal.
    pub(crate) fn head(&self) -> Result<Option<Head>, journal::Error> {
        self.0.journal.head()
    }

    /// Records the success of `result` with the evidence, or its error; and gives it back.
    pub(crate) fn end<T, E: Serialize>(
        self,
        result: anyhow::Result<T>,
        evidence: impl FnOnce(&T) -> E,
    ) -> anyhow::Result<T> {
        match result {
            Ok(value) => {
                let evidence = serde_json::to_value(evidence(&value))?;
                self.finish(Outcome::Done, evidence)
                    .context("it was done, but could not be recorded in the journal")?;
                Ok(value)
            }
            Err(error) => {
                let failure = Failure::of(&error);
                let evidence = json!({ "error": failure.message, "causes": failure.causes, "exit_code": failure.exit.code(),
                                       "damaged": is_damage(&error) });
                let console = Arc::clone(&self.0.console);
                if let Err(unrecorded) = self.finish(Outcome::Failed, evidence) {
                    console.warn(format_args!(
                        "the failure could not be recorded in the journal: {unrecorded}"
                    ));
                }
                Err(error)
            }
        }
    }

    /// Records an answer: yes is `done`, no is `failed`.
    pub(crate) fn answer(self, yes: bool, evidence: impl Serialize) -> anyhow::Result<()> {
        let outcome = if yes { Outcome::Done } else { Outcome::Failed };
        self.finish(outcome, serde_json::to_value(evidence)?)
            .context("the result could not be recorded in the journal")
    }

    fn finish(self, outcome: Outcome, evidence: Value) -> anyhow::Result<()> {
        // A program that has to end has said so in its last words.
        if self.0.is_recorded.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let (kind, seconds) = (self.0.kind, self.0.at.elapsed().as_secs_f64());
        tracing::info!(seconds, "end: {kind} {outcome:?}");
        self.0.record(outcome, evidence)
    }
}

impl Begun {
    /// Nothing can be returned from here, and the program ends with its own exit code anyway.
    fn interrupt(&self) {
        if !self.is_recorded.swap(true, Ordering::SeqCst) {
            let _ = self.record(Outcome::Interrupted, json!({}));
        }
    }

    fn record(&self, outcome: Outcome, mut evidence: Value) -> anyhow::Result<()> {
        if let Some(members) = evidence.as_object_mut() {
            let seconds = (self.at.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
            members.insert("seconds".to_owned(), json!(seconds));
            if let Some(path) = self.path.get() {
                members.insert("path".to_owned(), json!(path));
            }
        }
        let new = NewRecord::new(SystemTime::now(), self.kind, outcome, &self.subject)
            .with_host(host())
            .with_evidence(evidence);
        if let Some(torn) = self.journal.append(new)?.torn {
            let (bytes, path) = (torn.bytes, torn.path.display());
            self.console.warn(format_args!(
                "the journal ended in {bytes} bytes of a crashed run; they were moved to {path}"
            ));
        }
        Ok(())
    }
}

impl Drop for Act {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// The name of this machine.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
