//! Scripts in the journal: each run is recorded, and a success stands in for new runs as long as
//! its gate lets it.

use std::path::Path;

use anyhow::Context as _;
use gates::{Content, Evidence, Read, Reading};
use jiff::Timestamp;
use journal::{Journal, NewRecord, Outcome};
use serde_json::{Value, json};

use crate::act::host;

/// The kind of the records.
const KIND: &str = "gate-script";
/// What is recorded of how a script ended. Its output may hold anything, so only its hash is.
const RECORDED: [&str; 5] =
    ["exit_code", "signal", "timed_out_after_seconds", "seconds", "output_sha256"];

/// The journal, as far as it is about scripts.
pub(super) struct Book {
    journal: Journal,
}

impl Book {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let journal = Journal::open(path)
            .with_context(|| format!("cannot open the journal {}", path.display()))?;
        Ok(Self { journal })
    }

    /// The runs that succeeded, as they would be read today.
    pub(super) fn successes(&self) -> anyhow::Result<Vec<Reading>> {
        let records = self.journal.read()?.into_iter();
        let done = records.filter(|record| record.kind == KIND && record.outcome == Outcome::Done);
        Ok(done
            .filter_map(|record| {
                let read: Read =
                    serde_json::from_value(record.evidence.get("script")?.clone()).ok()?;
                let at = Timestamp::try_from(record.at).ok()?;
                Some(Reading::new(read, at, Content::Found(record.evidence.get("ended")?.clone())))
            })
            .collect())
    }

    /// Records the runs that are new in this evidence.
    pub(super) fn record(&self, evidence: &Evidence) -> anyhow::Result<()> {
        for reading in evidence.readings() {
            let is_new = reading.observed_at >= evidence.collected_at;
            let read = reading.read.without_secrets();
            let (Read::Script { run, .. }, Content::Found(ended), true) =
                (&read, &reading.content, is_new)
            else {
                continue;
            };
            let outcome = if ended["exit_code"] == 0 { Outcome::Done } else { Outcome::Failed };
            let members = RECORDED
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), ended.get(*name)?.clone())));
            let ended: Value = members.collect::<serde_json::Map<_, _>>().into();
            let new = NewRecord::new(reading.observed_at.into(), KIND, outcome, run.join(" "))
                .with_host(host())
                .with_evidence(json!({ "script": read, "ended": ended }));
            self.journal
                .append(new)
                .context("the run of a script could not be recorded in the journal")?;
        }
        Ok(())
    }
}
