//! The operations of hubctl, without a command line: each takes an [`Ops`] and an order, and returns
//! a report.
//!
//! An operation never prints, parses arguments or reads the environment. It receives the merged
//! [`Settings`], reports events, progress and questions to a [`Console`], records what it did in
//! the journal, and returns a typed [`Report`]: the same value is printed as JSON and rendered as
//! text by the commands. Commands compose operations; no command calls another.
//!
//! ```no_run
//! use hubctl::ops::{self, BackupOrder, Ops};
//! use hubctl::settings::{Overrides, Settings};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let settings = Settings::load(Some("hubctl.toml".as_ref()), Overrides::default())?;
//! let ops = Ops::new(settings);
//! let taken = ops::backup(&ops, BackupOrder::default()).await?;
//! println!("{} is {}", taken.path, taken.state);
//! # Ok(())
//! # }
//! ```

mod backup;
mod console;
pub(crate) mod phases;

use std::fmt::Display;
use std::sync::Arc;

use jiff::Timestamp;
use pgsnap::{Phase, Progress};
use serde::Serialize;

pub use self::backup::{BackupOrder, BackupReport, Payload, backup};
pub use self::console::{Batch, Console, Event};
use crate::act::Act;
use crate::settings::Settings;
use crate::unfinished::Unfinished;

/// The result of an operation, which serialises to the document of its schema.
pub trait Report: Serialize {
    /// The schema id of the document, such as `hubctl.backup.v1`; see `docs/formats/results.md`.
    const SCHEMA: &'static str;
}

/// Everything an operation needs from its caller: settings, console and clock.
#[derive(Debug, Clone)]
pub struct Ops {
    settings: Settings,
    console: Arc<dyn Console>,
    clock: fn() -> Timestamp,
    unfinished: Arc<Unfinished>,
}

impl Ops {
    /// Operations under these settings, on a silent console and by the system's clock.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, console: Arc::new(()), clock: Timestamp::now, unfinished: Arc::default() }
    }

    /// The same operations, reporting to this console.
    #[must_use]
    pub fn with_console(mut self, console: Arc<dyn Console>) -> Self {
        self.console = console;
        self
    }

    /// The same operations by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> Timestamp) -> Self {
        self.clock = clock;
        self
    }

    /// The same operations, noting unfinished databases where the program finds them when it is
    /// interrupted.
    pub(crate) fn noting(mut self, unfinished: &Arc<Unfinished>) -> Self {
        self.unfinished = Arc::clone(unfinished);
        self
    }

    /// The settings of the operations.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn console(&self) -> &Arc<dyn Console> {
        &self.console
    }

    pub(crate) fn unfinished(&self) -> &Unfinished {
        &self.unfinished
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn say(&self, text: impl Display) {
        self.console.say(text);
    }

    pub(crate) fn warn(&self, text: impl Display) {
        self.console.warn(text);
    }

    pub(crate) fn hint(&self, text: impl Display) {
        self.console.hint(text);
    }

    /// Shows the progress of these phases.
    pub(crate) fn progress(&self, phases: &'static [Phase]) -> Arc<dyn Progress> {
        self.console.progress(phases)
    }

    /// Opens the journal before anything is done: an act that cannot be recorded is not begun.
    pub(crate) fn act(
        &self,
        kind: &'static str,
        subject: impl Into<String>,
    ) -> anyhow::Result<Act> {
        Act::begin(&self.settings, Arc::clone(&self.console), kind, subject)
    }
}

/// Runs blocking work beside the runtime's own threads; a panic there is one here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("blocking work is never cancelled while it is awaited")
}
