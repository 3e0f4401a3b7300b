//! Progress with four faces: hidden, bars on a terminal, lines in a log, and JSON lines.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use pgsnap::{Phase, Progress, Work};
use serde::Serialize;

use crate::canvas;
use crate::console::Batch;
use crate::human;
use crate::printer::{Format, Loudness, Printer};

/// A line is written at this interval without a terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// The way progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    Hidden,
    Bar,
    Lines,
    Json,
}

impl Face {
    /// Chooses the face that suits the streams: `--no-progress` and `--quiet` hide, a terminal gets
    /// bars.
    pub(crate) fn choose(no_progress: bool, printer: &Printer) -> Self {
        match (no_progress || printer.loudness() == Loudness::Quiet, printer.format()) {
            (true, _) => Self::Hidden,
            _ if io::stderr().is_terminal() => Self::Bar,
            (_, Format::Json) => Self::Json,
            (_, Format::Text) => Self::Lines,
        }
    }

    /// Something that receives progress and shows it with this face; `plan` are the phases of the
    /// command, in order.
    pub(crate) fn meter(self, printer: &Printer, plan: &'static [Phase]) -> Arc<Meter> {
        Arc::new(Meter {
            face: self,
            printer: printer.clone(),
            interval: INTERVAL,
            plan,
            done: Arc::default(),
            place: AtomicUsize::new(0),
            current: Mutex::new(None),
        })
    }
}

/// Shows the progress of one command.
pub(crate) struct Meter {
    face: Face,
    printer: Printer,
    interval: Duration,
    plan: &'static [Phase],
    done: Arc<Done>,
    /// The present step of the plan: a census takes a snapshot of its own, which is no step back.
    place: AtomicUsize,
    current: Mutex<Option<Current>>,
}

/// The work done in the current phase.
#[derive(Debug, Default)]
struct Done {
    bytes: AtomicU64,
    rows: AtomicU64,
}

impl Done {
    fn add(&self, work: Work) -> Work {
        let add = |sum: &AtomicU64, more| sum.fetch_add(more, Ordering::Relaxed) + more;
        Work { bytes: add(&self.bytes, work.bytes), rows: add(&self.rows, work.rows) }
    }

    fn get(&self) -> Work {
        Work { bytes: self.bytes.load(Ordering::Relaxed), rows: self.rows.load(Ordering::Relaxed) }
    }

    fn reset(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.rows.store(0, Ordering::Relaxed);
    }
}

/// The unit in which `Work::rows` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Rows,
    /// Nothing: there are bytes only.
    Bytes,
    Statements,
}

/// One stretch of work, as it is shown.
#[derive(Debug, Clone)]
struct Step {
    title: String,
    unit: Unit,
    /// Its number, and how many there are; a lone step has none.
    place: Option<(usize, usize)>,
    expected: Work,
    begun: Instant,
}

/// The step under way.
struct Current {
    step: Step,
    shown: Instant,
    bar: Option<ProgressBar>,
}

/// A line of the JSON face.
#[derive(Serialize)]
struct ProgressLine<'a> {
    schema: &'static str,
    phase: &'a str,
    step: Option<usize>,
    steps: Option<usize>,
    percent: Option<u64>,
    bytes: u64,
    rows: u64,
    expected_bytes: u64,
    seconds: f64,
}

impl Progress for Meter {
    fn begin(&self, phase: Phase, expected: Work) {
        let unit = match phase {
            Phase::Index | Phase::Analyze => Unit::Statements,
            _ => Unit::Rows,
        };
        let place = self.plan.iter().position(|planned| *planned == phase);
        let place = place.map_or(0, |index| index + 1);
        let place = place.max(self.place.fetch_max(place, Ordering::Relaxed));
        let place = (self.plan.len() > 1 && place > 0).then_some((place, self.plan.len()));
        self.start(phase.title().to_owned(), unit, place, expected);
    }

    fn advance(&self, done: Work) {
        let done = self.done.add(done);
        // Whoever does not get the lock leaves the drawing to the one who has it.
        let Ok(mut current) = self.current.try_lock() else {
            return;
        };
        let Some(current) = current.as_mut() else {
            return;
        };
        // A bar draws itself.
        let draws = current.bar.is_none() && self.face != Face::Hidden;
        if draws && current.shown.elapsed() >= self.interval {
            current.shown = Instant::now();
            self.line(&current.step, done);
        }
    }

    fn note(&self, text: &str) {
        self.printer.warn(text);
    }
}

impl Meter {
    fn start(&self, title: String, unit: Unit, place: Option<(usize, usize)>, expected: Work) {
        self.end();
        self.done.reset();
        tracing::info!(bytes = expected.bytes, rows = expected.rows, "begin: {title}");
        let now = Instant::now();
        let step = Step { title, unit, place, expected, begun: now };
        let bar = (self.face == Face::Bar).then(|| self.bar(step.clone()));
        *self.lock() = Some(Current { step, shown: now, bar });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn bar(&self, step: Step) -> ProgressBar {
        let done = Arc::clone(&self.done);
        let style = ProgressStyle::with_template("{spinner} {line}")
            .expect("the template is a constant")
            .with_key("line", move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let room = canvas::width().saturating_sub(SPINNER);
                let _ = out.write_str(&step.fitted(done.get(), step.begun.elapsed(), room));
            });
        let bar = self.printer.bars().add(ProgressBar::new_spinner());
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    fn line(&self, step: &Step, done: Work) {
        let elapsed = step.begun.elapsed();
        if self.face == Face::Json {
            let line = ProgressLine {
                schema: "hubctl.progress.v1",
                phase: &step.title,
                step: step.place.map(|(step, _)| step),
                steps: step.place.map(|(_, steps)| steps),
                percent: step.percent(done),
                bytes: done.bytes,
                rows: done.rows,
                expected_bytes: step.expected.bytes,
                seconds: elapsed.as_secs_f64(),
            };
            if let Ok(text) = serde_json::to_string(&line) {
                self.printer.talk(text);
            }
            return;
        }
        self.printer.talk(step.described(done, elapsed));
    }

    fn end(&self) {
        if let Some(bar) = self.lock().take().and_then(|current| current.bar) {
            bar.finish_and_clear();
        }
    }
}

/// Shows the progress of whole backups: to a target, from one, or to other keys.
///
/// Each backup is a step; what is done with it is the title.
#[derive(Debug)]
pub(crate) struct Copies {
    meter: Arc<Meter>,
    /// The number of the backup under way, and how many there are.
    place: Mutex<(usize, usize)>,
}

impl Copies {
    pub(crate) fn new(meter: Arc<Meter>) -> Arc<Self> {
        Arc::new(Self { meter, place: Mutex::default() })
    }

    fn place(&self) -> std::sync::MutexGuard<'_, (usize, usize)> {
        self.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Batch for Copies {
    fn expect(&self, backups: usize) {
        *self.place() = (0, backups);
    }

    fn next(&self) {
        self.place().0 += 1;
    }

    /// No bar is left.
    fn end(&self) {
        self.meter.end();
    }
}

impl backup::Progress for Copies {
    fn begin(&self, stage: backup::Stage, id: &str, bytes: u64) {
        let place = *self.place();
        let expected = Work { bytes, rows: 0 };
        let title = format!("{stage} {id}");
        self.meter.start(title, Unit::Bytes, Some(place), expected);
    }

    fn advance(&self, bytes: u64) {
        self.meter.advance(Work { bytes, rows: 0 });
    }
}

/// The spinner, a space, and the last column, in which some terminals wrap.
const SPINNER: usize = 3;
/// A bar that is shorter says nothing.
const SHORTEST_BAR: usize = 8;
const LONGEST_BAR: usize = 30;

impl Step {
    /// `load (2 of 6)`
    fn head(&self) -> String {
        match self.place {
            Some((step, steps)) => format!("{} ({step} of {steps})", self.title),
            None => self.title.clone(),
        }
    }

    /// The part that is done. An estimate that was too low never promises the end.
    fn percent(&self, done: Work) -> Option<u64> {
        let (done, all) = match self.expected {
            Work { bytes: 1.., .. } => (done.bytes, self.expected.bytes),
            Work { rows: 1.., .. } => (done.rows, self.expected.rows),
            _ => return None,
        };
        Some((u128::from(done) * 100 / u128::from(all)).min(99) as u64)
    }

    /// Returns the known parts, the most important first, each with its place in the line.
    fn parts(&self, done: Work, elapsed: Duration) -> Vec<(u8, String)> {
        let mut parts = Vec::new();
        let (rows, all_rows) = (human::number(done.rows), human::number(self.expected.rows));
        match self.unit {
            Unit::Statements => parts.push((1, format!("{rows} of {all_rows} statements"))),
            Unit::Rows | Unit::Bytes => {}
        }
        if self.expected.bytes == 0 && done.bytes == 0 {
            if elapsed >= Duration::from_secs(1) {
                let seconds = Duration::from_secs(elapsed.as_secs());
                parts.push((4, human::duration(seconds)));
            }
            return parts;
        }
        let mut size = human::bytes(done.bytes);
        if self.expected.bytes > 0 {
            let all = human::bytes(self.expected.bytes.max(done.bytes));
            size += &format!(" of about {all}");
        }
        parts.push((1, size));
        let rate = done.bytes as f64 / elapsed.as_secs_f64().max(0.001);
        if self.expected.bytes > done.bytes && rate >= 1.0 {
            let left = (self.expected.bytes - done.bytes) as f64 / rate;
            let left = human::duration(Duration::from_secs(left as u64));
            parts.push((4, format!("{left} left")));
        }
        parts.push((3, format!("{}/s", human::bytes(rate as u64))));
        if self.unit == Unit::Rows {
            parts.push((2, format!("{rows} rows")));
        }
        parts
    }

    /// `dump (2 of 2): 50%, 49.0 MB of about 98.0 MB, 120,000 rows, 4.9 MB/s, 10 s left`
    fn described(&self, done: Work, elapsed: Duration) -> String {
        let mut parts = self.parts(done, elapsed);
        parts.sort_by_key(|(place, _)| *place);
        let percent = self.percent(done).map(|percent| format!("{percent}%"));
        let said = percent.into_iter().chain(parts.into_iter().map(|(_, text)| text));
        let said: Vec<String> = said.collect();
        format!("{}: {}", self.head(), said.join(", "))
    }

    /// The same in one line of a terminal: with a bar where there is room, and without what matters
    /// least where there is not.
    fn fitted(&self, done: Work, elapsed: Duration, room: usize) -> String {
        let percent = self.percent(done);
        let mut head = self.head();
        if let Some(percent) = percent {
            head += &format!(" {percent:>2}%");
        }
        let length = |text: &str| text.chars().count();
        let mut used = length(&head);
        let mut shown: Vec<(u8, String)> = Vec::new();
        for part in self.parts(done, elapsed) {
            let more = length(&part.1) + 2;
            if used + more <= room {
                used += more;
                shown.push(part);
            }
        }
        shown.sort_by_key(|(place, _)| *place);
        // The bar takes two brackets and a space.
        let columns = room.saturating_sub(used + 3).min(LONGEST_BAR);
        if let Some(percent) = percent.filter(|_| columns >= SHORTEST_BAR) {
            let full = columns * percent as usize / 100;
            head += &format!(" [{}>{}]", "=".repeat(full), " ".repeat(columns - full - 1));
        }
        let separators = std::iter::once("  ").chain(std::iter::repeat(", "));
        let said = separators.zip(&shown);
        let line = said.fold(head, |line, (separator, (_, text))| line + separator + text);
        line.chars().take(room).collect()
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").field("face", &self.face).finish_non_exhaustive()
    }
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
        Work { bytes, rows }
    }

    fn step(title: &str, unit: Unit, place: Option<(usize, usize)>, expected: Work) -> Step {
        Step { title: title.to_owned(), unit, place, expected, begun: Instant::now() }
    }

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn a_line_tells_bytes_rows_rate_and_time_left() {
        let dump = step("dump", Unit::Rows, Some((2, 2)), work(98_000_000, 0));
        assert_eq!(
            dump.described(work(49_000_000, 120_000), TEN),
            "dump (2 of 2): 50%, 49.0 MB of about 98.0 MB, 120,000 rows, 4.9 MB/s, 10 s left"
        );
    }

    #[test]
    fn statements_are_counted_without_bytes() {
        let index = step("indexes", Unit::Statements, None, work(0, 40));
        assert_eq!(index.described(work(0, 3), Duration::ZERO), "indexes: 7%, 3 of 40 statements");
    }

    #[test]
    fn an_estimate_that_was_too_low_promises_nothing() {
        let load = step("load", Unit::Rows, None, work(10, 0));
        assert_eq!(
            load.described(work(2000, 5), Duration::from_secs(1)),
            "load: 99%, 2.0 kB of about 2.0 kB, 5 rows, 2.0 kB/s"
        );
    }

    #[test]
    fn a_bar_fits_every_width() {
        let load = step("load", Unit::Rows, Some((2, 6)), work(98_000_000, 0));
        let done = work(43_000_000, 120_000);
        let shown = [12, 40, 57, 77, 97, 117].map(|room| load.fitted(done, TEN, room));
        insta::assert_snapshot!(shown.join("\n"), @r"
        load (2 of 6
        load (2 of 6) 43%  4.3 MB/s, 12 s left
        load (2 of 6) 43%  43.0 MB of about 98.0 MB, 12 s left
        load (2 of 6) 43% [====>     ]  43.0 MB of about 98.0 MB, 4.3 MB/s, 12 s left
        load (2 of 6) 43% [======>         ]  43.0 MB of about 98.0 MB, 120,000 rows, 4.3 MB/s, 12 s left
        load (2 of 6) 43% [============>                 ]  43.0 MB of about 98.0 MB, 120,000 rows, 4.3 MB/s, 12 s left
        ");
        let statements = step("indexes", Unit::Statements, Some((3, 6)), work(0, 40));
        let unknown = step("snapshot", Unit::Rows, Some((1, 2)), Work::default());
        for step in [&load, &statements, &unknown] {
            for room in 0..200 {
                for done in [Work::default(), work(98_000_000, 40), work(u64::MAX, u64::MAX)] {
                    let line = step.fitted(done, TEN, room);
                    assert!(line.chars().count() <= room, "{room}: {line}");
                }
            }
        }
    }

    #[test]
    fn a_backup_on_its_way_is_a_step_of_all() {
        let printer = Printer::new(Format::Text, Loudness::Quiet);
        let copies = Copies::new(Face::Hidden.meter(&printer, &[]));
        copies.expect(3);
        let mut shown = Vec::new();
        for stage in [backup::Stage::Check, backup::Stage::Send] {
            copies.next();
            backup::Progress::begin(&*copies, stage, "20261121T161200Z", 98_000_000);
            backup::Progress::advance(&*copies, 49_000_000);
            let current = copies.meter.lock();
            let step = &current.as_ref().unwrap().step;
            shown.push(step.described(copies.meter.done.get(), TEN));
        }
        insta::assert_snapshot!(shown.join("\n"), @r"
        check 20261121T161200Z (1 of 3): 50%, 49.0 MB of about 98.0 MB, 4.9 MB/s, 10 s left
        send 20261121T161200Z (2 of 3): 50%, 49.0 MB of about 98.0 MB, 4.9 MB/s, 10 s left
        ");
    }

    #[test]
    fn a_census_inside_a_restore_is_no_way_back() {
        let printer = Printer::new(Format::Text, Loudness::Quiet);
        let meter = Face::Hidden.meter(&printer, crate::ops::phases::COPY);
        let mut places = Vec::new();
        for phase in [Phase::Snapshot, Phase::Copy, Phase::Snapshot, Phase::Census] {
            meter.begin(phase, Work::default());
            places.push(meter.lock().as_ref().unwrap().step.place.unwrap().0);
        }
        assert_eq!(places, [1, 3, 3, 6]);
    }
}
