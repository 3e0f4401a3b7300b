//! One `ssh`, as far as it matters to the tunnel.

use std::time::Duration;

use tokio::time::Instant;

use crate::probe::{Answer, Fault};

/// Health this long makes the pauses short again.
pub(super) const PROVEN_HEALTH: Duration = Duration::from_secs(10);

/// The known state of one `ssh`.
#[derive(Debug)]
pub(super) struct Link {
    /// The moment it was ready, if it was.
    pub(super) ready: Option<Instant>,
    pub(super) verdicts: Vec<Option<Result<Answer, Fault>>>,
    /// Since when the other side showed no sign of being there.
    pub(super) silent_since: Option<Instant>,
    /// The reason for which the destination last refused a connection.
    pub(super) refusal: Option<String>,
    pub(super) is_draining: bool,
}

impl Link {
    pub(super) fn new(forwards: usize) -> Self {
        Self {
            ready: None,
            verdicts: vec![None; forwards],
            silent_since: None,
            refusal: None,
            is_draining: false,
        }
    }

    pub(super) fn is_judged(&self) -> bool {
        self.verdicts.iter().all(Option::is_some)
    }

    pub(super) fn is_silent(&self) -> bool {
        self.verdicts.iter().flatten().any(|verdict| verdict.as_ref().is_err_and(Fault::is_silence))
    }

    /// The forwards of which nothing came back.
    pub(super) fn silent_forwards(&self) -> Vec<usize> {
        let verdicts = self.verdicts.iter().enumerate();
        verdicts
            .filter(|(_, verdict)| matches!(verdict, Some(Err(Fault::Silent(_)))))
            .map(|(forward, _)| forward)
            .collect()
    }

    /// It stood for so long that what was before does not matter.
    pub(super) fn is_healthy(&self, now: Instant) -> bool {
        self.ready.is_some_and(|ready| now.duration_since(ready) >= PROVEN_HEALTH)
    }

    /// Takes in a verdict, and tells for how long the other side gave no sign.
    pub(super) fn take_in(
        &mut self,
        forward: usize,
        verdict: Result<Answer, Fault>,
        now: Instant,
    ) -> Duration {
        let asked_for = match &verdict {
            Err(Fault::Silent(timeout)) => *timeout,
            Err(Fault::Gone(_)) => Duration::ZERO,
            _ => {
                self.verdicts[forward] = Some(verdict);
                self.silent_since = None;
                return Duration::ZERO;
            }
        };
        self.verdicts[forward] = Some(verdict);
        let since = self.silent_since.get_or_insert(now - asked_for);
        now.duration_since(*since)
    }
}
