//! Detection of a sleep: monotonic time stands still meanwhile, the other clocks do not.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// The clocks are compared at this interval.
const PERIOD: Duration = Duration::from_millis(500);

/// A smaller step is none: a clock that is set by the network moves by less.
const STEP: Duration = Duration::from_secs(2);

/// Waits until the machine slept, or its clock was set: then every connection is in doubt.
pub(crate) async fn woken() {
    let mut before = offsets();
    loop {
        tokio::time::sleep(PERIOD).await;
        let now = offsets();
        if is_step(before, now) {
            return;
        }
        before = now;
    }
}

/// Returns true on a machine of WSL2. It stops while no terminal is open (microsoft/WSL#9667), and
/// after a sleep Windows does not reach its ports until they are bound anew (microsoft/WSL#10086).
#[must_use]
pub fn is_wsl() -> bool {
    const LONGEST: u64 = 4096;
    let version = regularfile::read_to_string("/proc/version", LONGEST).unwrap_or_default();
    version.to_ascii_lowercase().contains("microsoft")
}

/// The lead of the time since the start and of wall time over monotonic time, in nanoseconds.
type Offsets = [i128; 2];

fn offsets() -> Offsets {
    let monotonic = nanoseconds(clock_gettime(ClockId::Monotonic));
    [ClockId::Boottime, ClockId::Realtime]
        .map(|clock| nanoseconds(clock_gettime(clock)) - monotonic)
}

fn nanoseconds(time: Timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

fn is_step(before: Offsets, now: Offsets) -> bool {
    before.iter().zip(now).any(|(before, now)| (now - before).unsigned_abs() > STEP.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_and_a_set_clock_are_steps_and_drift_is_none() {
        let second = 1_000_000_000;
        assert!(is_step([0, 0], [30 * second, 30 * second]));
        assert!(is_step([0, 0], [0, -3600 * second]));
        assert!(!is_step([5 * second, 0], [5 * second, second / 10]));
        let now = offsets();
        assert!(!is_step(now, offsets()));
    }
}
