//! Programs that end, that do not, that print too much, and that leave others behind.

#![allow(clippy::unwrap_used)]

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use processgroup::{Ended, Error, Kept, Options};
use tokio::process::Command;

/// Long enough for anything that ends by itself.
const AMPLE: Duration = Duration::from_secs(60);
/// For what never does.
const SHORT: Duration = Duration::from_secs(1);

fn shell(text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", text]);
    command
}

async fn run(options: Options, text: &str) -> Result<Ended, Error> {
    options.run(shell(text)).await
}

/// A directory in which programs leave their process ids.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("pid")
    }

    /// The text with `PID` replaced by the file.
    fn text(&self, text: &str) -> String {
        text.replace("PID", &self.path().display().to_string())
    }

    /// The directory in `/proc` of the process whose id was written.
    async fn process(&self) -> PathBuf {
        eventually(|| fs_err::read_to_string(self.path()).is_ok_and(|pid| pid.ends_with('\n')))
            .await;
        let pid = fs_err::read_to_string(self.path()).unwrap();
        Path::new("/proc").join(pid.trim())
    }
}

fn lives(process: &Path) -> bool {
    let stat = fs_err::read_to_string(process.join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + AMPLE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn kill(process: &Path) {
    let pid = process.file_name().unwrap();
    let killed = std::process::Command::new("kill").arg("-9").arg(pid).status();
    assert!(killed.unwrap().success());
}

#[tokio::test]
async fn a_program_ends_as_it_ends_and_reads_nothing() {
    let ended = run(Options::new(AMPLE), "cat; echo out; echo err >&2; exit 7").await.unwrap();
    assert_eq!(ended.status.code(), Some(7));
    assert_eq!((&ended.stdout[..], &ended.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert!(!ended.is_held);
    let ended = run(Options::new(AMPLE), "kill -9 $$").await.unwrap();
    assert_eq!(ended.status.signal(), Some(9));
}

#[tokio::test]
async fn what_cannot_be_started_is_said_with_a_remedy() {
    let error = Options::new(AMPLE).run(Command::new("/nowhere/at-all")).await.unwrap_err();
    assert!(matches!(error, Error::NotStarted { .. }), "{error:?}");
    assert!(error.hint().contains("PATH"), "{}", error.hint());
    let error = Options::new(AMPLE).run(Command::new("/dev/null")).await.unwrap_err();
    assert!(error.hint().contains("chmod"), "{error:?}");
}

#[tokio::test]
async fn a_program_that_never_ends_is_ended_with_its_children() {
    let place = Place::new();
    let text = place.text("echo begun; sleep 600 & echo $! > PID; wait");
    let error = run(Options::new(SHORT), &text).await.unwrap_err();
    let Error::TimedOut { limit, stdout, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*limit, &stdout[..]), (SHORT, &b"begun\n"[..]));
    let process = place.process().await;
    eventually(|| !lives(&process)).await;
}

#[tokio::test]
async fn with_a_grace_it_is_asked_first() {
    let options = Options::new(SHORT).grace(AMPLE);
    let text = "trap 'echo bye >&2; exit 1' TERM; echo begun; while :; do sleep 0.05; done";
    let error = run(options, text).await.unwrap_err();
    let Error::TimedOut { stderr, .. } = &error else { panic!("{error:?}") };
    // A shell may also say what became of its child.
    let said = String::from_utf8_lossy(stderr);
    assert!(said.ends_with("bye\n"), "{said}");
}

#[tokio::test]
async fn a_child_has_the_grace_although_its_parent_went_at_once() {
    let place = Place::new();
    let text = place.text(
        "(trap 'sleep 0.3; echo tidied > PID.done; exit' TERM; echo go; while :; do sleep 0.05; done) & wait",
    );
    let error = run(Options::new(SHORT).grace(AMPLE), &text).await.unwrap_err();
    let Error::TimedOut { stdout, .. } = &error else { panic!("{error:?}") };
    assert_eq!(&stdout[..], b"go\n");
    assert!(place.path().with_extension("done").exists());
}

#[tokio::test]
async fn one_that_ignores_the_request_is_killed() {
    let place = Place::new();
    let text = place.text("trap '' TERM; echo $$ > PID; while :; do sleep 0.05; done");
    let error = run(Options::new(SHORT).grace(SHORT), &text).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    let process = place.process().await;
    eventually(|| !lives(&process)).await;
}

#[tokio::test]
async fn one_that_prints_for_ever_can_still_end_when_it_is_asked() {
    let options = Options::new(SHORT).grace(AMPLE).stdout(Kept::Last(4));
    let text = "trap 'echo; echo end; exit' TERM; while :; do echo flood; done";
    let error = run(options, text).await.unwrap_err();
    let Error::TimedOut { stdout, .. } = &error else { panic!("{error:?}") };
    assert_eq!(String::from_utf8_lossy(stdout), "end\n");
}

#[tokio::test]
async fn a_dropped_future_ends_the_group() {
    for options in [Options::new(AMPLE), Options::new(AMPLE).grace(AMPLE)] {
        let place = Place::new();
        let text = place.text("trap '' TERM; sleep 600 & echo $! > PID; wait");
        let running = tokio::spawn(async move { run(options, &text).await });
        let process = place.process().await;
        assert!(lives(&process));
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        eventually(|| !lives(&process)).await;
    }
}

#[tokio::test]
async fn children_are_left_only_where_that_is_wanted() {
    const DAEMON: &str = "sleep 600 >/dev/null 2>&1 & echo $! > PID";
    let place = Place::new();
    let ended = run(Options::new(AMPLE), &place.text(DAEMON)).await.unwrap();
    assert!(ended.status.success() && !ended.is_held);
    let process = place.process().await;
    eventually(|| !lives(&process)).await;

    let place = Place::new();
    let options = Options::new(AMPLE).leaving_children();
    run(options, &place.text(DAEMON)).await.unwrap();
    let process = place.process().await;
    assert!(lives(&process));
    kill(&process);
}

#[tokio::test]
async fn a_child_that_keeps_the_output_open_keeps_nobody() {
    let place = Place::new();
    let text = place.text("sleep 600 & echo $! > PID; echo done");
    let ended = run(Options::new(AMPLE).leaving_children(), &text).await.unwrap();
    assert_eq!(&ended.stdout[..], b"done\n");
    assert!(ended.is_held);
    let process = place.process().await;
    assert!(lives(&process));
    kill(&process);
}

#[tokio::test]
async fn a_flood_is_kept_to_its_limit() {
    let options = Options::new(AMPLE).stdout(Kept::Last(5));
    let ended = run(options, "seq 100000; seq 100000 >&2").await.unwrap();
    assert_eq!(&ended.stdout[..], b"0000\n");
    assert_eq!(ended.stderr.len(), 16 << 10);
    let options = Options::new(AMPLE).stdout(Kept::All(100));
    for text in ["yes", "seq 1000"] {
        let error = run(options, text).await.unwrap_err();
        assert!(matches!(error, Error::TooLong { limit: 100, .. }), "{error:?}");
    }
}
