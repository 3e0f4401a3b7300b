//! Progress with four faces: hidden, bars on a terminal, lines in a log, and JSON lines.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use pgsnap::{Phase, Progress, Work};
use serde::Serialize;

use crate::human;
use crate::printer::{Format, Loudness, Printer};

/// How often a line is written where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    Hidden,
    Bar,
    Lines,
    Json,
}

impl Face {
    /// What suits the streams: `--no-progress` and `--quiet` hide, a terminal gets bars.
    pub(crate) fn choose(no_progress: bool, printer: &Printer) -> Self {
        match (
            no_progress || printer.loudness() == Loudness::Quiet,
            printer.format(),
        ) {
            (true, _) => Self::Hidden,
            _ if io::stderr().is_terminal() => Self::Bar,
            (_, Format::Json) => Self::Json,
            (_, Format::Text) => Self::Lines,
        }
    }

    /// Something that receives progress and shows it with this face.
    pub(crate) fn meter(self, printer: &Printer) -> Arc<Meter> {
        Arc::new(Meter {
            face: self,
            printer: printer.clone(),
            interval: INTERVAL,
            bytes: AtomicU64::new(0),
            rows: Arc::new(AtomicU64::new(0)),
            current: Mutex::new(None),
        })
    }
}

/// Shows the progress of one command.
pub(crate) struct Meter {
    face: Face,
    printer: Printer,
    interval: Duration,
    bytes: AtomicU64,
    rows: Arc<AtomicU64>,
    current: Mutex<Option<Current>>,
}

/// The phase under way.
struct Current {
    phase: Phase,
    expected: Work,
    begun: Instant,
    shown: Instant,
    bar: Option<ProgressBar>,
}

/// A line of the JSON face.
#[derive(Serialize)]
struct Line {
    schema: &'static str,
    phase: &'static str,
    bytes: u64,
    rows: u64,
    expected_bytes: u64,
    seconds: f64,
}

impl Progress for Meter {
    fn begin(&self, phase: Phase, expected: Work) {
        self.end();
        self.bytes.store(0, Ordering::Relaxed);
        self.rows.store(0, Ordering::Relaxed);
        let bar = (self.face == Face::Bar).then(|| self.bar(phase, expected));
        let now = Instant::now();
        *self.lock() = Some(Current {
            phase,
            expected,
            begun: now,
            shown: now,
            bar,
        });
    }

    fn advance(&self, done: Work) {
        let bytes = self.bytes.fetch_add(done.bytes, Ordering::Relaxed) + done.bytes;
        let rows = self.rows.fetch_add(done.rows, Ordering::Relaxed) + done.rows;
        // Whoever does not get the lock leaves the drawing to the one who has it.
        let Ok(mut current) = self.current.try_lock() else {
            return;
        };
        let Some(current) = current.as_mut() else {
            return;
        };
        if let Some(bar) = &current.bar {
            bar.set_length(current.expected.bytes.max(bytes));
            bar.set_position(bytes);
        } else if self.face != Face::Hidden && current.shown.elapsed() >= self.interval {
            current.shown = Instant::now();
            self.line(current, Work { bytes, rows });
        }
    }

    fn note(&self, text: &str) {
        self.printer.warn(text);
    }
}

impl Meter {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Current>> {
        self.current
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn bar(&self, phase: Phase, expected: Work) -> ProgressBar {
        let rows = Arc::clone(&self.rows);
        let template = match expected.bytes {
            0 if expected.rows > 0 => "{prefix:>9} {spinner} {rows} done, {elapsed}",
            0 => "{prefix:>9} {spinner} {elapsed}",
            _ => {
                "{prefix:>9} [{bar:24}] {decimal_bytes} of about {decimal_total_bytes}, {rows} rows, {decimal_bytes_per_sec}, {eta} left"
            }
        };
        let style = ProgressStyle::with_template(template)
            .expect("the template is a constant")
            .progress_chars("=> ")
            .with_key(
                "rows",
                move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = out.write_str(&human::number(rows.load(Ordering::Relaxed)));
                },
            );
        let bar = self.printer.bars().add(ProgressBar::new(expected.bytes));
        bar.set_style(style);
        bar.set_prefix(phase.title());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    fn line(&self, current: &Current, done: Work) {
        let elapsed = current.begun.elapsed();
        if self.face == Face::Json {
            let line = Line {
                schema: "hubctl.progress.v1",
                phase: current.phase.title(),
                bytes: done.bytes,
                rows: done.rows,
                expected_bytes: current.expected.bytes,
                seconds: elapsed.as_secs_f64(),
            };
            if let Ok(text) = serde_json::to_string(&line) {
                self.printer.talk(text);
            }
            return;
        }
        self.printer
            .talk(describe(current.phase, current.expected, done, elapsed));
    }

    fn end(&self) {
        if let Some(bar) = self.lock().take().and_then(|current| current.bar) {
            bar.finish_and_clear();
        }
    }
}

/// `dump: 12.3 MB of about 98 MB, 120 000 rows, 4.1 MB/s, 21 s left`
fn describe(phase: Phase, expected: Work, done: Work, elapsed: Duration) -> String {
    if phase == Phase::Index {
        // Indexes and constraints are counted as rows, and have no bytes.
        let (done, all) = (human::number(done.rows), human::number(expected.rows));
        return format!("{}: {done} of {all} statements", phase.title());
    }
    let rate = done.bytes as f64 / elapsed.as_secs_f64().max(0.001);
    let mut text = format!("{}: {}", phase.title(), human::bytes(done.bytes));
    if expected.bytes > 0 {
        text += &format!(" of about {}", human::bytes(expected.bytes.max(done.bytes)));
    }
    text += &format!(
        ", {} rows, {}/s",
        human::number(done.rows),
        human::bytes(rate as u64)
    );
    if expected.bytes > done.bytes && rate > 0.0 {
        let left = Duration::from_secs_f64((expected.bytes - done.bytes) as f64 / rate);
        text += &format!(
            ", {} left",
            human::duration(Duration::from_secs(left.as_secs()))
        );
    }
    text
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(bytes: u64, rows: u64) -> Work {
        let mut work = Work::default();
        (work.bytes, work.rows) = (bytes, rows);
        work
    }

    #[test]
    fn a_line_tells_bytes_rows_rate_and_time_left() {
        let line = describe(
            Phase::Dump,
            work(98_000_000, 0),
            work(49_000_000, 120_000),
            Duration::from_secs(10),
        );
        assert_eq!(
            line,
            "dump: 49.0 MB of about 98.0 MB, 120 000 rows, 4.9 MB/s, 10 s left"
        );
    }

    #[test]
    fn statements_are_counted_without_bytes() {
        let line = describe(
            Phase::Index,
            work(0, 40),
            work(0, 3),
            Duration::from_secs(1),
        );
        assert_eq!(line, "indexes: 3 of 40 statements");
    }

    #[test]
    fn an_estimate_that_was_too_low_promises_nothing() {
        let line = describe(
            Phase::Load,
            work(10, 0),
            work(2000, 5),
            Duration::from_secs(1),
        );
        assert_eq!(line, "load: 2.0 kB of about 2.0 kB, 5 rows, 2.0 kB/s");
    }
}
