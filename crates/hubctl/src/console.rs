//! The side of an operation that faces its caller: events, progress and questions.

use std::fmt;
use std::fmt::Display;
use std::sync::Arc;

use backup::SecretString;
use pgsnap::{NoProgress, Phase, Progress};

/// Something an operation reports while it runs.
///
/// Events are for people to read. Everything a program needs is in the operation's report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Progress or a result, for a person who watches.
    Fact(String),
    /// Something that needs attention; never hidden by `--quiet`.
    Warning(String),
    /// A remedy for the warning before it.
    Hint(String),
    /// A message of a plugin to the person, such as a request to touch a key; never hidden.
    Message(String),
}

/// The caller of an operation: a terminal, a timer's log, or another program.
///
/// Every method has a default, so the unit type `()` is the silent console: it drops events, shows
/// no progress and answers no question.
///
/// ```
/// use std::sync::Mutex;
///
/// use hubctl::ops::{Console, Event};
///
/// /// Keeps the warnings.
/// #[derive(Default)]
/// struct Warnings(Mutex<Vec<String>>);
///
/// impl Console for Warnings {
///     fn tell(&self, event: Event) {
///         if let Event::Warning(text) = event {
///             self.0.lock().unwrap().push(text);
///         }
///     }
/// }
///
/// let warnings = Warnings::default();
/// warnings.tell(Event::Warning("the vault has 2 GiB free; the database is 9 GiB".to_owned()));
/// assert_eq!(warnings.0.lock().unwrap().len(), 1);
/// ```
pub trait Console: Send + Sync {
    /// Receives an event.
    fn tell(&self, event: Event) {
        drop(event);
    }

    /// Returns a meter for an operation with these phases, in order.
    fn progress(&self, phases: &'static [Phase]) -> Arc<dyn Progress> {
        let _ = phases;
        Arc::new(NoProgress)
    }

    /// Returns a meter for several backups that are copied, read or sealed one after the other.
    fn batch(&self) -> Arc<dyn Batch> {
        Arc::new(NoBatch)
    }

    /// Returns true if a person can answer questions now.
    fn can_ask(&self) -> bool {
        false
    }

    /// Asks a person. The answer to a secret question is not shown while it is typed.
    ///
    /// Returns `None` if there is no answer. Blocks until there is one.
    fn ask(&self, question: &str, secret: bool) -> Option<SecretString> {
        let _ = (question, secret);
        None
    }
}

impl Console for () {}

/// The progress of several backups, one after the other.
pub trait Batch: backup::Progress {
    /// This many backups are to come.
    fn expect(&self, backups: usize) {
        let _ = backups;
    }

    /// The next one begins.
    fn next(&self) {}

    /// All are done, or the operation stops.
    fn end(&self) {}
}

/// Ignores all progress.
#[derive(Debug)]
struct NoBatch;

impl backup::Progress for NoBatch {
    fn begin(&self, _: backup::Stage, _: &str, _: u64) {}

    fn advance(&self, _: u64) {}
}

impl Batch for NoBatch {}

impl dyn Console + '_ {
    /// Reports a fact.
    pub(crate) fn say(&self, text: impl Display) {
        self.tell(Event::Fact(text.to_string()));
    }

    /// Reports something that needs attention.
    pub(crate) fn warn(&self, text: impl Display) {
        self.tell(Event::Warning(text.to_string()));
    }

    /// Reports a remedy for the warning before it.
    pub(crate) fn hint(&self, text: impl Display) {
        self.tell(Event::Hint(text.to_string()));
    }
}

impl fmt::Debug for dyn Console + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Console")
    }
}
