//! Shared parts of the tests: a journal in a temporary directory, and records for it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use journal::{Journal, NewRecord, Outcome, Record};
use serde_json::json;
use tempfile::TempDir;

/// The moment all test records happened at.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_277_520)
}

pub(crate) fn record(subject: &str) -> NewRecord {
    NewRecord::new(now(), "backup", Outcome::Done, subject)
        .with_host("workstation")
        .with_evidence(json!({ "rows": 3, "text": "straße \"quoted\"\n" }))
}

pub(crate) fn journal_of(records: u64) -> (TempDir, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path().join("journal.jsonl")).unwrap();
    for number in 1..=records {
        let appended = journal.append(record(&format!("entry-{number}"))).unwrap();
        assert_eq!(appended.record.seq, number);
    }
    (directory, journal)
}

pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The record as a reader of the journal gets it.
pub(crate) fn appended(new: NewRecord) -> Record {
    let (_directory, journal) = journal_of(0);
    journal.append(new).unwrap();
    journal.read().unwrap().remove(0)
}

pub(crate) fn text(text: &str) -> String {
    text.to_owned()
}
