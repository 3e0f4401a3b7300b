//! `journal`: something was done lately, and it succeeded.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Judge;
use super::look::{Judged, Look};
use super::words::{after, ago, exceeds, span};
use crate::evidence::Read;
use crate::verdict::{Subject, Verdict};

/// Members of the evidence of a record that say of when the data is, in the order in which they are
/// believed.
const TIMES_OF_DATA: [&str; 2] = ["snapshot_at", "taken_at"];

/// The newest record of a kind that was done is of data that is new enough.
///
/// The age is that of the data where the record states it: a drill of today of a backup of last
/// month proves last month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JournalRecord {
    /// The kind of the records, such as `drill`.
    pub record: String,
    /// Its largest age.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("x-form" = "DURATION")))]
    pub max_age: Duration,
    /// The prefix of the record's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// A record, as far as it matters here.
struct Entry<'a> {
    seq: u64,
    hash: &'a str,
    outcome: &'a str,
    subject: &'a str,
    done_at: Timestamp,
    of: Timestamp,
}

impl JournalRecord {
    fn records(&self) -> Read {
        Read::Journal { record: self.record.clone() }
    }

    fn entries<'a>(&self, found: &'a Value) -> Vec<Entry<'a>> {
        let records = found.get("records").and_then(Value::as_array);
        let mut entries: Vec<_> = records.into_iter().flatten().filter_map(entry).collect();
        entries.retain(|entry| {
            let wanted = self.subject.as_deref();
            wanted.is_none_or(|wanted| entry.subject.starts_with(wanted))
        });
        entries.sort_by_key(|entry| entry.seq);
        entries.dedup_by_key(|entry| entry.seq);
        entries
    }

    fn verdict(&self, look: Look<'_>, entries: &[Entry<'_>]) -> Verdict {
        let record = &self.record;
        let done =
            entries.iter().filter(|entry| entry.outcome == "done").max_by_key(|entry| entry.of);
        let Some(done) = done else {
            let other = if entries.is_empty() { "" } else { ", though it was tried" };
            return Verdict::fail(format!("no `{record}` was ever recorded as done{other}"));
        };
        let read = self.records();
        let age = look.age(&read, done.of);
        if age.is_negative() && age.unsigned_abs() > Duration::from_secs(300) {
            return Verdict::unknown(format!("the newest `{record}` is of {}", ago(age)))
                .with_hint("a clock is, or was, wrong");
        }
        let failed =
            entries.iter().rfind(|entry| entry.outcome == "failed" && entry.seq > done.seq);
        if let Some(failed) = failed {
            return Verdict::fail(format!(
                "the last `{record}` failed {}",
                ago(look.age(&read, failed.done_at))
            ))
            .with_hint("`hubctl journal` shows why");
        }
        let limit = span(self.max_age);
        let reason = format!("the newest `{record}` is of data of {}, {limit} allowed", ago(age));
        let verdict = if exceeds(age, self.max_age) {
            Verdict::fail(reason)
        } else {
            Verdict::pass(reason).until(after(done.of, self.max_age))
        };
        verdict
            .about(Subject::named("record", format!("{}:{}", done.seq, done.hash)))
            .with_evidence(json!({ "seq": done.seq, "hash": done.hash, "of": done.of, "subject": done.subject }))
    }
}

impl Judge for JournalRecord {
    fn reads(&self) -> Vec<Read> {
        vec![self.records()]
    }

    fn judge(&self, look: Look<'_>) -> Judged {
        let read = self.records();
        let entries = self.entries(look.found(&read)?);
        Ok(self
            .verdict(look, &entries)
            .against(json!({ "max_age_seconds": self.max_age.as_secs() })))
    }
}

fn entry(record: &Value) -> Option<Entry<'_>> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let done_at: Timestamp = text("at")?.parse().ok()?;
    let evidence = record.get("evidence");
    let of = TIMES_OF_DATA.iter().find_map(|name| evidence?.get(name)?.as_str()?.parse().ok());
    Some(Entry {
        seq: record.get("seq")?.as_u64()?,
        hash: text("hash")?,
        outcome: text("outcome")?,
        subject: text("subject")?,
        done_at,
        of: of.unwrap_or(done_at),
    })
}
