//! Answer whether the backups are fresh.

mod copies;
mod metrics;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use backup::{Entry, State, Vault};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub(crate) use self::verdict::fresh_verdict;
use super::{Ops, Report};
use crate::damage::Damaged;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::age;
use crate::store;
use crate::targets;

/// Limits and outputs that replace those of the settings.
#[derive(Debug, Clone, Default)]
pub struct FreshOrder {
    /// The age that the newest verified backup and its copies may have.
    pub max_age: Option<Duration>,
    /// The file for the Prometheus textfile collector.
    pub metrics: Option<PathBuf>,
}

/// The answer whether backups, drills and copies are fresh.
#[derive(Debug, Clone, Serialize)]
pub struct FreshReport {
    /// The directory of the vault.
    pub vault: String,
    /// The service's name.
    pub service: String,
    /// True if every part is fresh.
    pub fresh: bool,
    /// The answers, one for each thing that must be recent.
    pub parts: Vec<FreshPart>,
}

/// One thing that must be recent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FreshPart {
    /// `taken`, `verified`, `drilled`, or `copy: TARGET`.
    pub part: String,
    /// True if its newest backup is young enough.
    pub fresh: bool,
    /// The id of the newest backup of which the part is true.
    pub id: Option<String>,
    /// The time of that backup's data, in RFC 3339.
    pub taken_at: Option<String>,
    /// The size of that sealed file in bytes.
    pub sealed_bytes: Option<u64>,
    /// The age of that backup's data.
    pub age_seconds: Option<u64>,
    /// The age that it may have.
    pub max_age_seconds: u64,
    /// The reason why the target could not be asked, which leaves the answer unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Report for FreshReport {
    const SCHEMA: &'static str = "hubctl.fresh.v1";
}

impl FreshReport {
    /// Returns yes, no, or that it could not be asked.
    ///
    /// A part that is stale for certain comes before one that could not be asked.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let is_stale = |part: &FreshPart| !part.fresh && part.error.is_none();
        if self.fresh {
            Exit::Yes
        } else if self.parts.iter().any(is_stale) {
            Exit::No
        } else {
            Exit::CouldNotAsk
        }
    }
}

/// Asks the vault and the targets for their newest backups, and compares ages with the limits.
///
/// Ages count from the time of the data. A backup that is damaged or dated after now does not
/// count. The metrics are written whatever the answer is.
///
/// # Errors
/// A configuration without a vault, a vault that cannot be read, and metrics that cannot be
/// written. A target that cannot be asked is a part with an error, not an error.
pub fn fresh(ops: &Ops, order: FreshOrder) -> anyhow::Result<FreshReport> {
    let settings = ops.settings();
    let asked = ask(ops, order.max_age);
    if let Some(path) = order.metrics.as_ref().or(settings.metrics.as_ref().map(|path| &path.value))
    {
        let found = asked.as_ref().ok();
        let found = found.map(|(fresh, entries)| (fresh, entries.as_slice()));
        metrics::write(path, &metrics::text(settings, found))?;
    }
    asked.map(|(fresh, _)| fresh)
}

/// Asks the vault and the targets; also returns the vault's entries.
fn ask(ops: &Ops, max_age: Option<Duration>) -> anyhow::Result<(FreshReport, Vec<Entry>)> {
    let settings = ops.settings();
    let (vault, entries, damaged) = undamaged(ops)?;
    let limits = &settings.freshness.value;
    let max_age = max_age.unwrap_or(limits.max_age);
    let now = ops.now();
    let mut parts = parts(&entries, max_age, limits.drilled, now);
    for (name, newest) in copies::copies(settings, &vault, damaged, now, targets::PATIENCE) {
        let limit = settings.targets[&name].max_age().unwrap_or(max_age);
        parts.push(copy_part(ops, &name, newest, limit, now));
    }
    let fresh = FreshReport {
        vault: vault.directory().display().to_string(),
        service: vault.service().to_owned(),
        fresh: parts.iter().all(|part| part.fresh),
        parts,
    };
    Ok((fresh, entries))
}

fn copy_part(
    ops: &Ops,
    name: &str,
    newest: copies::Asked,
    limit: Duration,
    now: Timestamp,
) -> FreshPart {
    let (newest, failure) = match newest {
        Ok(newest) => (newest, None),
        Err(error) => (None, Some(Failure::of(&error))),
    };
    let mut part = FreshPart::of(format!("copy: {name}"), newest.as_ref(), limit, now);
    if let Some(failure) = failure {
        ops.warn(format_args!("target {name}: {}", failure.message));
        failure.hint.iter().for_each(|hint| ops.hint(hint));
        part.error = Some(failure.message);
    }
    part
}

/// Opens the vault; returns it with its entries that are not known to be damaged.
fn undamaged(ops: &Ops) -> anyhow::Result<(Vault, Vec<Entry>, Damaged)> {
    let settings = ops.settings();
    let vault = store::open_vault(settings, None).map_err(away)?;
    let damaged = Damaged::read(settings, &**ops.console());
    let mut entries = vault.entries().map_err(targets::unreachable)?;
    entries.retain(|entry| damaged.finding(entry.path()).is_none());
    Ok((vault, entries, damaged))
}

/// A vault that is away could not be asked, as a target that is away.
fn away(error: anyhow::Error) -> anyhow::Error {
    match error.downcast() {
        Ok(error) => targets::unreachable(error),
        Err(error) => error,
    }
}

/// The entries come newest first.
fn newest(entries: &[Entry], now: Timestamp, is: impl Fn(&Entry) -> bool) -> Option<&Entry> {
    entries.iter().find(|entry| is_past(entry, now) && is(entry))
}

impl FreshPart {
    fn of(
        part: impl Into<String>,
        newest: Option<&Entry>,
        limit: Duration,
        now: Timestamp,
    ) -> Self {
        let taken = newest.and_then(Entry::taken_at);
        // A few minutes ahead are none.
        let age = taken.map(|taken| age(taken, now).unwrap_or_default());
        Self {
            part: part.into(),
            fresh: age.is_some_and(|age| age <= limit),
            id: newest.map(|entry| entry.id().to_owned()),
            taken_at: taken.map(|at| at.to_string()),
            sealed_bytes: newest.map(Entry::sealed_bytes),
            age_seconds: age.map(|age| age.as_secs()),
            max_age_seconds: limit.as_secs(),
            error: None,
        }
    }
}

fn parts(
    entries: &[Entry],
    max_age: Duration,
    drilled: Duration,
    now: Timestamp,
) -> Vec<FreshPart> {
    let is_taken = |entry: &Entry| entry.state() >= State::Sealed;
    let is_drilled = |entry: &Entry| entry.is_verified() && entry.state() == State::Drilled;
    vec![
        FreshPart::of("taken", newest(entries, now, is_taken), max_age, now),
        FreshPart::of("verified", newest(entries, now, Entry::is_verified), max_age, now),
        FreshPart::of("drilled", newest(entries, now, is_drilled), drilled, now),
    ]
}

/// Clocks of two machines differ by less than five minutes.
fn is_past(entry: &Entry, now: Timestamp) -> bool {
    let limit = now + SignedDuration::from_mins(5);
    entry.taken_at().is_some_and(|taken| taken <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stale_for_certain_comes_before_what_is_unknown() {
        let part = |fresh, error: Option<&str>| {
            let mut part = FreshPart::of("x", None, Duration::ZERO, Timestamp::now());
            part.fresh = fresh;
            part.error = error.map(str::to_owned);
            part
        };
        let exit = |parts: Vec<FreshPart>| {
            let fresh = parts.iter().all(|part| part.fresh);
            let (vault, service) = (String::new(), String::new());
            let asked = FreshReport { vault, service, fresh, parts };
            asked.exit()
        };
        let (fresh, stale, unknown) =
            (|| part(true, None), || part(false, None), || part(false, Some("x")));
        assert_eq!(exit(vec![fresh()]), Exit::Yes);
        assert_eq!(exit(vec![fresh(), unknown()]), Exit::CouldNotAsk);
        assert_eq!(exit(vec![unknown(), stale(), fresh()]), Exit::No);
    }
}
