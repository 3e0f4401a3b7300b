//! Tests that cannot be run here say so; where they should be, they fail.

use std::io;

/// Set where everything that tests need is there, as `cargo xtask test` sees to it when root runs it.
const COMPLETE: &str = "HUBCTL_TEST_COMPLETE";

/// Says that a test is not run, and why.
///
/// # Panics
/// Where `HUBCTL_TEST_COMPLETE` is set: a test that is passed over unseen proves nothing.
#[allow(
    clippy::print_stderr,
    reason = "whoever runs the tests is to read it, also where logs are off"
)]
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os(COMPLETE).is_none(),
        "this test has to be run here ({COMPLETE} is set): {reason}"
    );
    eprintln!("SKIPPED: {reason}");
}

/// What a program was started for; nothing where it is not installed, which is said.
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
