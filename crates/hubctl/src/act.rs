//! An act and its record in the journal: done, failed, or interrupted.

use std::path::Path;
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use gates::{Head, Journal, NewRecord, Outcome};
use serde_json::{Value, json};

use crate::failure::{Failure, is_damage};
use crate::printer::Printer;
use crate::settings::Settings;

/// Something that was begun and will be journalled, whatever becomes of it.
///
/// Dropped without an end it is recorded as interrupted: a signal stopped it.
pub(crate) struct Act {
    journal: Journal,
    printer: Printer,
    kind: &'static str,
    subject: String,
    path: Option<String>,
    begun: Instant,
    ended: bool,
}

impl Act {
    /// Opens the journal before anything is done: what cannot be recorded is not begun.
    pub(crate) fn begin(
        settings: &Settings,
        printer: &Printer,
        kind: &'static str,
        subject: impl Into<String>,
    ) -> anyhow::Result<Self> {
        let path = &settings.journal.value;
        let journal = Journal::open(path)
            .with_context(|| format!("cannot open the journal {}", path.display()))?;
        Ok(Self {
            journal,
            printer: printer.clone(),
            kind,
            subject: subject.into(),
            path: None,
            begun: Instant::now(),
            ended: false,
        })
    }

    /// Names the sealed file that the act is about, in every record of it.
    pub(crate) fn about(mut self, path: &Path) -> Self {
        self.path = Some(path.display().to_string());
        self
    }

    /// The newest record of the journal.
    pub(crate) fn head(&self) -> Result<Option<Head>, gates::Error> {
        self.journal.head()
    }

    /// Records the success of `result` with the evidence, or its error; and gives it back.
    pub(crate) fn end<T>(
        self,
        result: anyhow::Result<T>,
        evidence: impl FnOnce(&T) -> Value,
    ) -> anyhow::Result<T> {
        match result {
            Ok(value) => {
                let evidence = evidence(&value);
                self.finish(Outcome::Done, evidence)
                    .context("it was done, but could not be recorded in the journal")?;
                Ok(value)
            }
            Err(error) => {
                let failure = Failure::of(&error);
                let evidence = json!({ "error": failure.message, "causes": failure.causes, "exit_code": failure.exit.code(),
                                       "damaged": is_damage(&error) });
                let printer = self.printer.clone();
                if let Err(unrecorded) = self.finish(Outcome::Failed, evidence) {
                    printer.warn(format_args!(
                        "the failure could not be recorded in the journal: {unrecorded}"
                    ));
                }
                Err(error)
            }
        }
    }

    /// Records an answer: yes is `done`, no is `failed`.
    pub(crate) fn answer(self, yes: bool, evidence: Value) -> anyhow::Result<()> {
        let outcome = if yes { Outcome::Done } else { Outcome::Failed };
        self.finish(outcome, evidence)
            .context("the result could not be recorded in the journal")
    }

    fn finish(mut self, outcome: Outcome, evidence: Value) -> anyhow::Result<()> {
        self.ended = true;
        self.record(outcome, evidence)
    }

    fn record(&self, outcome: Outcome, mut evidence: Value) -> anyhow::Result<()> {
        if let Some(members) = evidence.as_object_mut() {
            let seconds = (self.begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
            members.insert("seconds".to_owned(), json!(seconds));
            if let Some(path) = &self.path {
                members.insert("path".to_owned(), json!(path));
            }
        }
        let new = NewRecord::new(SystemTime::now(), self.kind, outcome, &self.subject)
            .with_host(host())
            .with_evidence(evidence);
        if let Some(torn) = self.journal.append(new)?.torn {
            let (bytes, path) = (torn.bytes, torn.path.display());
            self.printer.warn(format_args!(
                "the journal ended in {bytes} bytes of a crashed run; they were moved to {path}"
            ));
        }
        Ok(())
    }
}

impl Drop for Act {
    fn drop(&mut self) {
        if !self.ended {
            // Nothing can be returned from here, and the program ends with its own exit code anyway.
            let _ = self.record(Outcome::Interrupted, json!({}));
        }
    }
}

/// The name of this machine.
pub(crate) fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
