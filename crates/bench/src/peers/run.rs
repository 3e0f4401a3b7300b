//! One run of one command: its wall time, its processor time and its peak memory.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Wall time and peak memory of one run.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    /// 0 where it was not measured.
    pub(crate) peak_kib: u64,
}

impl Run {
    /// Times something that runs in this process, whose memory is not its own.
    pub(crate) fn here(work: impl FnOnce()) -> Self {
        let start = Instant::now();
        work();
        Self { seconds: start.elapsed().as_secs_f64(), peak_kib: 0 }
    }

    /// Runs a command to its end and watches its memory.
    pub(crate) fn of(mut command: Command) -> Self {
        let start = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut peak_kib = 0;
        let status = loop {
            peak_kib = peak_kib.max(high_water_mark(&child));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let seconds = start.elapsed().as_secs_f64();
        assert!(status.success(), "{command:?} failed: {status}");
        Self { seconds, peak_kib }
    }

    /// Two runs, one after the other.
    pub(crate) fn and(self, next: Self) -> Self {
        Self { seconds: self.seconds + next.seconds, peak_kib: self.peak_kib.max(next.peak_kib) }
    }
}

fn high_water_mark(child: &Child) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
