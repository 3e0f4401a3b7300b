//! Real processes that move a directory and are killed with SIGKILL, everywhere.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use journal::Journal;
use runbook::{End, Intent, Observer, Outcome, Progress, Run, Runner};
use rustix::process::{Signal, getpid, kill_process};
use tempfile::TempDir;

use crate::example::move_directory::{described, steps};

const PLACE: &str = "RUNBOOK_TEST_PLACE";
const POINT: &str = "RUNBOOK_TEST_POINT";
const FILES: usize = 12;
const KILL: i32 = 9;

/// Kills this process at one of the points that it hears of.
struct Killer {
    point: usize,
    passed: AtomicUsize,
}

impl Observer for Killer {
    fn on(&self, _: Progress<'_>) {
        if self.passed.fetch_add(1, Ordering::Relaxed) == self.point {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
    }
}

/// The body of the processes that are killed; by itself it moves a directory once.
#[tokio::test]
async fn mover() {
    let own = Place::new(false);
    let place = std::env::var_os(PLACE).map_or_else(|| own.path().to_owned(), PathBuf::from);
    let point = std::env::var(POINT).map_or(usize::MAX, |point| point.parse().unwrap());
    let steps = steps(&place.join("from"), &place.join("to"));
    let journal = Journal::open(place.join("journal.jsonl")).unwrap();
    let runner =
        Runner::open(&journal, &described(&steps).unwrap(), Arc::new(Timestamp::now)).unwrap();
    let killer = Killer { point, passed: AtomicUsize::new(0) };
    let outcome = runner.observed_by(killer).execute(&steps, Intent::Forward).await.unwrap();
    assert!(matches!(outcome, Outcome::Ended(_)), "{outcome:?}");
}

/// A directory to be moved, and the place where it is to go.
struct Place {
    directory: TempDir,
    is_taken: bool,
}

impl Place {
    /// If the target is taken, the commit point fails and the run turns back.
    fn new(is_taken: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let from = directory.path().join("from");
        fs_err::create_dir(&from).unwrap();
        for number in 0..FILES {
            fs_err::write(from.join(format!("{number:02}")), format!("file {number}\n")).unwrap();
        }
        if is_taken {
            fs_err::create_dir(directory.path().join("to")).unwrap();
            fs_err::write(directory.path().join("to/other"), "precious\n").unwrap();
        }
        Self { directory, is_taken }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn start(&self, point: usize) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::mover"])
            .env(PLACE, self.path())
            .env(POINT, point.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn run(&self, point: usize) -> ExitStatus {
        self.start(point).wait().unwrap()
    }

    /// Runs to the end, and looks whether everything is where it belongs.
    fn finish(&self) {
        assert!(self.run(usize::MAX).success());
        let names = |directory: &str| {
            let entries = fs_err::read_dir(self.path().join(directory)).unwrap();
            let name = |entry: std::io::Result<fs_err::DirEntry>| {
                entry.unwrap().file_name().into_string().unwrap()
            };
            let mut names: Vec<_> = entries.map(name).collect();
            names.sort();
            names
        };
        let mut expected = vec![".journal.jsonl.runbook.lock", "from", "journal.jsonl", "to"];
        let (end, full) = if self.is_taken {
            assert_eq!(names("to"), ["other"]);
            (End::RolledBack, "from")
        } else {
            expected.remove(1);
            (End::Done, "to")
        };
        // A record that a crash tore is kept beside the journal.
        let mut left = names("");
        left.retain(|name| !name.starts_with("journal.jsonl.torn-"));
        assert_eq!(left, expected);
        for (number, name) in names(full).into_iter().enumerate() {
            let text = fs_err::read_to_string(self.path().join(full).join(name)).unwrap();
            assert_eq!(text, format!("file {number}\n"));
        }
        assert_eq!(names(full).len(), FILES);

        let journal = Journal::open_existing(self.path().join("journal.jsonl")).unwrap();
        let [run] = &Run::read(&journal).unwrap()[..] else { panic!("there is another run") };
        assert_eq!(run.status(Timestamp::now()).phase, runbook::Phase::Ended(end));
    }
}

#[test]
fn killed_at_each_point_on_the_way_forward_it_moves_everything() {
    assert!(30 < kill_at_each_point(false));
}

#[test]
fn killed_at_each_point_on_the_way_back_it_leaves_everything() {
    assert!(30 < kill_at_each_point(true));
}

/// Kills one run at each point, and returns the number of points.
fn kill_at_each_point(is_taken: bool) -> usize {
    for point in 0.. {
        let place = Place::new(is_taken);
        let status = place.run(point);
        place.finish();
        if status.signal() != Some(KILL) {
            assert!(status.success());
            return point;
        }
    }
    unreachable!("every run has an end")
}

#[test]
fn killed_again_and_again_at_random_it_ends_well() {
    for round in 0..12 {
        let place = Place::new(round % 2 == 0);
        for _ in 0..6 {
            let size =
                || fs_err::metadata(place.path().join("journal.jsonl")).map_or(0, |it| it.len());
            let before = size();
            let mut mover = place.start(usize::MAX);
            // The process takes a while to start: its first record begins the countdown.
            while size() == before && mover.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(100));
            }
            std::thread::sleep(Duration::from_micros(fastrand::u64(0..20_000)));
            mover.kill().unwrap();
            mover.wait().unwrap();
        }
        place.finish();
    }
}
