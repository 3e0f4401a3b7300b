//! Trying again what may be tried again.

use std::thread;
use std::time::Duration;

use super::{Limits, TargetFailure};

/// The longest pause, also where the far end asks for a longer one.
const LONGEST: Duration = Duration::from_secs(60);

/// Calls `attempt` until it succeeds, fails for good, or failed as often as the limits say.
pub(super) fn retry<T>(
    limits: &Limits,
    mut attempt: impl FnMut() -> Result<T, TargetFailure>,
) -> Result<T, TargetFailure> {
    let mut pause = limits.pause;
    for _ in 1..limits.attempts.max(1) {
        match attempt() {
            Err(failure) if failure.is_retryable() => {
                let asked = failure.retry_after().unwrap_or_default();
                let pause_now = jittered(pause).max(asked).min(LONGEST);
                if limits.left().is_some_and(|left| left <= pause_now) {
                    return Err(failure);
                }
                thread::sleep(pause_now);
                pause = (pause * 2).min(LONGEST);
            }
            result => return result,
        }
    }
    attempt()
}

/// Between half of a pause and all of it, so that several clients do not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { attempts: 3, pause: Duration::from_millis(1), ..Limits::default() }
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        let mut calls = 0;
        let result = retry(&limits(), || {
            calls += 1;
            match calls {
                1 => Err(TargetFailure::TimedOut),
                2 => Err(TargetFailure::Busy { status: 423, retry_after: None }),
                _ => Ok(calls),
            }
        });
        assert_eq!(result.unwrap(), 3);

        let mut calls = 0;
        let result: Result<(), _> = retry(&limits(), || {
            calls += 1;
            Err(TargetFailure::Full)
        });
        assert!(matches!(result, Err(TargetFailure::Full)));
        assert_eq!(calls, 1);
    }

    #[test]
    fn nothing_is_tried_again_when_everything_must_be_over() {
        let mut limits = limits();
        limits.until = Some(std::time::Instant::now());
        let mut calls = 0;
        let result: Result<(), _> = retry(&limits, || {
            calls += 1;
            Err(TargetFailure::TimedOut)
        });
        assert!(matches!(result, Err(TargetFailure::TimedOut)));
        assert_eq!(calls, 1);
    }

    #[test]
    fn the_last_failure_is_told() {
        let mut calls = 0;
        let result: Result<(), _> = retry(&limits(), || {
            calls += 1;
            Err(TargetFailure::Server { status: 500 + calls })
        });
        assert!(matches!(result, Err(TargetFailure::Server { status: 503 })));
    }
}
