//! Approvals where they are kept: a directory beside the journal.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use journal::Journal;
use sshsig::AllowedSigners;

use super::{ApprovalRequest, Approvals, Policy, Standing};
use crate::Error;
use crate::gate::{ApprovalRule, Approving};

/// The approvals of a directory, which count by the signers that each gate names.
#[derive(Debug, Clone)]
pub struct ApprovalFiles {
    /// The directory; it need not exist.
    pub directory: PathBuf,
    /// A journal on the same machine. While the clock is behind its newest record, no approval
    /// counts: one that has expired would count again.
    pub journal: PathBuf,
    /// The time zone of dates in files of signers.
    pub zone: TimeZone,
    /// The clock, which is read when it is compared with the journal.
    pub clock: fn() -> Timestamp,
}

impl Approving for ApprovalFiles {
    fn standing(
        &self,
        request: &ApprovalRequest,
        rule: &ApprovalRule,
        now: Timestamp,
    ) -> Result<Standing, Error> {
        // Somebody may have recorded something since it was asked for.
        require_clock(&self.journal, now.max((self.clock)()))?;
        let signers = AllowedSigners::load(&rule.signers, &self.zone)?;
        standing(&self.directory, signers, request, rule, now)
    }
}

/// Refuses a clock that is behind the newest record: it was set back.
fn require_clock(journal: &Path, now: Timestamp) -> Result<(), Error> {
    let Some(journal) = Journal::find(journal)? else {
        return Ok(());
    };
    let records = journal.read()?;
    let times = records.iter().filter_map(|record| Timestamp::try_from(record.at).ok());
    match times.max() {
        Some(newest) if newest > now => Err(Error::ClockSetBack { now, newest }),
        _ => Ok(()),
    }
}

/// The standing of a request by the approvals in a directory.
pub(super) fn standing(
    directory: &Path,
    signers: AllowedSigners,
    request: &ApprovalRequest,
    rule: &ApprovalRule,
    now: Timestamp,
) -> Result<Standing, Error> {
    // A question makes no directory.
    if !directory.is_dir() {
        return Ok(Standing::Missing { have: 0, need: rule.persons });
    }
    Approvals::open(directory)?.judge(
        &request.gate,
        request.plan_hash(),
        request.evidence_hash,
        now,
        &Policy::of(rule, signers),
    )
}

#[cfg(test)]
mod tests {
    use journal::{NewRecord, Outcome};

    use super::*;

    #[test]
    fn nothing_counts_while_the_clock_is_behind_the_journal() {
        let directory = tempfile::tempdir().unwrap();
        let journal = directory.path().join("journal.jsonl");
        let later = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1);
        let record = NewRecord::new(later.into(), "backup", Outcome::Done, "hub");
        Journal::open(&journal).unwrap().append(record).unwrap();
        let require = |now| require_clock(&journal, now);
        let refused = require(Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(refused, Error::ClockSetBack { newest, .. } if newest == later));
        require(later).unwrap();
        let none = directory.path().join("none.jsonl");
        require_clock(&none, Timestamp::UNIX_EPOCH).unwrap();
        assert!(!none.exists());
    }
}
