//! Everything that is said: data on stdout, talk on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{MultiProgress, ProgressDrawTarget};
use pgsnap::{Phase, Progress};
use secrecy::SecretString;
use serde::Serialize;

use crate::canvas::Canvas;
use crate::console::{Batch, Console, Event};
use crate::exit::Exit;
use crate::failure::{Failure, StdoutClosed};
use crate::progress::{Copies, Face};
use crate::prompt;
use crate::report::Report;

/// The form of the data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document with a schema id
    Json,
}

/// The amount of talk on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loudness {
    /// Warnings and errors.
    Quiet,
    /// Facts as well.
    Normal,
}

/// The one way to stdout and stderr. Cloning gives a second handle on the same streams.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    format: Format,
    loudness: Loudness,
    /// Data is dropped: the demo shows its own.
    muted: bool,
    bars: MultiProgress,
    face: Face,
}

/// A report that its command and the demo show in the same way.
pub(crate) trait Present: Report {
    /// Prints the report, says what qualifies it, and returns the answer.
    fn present(&self, printer: &Printer) -> anyhow::Result<Exit>;
}

const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// A JSON document: the schema id comes first.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'a str,
    #[serde(flatten)]
    body: &'a T,
}

impl Printer {
    /// Shows no progress.
    pub(crate) fn new(format: Format, loudness: Loudness) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::term_like(Box::new(Canvas::new()))
        } else {
            ProgressDrawTarget::hidden()
        };
        let bars = MultiProgress::with_draw_target(target);
        Self { format, loudness, muted: false, bars, face: Face::Hidden }
    }

    /// Shows progress in the way that suits its streams, unless it is to be hidden.
    pub(crate) fn with_progress(self, is_hidden: bool) -> Self {
        Self { face: Face::choose(is_hidden, &self), ..self }
    }

    pub(crate) fn muted(&self) -> Self {
        Self { muted: true, format: Format::Text, ..self.clone() }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn loudness(&self) -> Loudness {
        self.loudness
    }

    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Takes away what is drawn, for good: whoever still holds a bar draws nothing any more.
    pub(crate) fn close_bars(&self) {
        // On a closed stream nothing is left to be cleared.
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// The result of a command: a document where JSON is wanted, else what `text` makes.
    pub(crate) fn result<T: Serialize>(
        &self,
        schema: &str,
        body: &T,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Text => self.data(&text()),
            Format::Json => self.data(&document(schema, body)?),
        }
    }

    /// The result of an operation: its document where JSON is wanted, else what `text` makes.
    pub(crate) fn report<R: Report>(
        &self,
        report: &R,
        text: impl FnOnce(&R) -> String,
    ) -> anyhow::Result<()> {
        self.result(R::SCHEMA, report, || text(report))
    }

    /// An event of an operation as one line: compact JSON where JSON is wanted, else what `text`
    /// makes.
    pub(crate) fn line<R: Report>(
        &self,
        report: &R,
        text: impl FnOnce(&R) -> String,
    ) -> anyhow::Result<()> {
        self.data(&match self.format {
            Format::Text => text(report),
            Format::Json => serde_json::to_string(&Document { schema: R::SCHEMA, body: report })?,
        })
    }

    /// Prints data as it is, with a line end where it lacks one.
    pub(crate) fn data(&self, text: &str) -> anyhow::Result<()> {
        if self.muted || text.is_empty() {
            return Ok(());
        }
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let written = self.bars.suspend(|| {
            let mut stdout = anstream::stdout().lock();
            write!(stdout, "{text}{end}").and_then(|()| stdout.flush())
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
            other => Ok(other?),
        }
    }

    /// A fact for whoever watches.
    pub(crate) fn say(&self, text: impl Display) {
        if self.loudness >= Loudness::Normal {
            self.talk(format_args!("{text}"));
        }
    }

    /// Something to act on; never silenced.
    pub(crate) fn warn(&self, text: impl Display) {
        self.talk(format_args!("{WARNING}warning:{WARNING:#} {text}"));
    }

    /// Returns the remedy.
    pub(crate) fn hint(&self, text: impl Display) {
        self.talk(format_args!("{HINT}hint:{HINT:#} {text}"));
    }

    /// The end of a command that failed. JSON readers get a document, people the text in any case.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.talk(format_args!("{ERROR}error:{ERROR:#} {}", failure.message));
        for cause in &failure.causes {
            self.talk(format_args!("  caused by: {cause}"));
        }
        if let Some(hint) = &failure.hint {
            self.hint(hint);
        }
        if self.format == Format::Json {
            self.failure_document(failure);
        }
    }

    /// The failure as JSON on stdout.
    pub(crate) fn failure_document(&self, failure: &Failure) {
        if let Ok(text) = document("hubctl.error.v1", failure) {
            // Whoever closed stdout does not want to know.
            let _ = self.data(&text);
        }
    }

    /// A line on stderr. That nobody hears it is no reason to stop.
    pub(crate) fn talk(&self, text: impl Display) {
        self.bars.suspend(|| {
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        });
    }
}

impl Console for Printer {
    fn tell(&self, event: Event) {
        match event {
            Event::Fact(text) => self.say(text),
            Event::Warning(text) => self.warn(text),
            Event::Hint(text) => self.hint(text),
            Event::Message(text) => self.talk(text),
        }
    }

    fn progress(&self, phases: &'static [Phase]) -> Arc<dyn Progress> {
        self.face.meter(self, phases)
    }

    fn batch(&self) -> Arc<dyn Batch> {
        Copies::new(self.face.meter(self, &[]))
    }

    fn can_ask(&self) -> bool {
        can_ask()
    }

    fn ask(&self, question: &str, secret: bool) -> Option<SecretString> {
        if secret { prompt::passphrase(question) } else { prompt::line(self, question) }
    }
}

fn document<T: Serialize>(schema: &str, body: &T) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&Document { schema, body })?)
}

/// An aligned table without lines; columns whose header begins with `>` are aligned to the right.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|title| title.trim_start_matches('>').to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| cell.replace(['\n', '\r'], " ")));
    }
    for (column, title) in table.column_iter_mut().zip(header) {
        column.set_padding((0, 2));
        if title.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Returns true if somebody sits before the terminal and can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Tells the answer of a question.
pub(crate) fn answer(yes: bool) -> Exit {
    if yes { Exit::Yes } else { Exit::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_hold_one_line_per_row() {
        let rows =
            [vec!["a".to_owned(), "12".to_owned()], vec!["long\nname".to_owned(), "3".to_owned()]];
        insta::assert_snapshot!(table(&["name", ">rows"], rows), @r"
        NAME       ROWS
        a            12
        long name     3
        ");
    }
}
