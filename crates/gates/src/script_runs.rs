//! Scripts in the journal: each run is recorded, and a success stands in for new runs as long as
//! its gate lets it.

use std::path::Path;

use jiff::Timestamp;
use journal::evidence::{Ended, Evidence as Recorded, GateScript};
use journal::{Journal, NewRecord, Outcome};
use serde_json::Value;

use crate::Error;
use crate::evidence::{Content, Evidence, Read, Reading};

/// The runs of scripts in a journal.
#[derive(Debug)]
pub struct ScriptRuns {
    journal: Journal,
}

impl ScriptRuns {
    /// Opens the journal, so that a run that cannot be recorded is not begun.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self { journal: Journal::open(path)? })
    }

    /// The runs that succeeded, as [`Collector::keeping`](crate::Collector::keeping) takes them.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub fn successes(&self) -> Result<Vec<Reading>, Error> {
        let records = self.journal.read()?;
        let done = records.iter().filter(|record| record.outcome == Outcome::Done);
        let success = |record: &journal::Record| {
            let Recorded::GateScript(run) = Recorded::of(record) else {
                return None;
            };
            let read: Read = serde_json::from_value(run.script).ok()?;
            let at = Timestamp::try_from(record.at).ok()?;
            let ended = serde_json::to_value(run.ended).ok()?;
            Some(Reading::new(read, at, Content::Found(ended)))
        };
        Ok(done.filter_map(success).collect())
    }

    /// Records the runs that are new in this evidence, as made on the machine with this name.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub fn record(&self, evidence: &Evidence, host: &str) -> Result<(), Error> {
        for reading in evidence.readings() {
            let is_new = reading.observed_at >= evidence.collected_at;
            let read = reading.read.without_secrets();
            let (Read::Script { run, .. }, Content::Found(ended), true) =
                (&read, &reading.content, is_new)
            else {
                continue;
            };
            let outcome = if ended["exit_code"] == 0 { Outcome::Done } else { Outcome::Failed };
            let evidence = GateScript { script: json(&read), ended: end(ended) };
            let at = reading.observed_at.into();
            let new = NewRecord::of(at, outcome, run.join(" "), &evidence).with_host(host);
            self.journal.append(new)?;
        }
        Ok(())
    }
}

fn json(read: &Read) -> Value {
    serde_json::to_value(read).expect("a question has text as keys, and serialises to JSON")
}

/// The members of a script's end that are recorded, without its output.
fn end(found: &Value) -> Ended {
    let number = |name: &str| found[name].as_i64().and_then(|number| i32::try_from(number).ok());
    Ended {
        exit_code: number("exit_code"),
        signal: number("signal"),
        timed_out_after_seconds: found["timed_out_after_seconds"].as_u64(),
        seconds: found["seconds"].as_f64(),
        output_sha256: found["output_sha256"].as_str().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_read_back_as_it_was_without_its_output() {
        let directory = tempfile::tempdir().unwrap();
        let runs = ScriptRuns::open(&directory.path().join("journal.jsonl")).unwrap();
        let deploy = json(&script("deploy"));
        let now = Timestamp::UNIX_EPOCH;
        let mut evidence = Evidence::new(now);
        for (name, code, at) in
            [("deploy", 0, now), ("broken", 1, now), ("earlier", 0, now - EARLIER)]
        {
            let ended =
                serde_json::json!({ "exit_code": code, "seconds": 0.5, "output": "hunter2" });
            let reading = Reading::new(script(name), at, Content::Found(ended));
            evidence.push(reading);
        }
        runs.record(&evidence, "workstation").unwrap();

        let records = runs.journal.read().unwrap();
        let outcomes: Vec<_> = records.iter().map(|record| record.outcome.clone()).collect();
        assert_eq!(outcomes, [Outcome::Done, Outcome::Failed]);
        assert!(records.iter().all(|record| !record.evidence.to_string().contains("hunter2")));
        let successes = runs.successes().unwrap();
        assert_eq!(successes.len(), 1);
        assert_eq!((json(&successes[0].read), successes[0].observed_at), (deploy, now));
        let ended = serde_json::json!({ "exit_code": 0, "seconds": 0.5 });
        assert_eq!(successes[0].content, Content::Found(ended));
    }

    const EARLIER: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

    fn script(name: &str) -> Read {
        Read::Script {
            run: vec![name.to_owned()],
            directory: None,
            limit_seconds: 1,
            expires_seconds: None,
            scope: "hub".to_owned(),
        }
    }
}
