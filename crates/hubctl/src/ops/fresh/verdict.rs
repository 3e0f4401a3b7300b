//! The answer of a gate that asks for a fresh backup.

use std::time::Duration;

use gates::{Subject, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{FreshPart, parts, undamaged};
use crate::human;
use crate::ops::Ops;

/// Returns the verdict on the newest verified backup, or on the newest drilled one: whether its
/// data is new enough.
pub(crate) fn fresh_verdict(
    ops: &Ops,
    max_age: Option<Duration>,
    drilled: bool,
) -> anyhow::Result<Verdict> {
    let (vault, entries, _) = undamaged(ops)?;
    let limits = &ops.settings().freshness.value;
    let limit = |configured: Duration| max_age.unwrap_or(configured);
    let parts = parts(&entries, limit(limits.max_age), limit(limits.drilled), ops.now());
    let wanted = if drilled { "drilled" } else { "verified" };
    let part =
        parts.into_iter().find(|part| part.part == wanted).expect("both are always among them");
    let verdict = match valid_until(&part) {
        Some(end) => reasoned(&part).until(end),
        None => reasoned(&part),
    };
    let subject = Subject::named("vault", vault.directory().display().to_string());
    Ok(verdict
        .about(subject)
        .with_evidence(json!({ "id": part.id, "taken_at": part.taken_at }))
        .against(json!({ "max_age_seconds": part.max_age_seconds, "drilled": drilled })))
}

fn reasoned(part: &FreshPart) -> Verdict {
    let wanted = &part.part;
    let Some(age) = part.age_seconds else {
        return Verdict::fail(format!("no {wanted} backup")).with_hint(match wanted.as_str() {
            "drilled" => "run `hubctl backup`, then `hubctl drill`",
            _ => "run `hubctl backup`, or `hubctl verify ID` where the key is",
        });
    };
    let age = human::duration(Duration::from_secs(age));
    let allowed = human::duration(Duration::from_secs(part.max_age_seconds));
    let reason = format!("the newest {wanted} backup holds data of {age} ago, {allowed} allowed");
    if part.fresh {
        Verdict::pass(reason)
    } else {
        Verdict::fail(reason)
            .with_hint("run `hubctl fresh` for all parts, and check that the schedule runs")
    }
}

/// The moment at which a fresh backup becomes stale.
fn valid_until(part: &FreshPart) -> Option<Timestamp> {
    let taken: Timestamp = part.taken_at.as_ref().filter(|_| part.fresh)?.parse().ok()?;
    let limit = SignedDuration::from_secs(i64::try_from(part.max_age_seconds).ok()?);
    taken.checked_add(limit).ok()
}
