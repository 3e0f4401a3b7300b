//! Tests that cannot be run here say so; where they should be, they fail.

use std::io::{self, Write as _};
use std::thread;

/// Set where everything that tests need is there, as `cargo xtask test` sees to it when root runs
/// it.
const COMPLETE: &str = "HUBCTL_TEST_COMPLETE";
/// A file that gets a line of every test that is passed over; `cargo xtask test` prints them in the
/// end.
const SKIPS: &str = "HUBCTL_TEST_SKIPS";

/// Says that a test is not run, and why.
///
/// # Panics
/// Where `HUBCTL_TEST_COMPLETE` is set: a test that is passed over unseen proves nothing.
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os(COMPLETE).is_none(),
        "this test has to be run here ({COMPLETE} is set): {reason}"
    );
    say("SKIPPED", reason);
}

/// Says that a test, or a part of it, has no meaning here, and why: the server is too old for it,
/// or lacks what it was built without. Nothing that could be installed or allowed here is a reason.
pub fn not_applicable(reason: &str) {
    say("NOT APPLICABLE", reason);
}

/// Says that a test is not run for a reason that whoever runs the tests told already.
pub(crate) fn skip_as_told(reason: &str) {
    say("SKIPPED", reason);
}

/// Returns the result of starting a program, or `None`, after a message, if it is not installed.
///
/// # Panics
/// Where it is installed and does not start, and where [`skip`] does.
#[must_use]
pub fn installed<T>(program: &str, started: io::Result<T>) -> Option<T> {
    match started {
        Ok(started) => Some(started),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            skip(&format!("{program} is not installed"));
            None
        }
        Err(error) => panic!("{program} does not start: {error}"),
    }
}

/// Past the test harness, which captures what tests that pass print with the macros of the standard
/// library.
fn say(what: &str, reason: &str) {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let thread = thread::current();
    let test = thread.name().unwrap_or_default();
    let line = format!("{what}: {package} {test}: {reason}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
    let Some(file) = std::env::var_os(SKIPS).filter(|file| !file.is_empty()) else {
        return;
    };
    let written = fs_err::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    written.expect("whoever names a file for what is skipped lets it be written");
}
