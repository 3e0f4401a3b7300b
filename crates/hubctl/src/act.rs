//! An act and its record in the journal: done, failed, or interrupted.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use journal::evidence::{Failed, Kind};
use journal::{Head, Journal, NewRecord, Outcome};
use serde_json::Value;

use crate::console::Console;
use crate::failure::{Failure, is_damage};
use crate::settings::Settings;

/// Something that was begun and will be journalled, whatever becomes of it.
///
/// Dropped without an end it is recorded as interrupted: a signal stopped it.
///
/// `K` is the evidence that its success is recorded with, and names the kind of the record.
pub(crate) struct Act<K> {
    begun: Arc<Begun>,
    evidence: PhantomData<fn(K)>,
}

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

impl<K: Kind> Act<K> {
    /// Opens the journal before anything is done: what cannot be recorded is not begun.
    pub(crate) fn begin(
        settings: &Settings,
        console: Arc<dyn Console>,
        subject: impl Into<String>,
    ) -> anyhow::Result<Self> {
        let path = &settings.journal.value;
        let (kind, subject) = (K::KIND, subject.into());
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
        Ok(Self { begun, evidence: PhantomData })
    }

    /// Names the sealed file that the act is about, in every record of it.
    pub(crate) fn about(self, path: &Path) -> Self {
        let _ = self.begun.path.set(path.display().to_string());
        self
    }

    /// The newest record of the journal.
    pub(crate) fn head(&self) -> Result<Option<Head>, journal::Error> {
        self.begun.journal.head()
    }

    /// Records that it begins, for an act that is still there after a crash.
    pub(crate) fn started(&self, evidence: &K) -> anyhow::Result<()> {
        self.begun
            .record(Outcome::Started, evidence.to_value())
            .context("the beginning could not be recorded in the journal")
    }

    /// Records the success of `result` with the evidence, or its error; and gives it back.
    pub(crate) fn end<T>(
        self,
        result: anyhow::Result<T>,
        evidence: impl FnOnce(&T) -> K,
    ) -> anyhow::Result<T> {
        match result {
            Ok(value) => {
                let evidence = evidence(&value).to_value();
                self.begun
                    .finish(Outcome::Done, evidence)
                    .context("it was done, but could not be recorded in the journal")?;
                Ok(value)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Records an error, and gives it back.
    pub(crate) fn fail(self, error: anyhow::Error) -> anyhow::Error {
        let failure = Failure::of(&error);
        let evidence = Failed {
            error: failure.message,
            causes: failure.causes,
            exit_code: failure.exit.code(),
            damaged: is_damage(&error),
        };
        if let Err(unrecorded) = self.begun.finish(Outcome::Failed, evidence.to_value()) {
            self.begun.console.warn(format_args!(
                "the failure could not be recorded in the journal: {unrecorded}"
            ));
        }
        error
    }

    /// Records an answer: yes is `done`, no is `failed`.
    pub(crate) fn answer(self, yes: bool, evidence: &K) -> anyhow::Result<()> {
        let outcome = if yes { Outcome::Done } else { Outcome::Failed };
        self.begun
            .finish(outcome, evidence.to_value())
            .context("the result could not be recorded in the journal")
    }
}

impl Begun {
    fn finish(&self, outcome: Outcome, evidence: Value) -> anyhow::Result<()> {
        // A program that has to end has said so in its last words.
        if self.is_recorded.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let (kind, seconds) = (self.kind, self.at.elapsed().as_secs_f64());
        tracing::info!(seconds, "end: {kind} {outcome:?}");
        self.record(outcome, evidence)
    }

    /// Nothing can be returned from here, and the program ends with its own exit code anyway.
    fn interrupt(&self) {
        if !self.is_recorded.swap(true, Ordering::SeqCst) {
            let _ = self.record(Outcome::Interrupted, Value::Null);
        }
    }

    fn record(&self, outcome: Outcome, evidence: Value) -> anyhow::Result<()> {
        let mut new = NewRecord::new(SystemTime::now(), self.kind, outcome, &self.subject)
            .with_host(host())
            .with_evidence(evidence)
            .with_duration(self.at.elapsed());
        if let Some(path) = self.path.get() {
            new = new.with_path(path);
        }
        if let Some(torn) = self.journal.append(new)?.torn {
            let (bytes, path) = (torn.bytes, torn.path.display());
            self.console.warn(format_args!(
                "the journal ended in {bytes} bytes of a crashed run; they were moved to {path}"
            ));
        }
        Ok(())
    }
}

impl<K> Drop for Act<K> {
    fn drop(&mut self) {
        self.begun.interrupt();
    }
}

/// The name of this machine.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
