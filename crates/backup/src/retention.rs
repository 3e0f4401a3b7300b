//! Which backups are kept, and why each.
//!
//! The unit is a verified backup. What was never opened, cannot be read, is known to be damaged, or
//! is dated after now, counts for nothing: it takes nobody's place, and is not removed either,
//! since nothing is known to replace it. Periods are counted back from the newest verified backup,
//! not from now: where no backup was taken for a month, a month's fewer are not kept.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::sidecar::State;
use crate::{Error, Result};

/// Clocks of two machines differ by less.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The number of verified backups to keep: for each period, the newest backup of this many periods
/// that have one. A backup may be kept for several reasons; one without a reason is removed.
///
/// ```
/// let json = r#"{"last": 3, "daily": 7, "weekly": 5, "within": "2days"}"#;
/// let retention: backup::Retention = serde_json::from_str(json)?;
/// assert_eq!(retention.daily, 7);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Retention {
    /// The newest.
    pub last: u32,
    /// The newest of each hour.
    pub hourly: u32,
    /// The newest of each day.
    pub daily: u32,
    /// The newest of each ISO week.
    pub weekly: u32,
    /// The newest of each month.
    pub monthly: u32,
    /// The newest of each year.
    pub yearly: u32,
    /// All that are at most this much older than the newest.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("x-form" = "DURATION")))]
    pub within: Option<Duration>,
}

/// Facts besides the vault for a plan.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Circumstances {
    /// The time.
    pub now: Timestamp,
    /// The time zone in which days and hours begin.
    pub zone: TimeZone,
    /// Ids of entries that are known to be damaged, whatever their sidecars say.
    pub damaged: BTreeSet<String>,
}

impl Circumstances {
    /// The present, in the time zone of this machine, without a damaged entry.
    #[must_use]
    pub fn now() -> Self {
        let now = Zoned::now();
        Self { now: now.timestamp(), zone: now.time_zone().clone(), damaged: BTreeSet::new() }
    }

    /// Another time and time zone.
    #[must_use]
    pub fn at(now: Timestamp, zone: TimeZone) -> Self {
        Self { now, zone, damaged: BTreeSet::new() }
    }
}

/// A reason to keep an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It is the newest verified one.
    NewestVerified,
    /// It is the newest that was ever restored for real.
    NewestDrilled,
    /// It is among the newest.
    Last,
    /// It is the newest of a period: `daily 2026-11-22`.
    Period(String),
    /// It is hardly older than the newest.
    Within,
    /// It was never opened: nobody knows what it is worth.
    Unverified,
    /// It is not what was verified, or was found damaged.
    Damaged,
    /// It has no sidecar that can be read.
    Foreign,
    /// It is dated after now: a clock was wrong.
    Future,
}

impl Reason {
    /// Returns true if it counts as a backup, and not only as a file that is left alone.
    #[must_use]
    pub fn counts(&self) -> bool {
        !matches!(self, Self::Unverified | Self::Damaged | Self::Foreign | Self::Future)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewestVerified => "the newest verified",
            Self::NewestDrilled => "the newest drilled",
            Self::Last => "last",
            Self::Period(period) => period,
            Self::Within => "within",
            Self::Unverified => "not verified: counts for nothing",
            Self::Damaged => "damaged: counts for nothing",
            Self::Foreign => "no sidecar: counts for nothing",
            Self::Future => "dated after now: counts for nothing",
        })
    }
}

/// An entry and what becomes of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Decision {
    /// The entry.
    pub entry: Entry,
    /// The reasons to keep it; without any it is removed.
    pub reasons: Vec<Reason>,
}

impl Decision {
    /// Returns true if the entry is to be removed.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// The fate of every entry of a vault, newest first.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// One for each entry.
    pub decisions: Vec<Decision>,
}

impl Plan {
    /// The entries to remove.
    pub fn removals(&self) -> impl Iterator<Item = &Entry> {
        let removals = self.decisions.iter().filter(|decision| decision.is_removal());
        removals.map(|decision| &decision.entry)
    }

    /// Returns the decisions whose entries must not have changed since: those that are removed, and
    /// the two that are kept in any case.
    pub(crate) fn rests_on(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| {
            let is_kept_for = |reason| decision.reasons.contains(reason);
            decision.is_removal()
                || is_kept_for(&Reason::NewestVerified)
                || is_kept_for(&Reason::NewestDrilled)
        })
    }

    /// Decides about entries that are given newest first, as every listing gives them. Nothing is
    /// changed.
    ///
    /// # Errors
    /// [`Error::NoRetention`], and [`Error::ClockBehind`] where something was done after now.
    pub fn new(
        retention: &Retention,
        entries: Vec<Entry>,
        circumstances: &Circumstances,
    ) -> Result<Self> {
        if retention == &Retention::default() {
            return Err(Error::NoRetention);
        }
        let recorded = entries.iter().filter_map(last_act).max();
        if let Some(recorded) = recorded.filter(|at| *at > circumstances.now + SKEW) {
            let now = circumstances.now;
            return Err(Error::ClockBehind { now, recorded });
        }
        let candidates: Vec<Candidate> =
            entries.iter().map(|entry| Candidate::of(entry, circumstances)).collect();
        let reasons = decide(retention, &candidates, &circumstances.zone);
        let decisions = entries.into_iter().zip(reasons);
        Ok(Self {
            decisions: decisions.map(|(entry, reasons)| Decision { entry, reasons }).collect(),
        })
    }
}

/// Returns the time of the last act on an entry, by the clock of then.
fn last_act(entry: &Entry) -> Option<Timestamp> {
    let sidecar = entry.sidecar()?;
    let proofs = [sidecar.verified_at, sidecar.drilled_at];
    proofs.into_iter().flatten().chain([sidecar.sealed_at]).max()
}

/// The facts about an entry that the rules need.
#[derive(Debug, Clone)]
struct Candidate {
    taken_at: Timestamp,
    is_drilled: bool,
    /// The reason why it does not count, if there is one.
    flaw: Option<Reason>,
}

impl Candidate {
    fn of(entry: &Entry, circumstances: &Circumstances) -> Self {
        let taken_at = entry.taken_at().unwrap_or(Timestamp::MIN);
        let flaw = if circumstances.damaged.contains(entry.id()) {
            Some(Reason::Damaged)
        } else if entry.state() == State::Foreign {
            Some(Reason::Foreign)
        } else if entry.state() == State::Sealed {
            Some(Reason::Unverified)
        } else if !entry.is_verified() {
            Some(Reason::Damaged)
        } else if taken_at > circumstances.now + SKEW {
            Some(Reason::Future)
        } else {
            None
        };
        Self { taken_at, is_drilled: entry.state() == State::Drilled, flaw }
    }
}

/// The reasons to keep each candidate; they come newest first.
fn decide(retention: &Retention, candidates: &[Candidate], zone: &TimeZone) -> Vec<Vec<Reason>> {
    let mut reasons: Vec<Vec<Reason>> =
        candidates.iter().map(|candidate| candidate.flaw.iter().cloned().collect()).collect();
    let counting: Vec<usize> =
        (0..candidates.len()).filter(|index| candidates[*index].flaw.is_none()).collect();
    let Some(newest) = counting.first() else {
        return reasons;
    };
    reasons[*newest].push(Reason::NewestVerified);
    if let Some(drilled) = counting.iter().find(|index| candidates[**index].is_drilled) {
        reasons[*drilled].push(Reason::NewestDrilled);
    }
    for index in counting.iter().take(retention.last as usize) {
        reasons[*index].push(Reason::Last);
    }
    for (rule, wanted) in PERIODS.iter().zip(retention.periods()) {
        let mut last = None;
        let mut found = 0;
        for index in &counting {
            let period = (rule.name_of)(&candidates[*index].taken_at.to_zoned(zone.clone()));
            if last.as_ref() == Some(&period) {
                continue;
            }
            found += 1;
            if found > wanted {
                break;
            }
            reasons[*index].push(Reason::Period(format!("{} {period}", rule.word)));
            last = Some(period);
        }
    }
    if let Some(within) = retention.within {
        let newest = candidates[*newest].taken_at;
        for index in &counting {
            if newest.duration_since(candidates[*index].taken_at).unsigned_abs() <= within {
                reasons[*index].push(Reason::Within);
            }
        }
    }
    reasons
}

/// A kind of period. Its names differ where the periods do, so that times in order have each name
/// in one run only.
struct Period {
    word: &'static str,
    name_of: fn(&Zoned) -> String,
}

const PERIODS: [Period; 5] = [
    // An hour comes twice when clocks are set back; the offset tells them apart.
    Period { word: "hourly", name_of: |at| at.strftime("%Y-%m-%dT%H%z").to_string() },
    Period { word: "daily", name_of: |at| at.strftime("%Y-%m-%d").to_string() },
    // The year of the week, which is not always the year of the day.
    Period { word: "weekly", name_of: |at| at.strftime("%G-W%V").to_string() },
    Period { word: "monthly", name_of: |at| at.strftime("%Y-%m").to_string() },
    Period { word: "yearly", name_of: |at| at.strftime("%Y").to_string() },
];

impl Retention {
    /// Returns the number to keep of each of [`PERIODS`].
    fn periods(&self) -> [u32; 5] {
        [self.hourly, self.daily, self.weekly, self.monthly, self.yearly]
    }
}

#[cfg(test)]
mod tests;
