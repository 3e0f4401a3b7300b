//! Torn lines, and appenders that are killed.

use std::time::Duration;

use journal::{Damage, Error, Hash, Journal, Outcome};
use serde_json::json;

use crate::concurrency::spawn_appender;
use crate::support::{journal_of, names_in, now, record};

const STAMP: &str = "20261121T161200Z";

#[test]
fn a_line_torn_anywhere_is_moved_aside_and_reported() {
    let (_directory, journal) = journal_of(2);
    let whole = fs_err::read(journal.path()).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // The last offset tears off only the line end: then the record is complete, and is kept.
    for end in (first + 1)..(whole.len() - 1) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        fs_err::write(&path, &whole[..end]).unwrap();
        let torn_journal = Journal::open_existing(&path).unwrap();

        let error = torn_journal.verify().unwrap_err();
        let Error::Damaged { line: 2, damage: Damage::Torn { bytes, .. }, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(bytes, (end - first) as u64);

        let torn = torn_journal.recover(now()).unwrap().unwrap();
        assert_eq!(torn.bytes, bytes);
        assert_eq!(fs_err::read(&torn.path).unwrap(), &whole[first..end]);
        assert_eq!(
            names_in(directory.path()),
            ["journal.jsonl".to_owned(), format!("journal.jsonl.torn-{STAMP}")]
        );
        assert_eq!(torn_journal.verify().unwrap().records, 2);
    }
}

#[test]
fn an_append_recovers_first_and_leaves_a_record_of_it() {
    let (_directory, journal) = journal_of(1);
    let mut content = fs_err::read(journal.path()).unwrap();
    content.extend_from_slice(b"{\"format\":\"jour\0\0\0");
    fs_err::write(journal.path(), &content).unwrap();

    let appended = journal.append(record("next")).unwrap();
    let torn = appended.torn.unwrap();
    assert_eq!(appended.record.seq, 3);
    let recovered = &journal.read().unwrap()[1];
    assert_eq!(recovered.kind, "journal");
    assert_eq!(recovered.outcome, Outcome::Other("recovered".to_owned()));
    assert_eq!(recovered.subject, format!("journal.jsonl.torn-{STAMP}"));
    assert_eq!(recovered.evidence, json!({ "torn_bytes": 18, "sha256": torn.sha256 }));
    assert_ne!(torn.sha256, Hash::GENESIS);
    assert_eq!(journal.append(record("last")).unwrap().torn, None);
}

#[test]
fn two_torn_lines_of_one_second_are_both_kept() {
    let (directory, journal) = journal_of(1);
    for _ in 0..2 {
        let mut content = fs_err::read(journal.path()).unwrap();
        content.extend_from_slice(b"torn");
        fs_err::write(journal.path(), &content).unwrap();
        assert!(journal.recover(now()).unwrap().is_some());
    }
    assert_eq!(names_in(directory.path()).len(), 3);
    assert_eq!(journal.verify().unwrap().records, 3);
}

#[test]
fn a_record_that_lacks_only_its_line_end_is_kept() {
    let (directory, journal) = journal_of(2);
    let content = fs_err::read(journal.path()).unwrap();
    fs_err::write(journal.path(), &content[..content.len() - 1]).unwrap();
    assert!(journal.verify().is_err());
    assert_eq!(journal.recover(now()).unwrap(), None);
    assert_eq!(fs_err::read(journal.path()).unwrap(), content);
    assert_eq!(names_in(directory.path()), ["journal.jsonl"]);
}

#[test]
fn an_only_line_that_is_torn_leaves_a_journal_that_begins_with_that() {
    let (_directory, journal) = journal_of(0);
    fs_err::write(journal.path(), "{\"form").unwrap();
    let appended = journal.append(record("first")).unwrap();
    assert_eq!(appended.record.seq, 2);
    assert_eq!(journal.verify().unwrap().records, 2);
}

#[test]
fn a_killed_appender_loses_nothing_that_it_acknowledged() {
    let (_directory, journal) = journal_of(0);
    let mut acknowledged = 0;
    for milliseconds in [5, 12, 20, 33, 50] {
        let mut child = spawn_appender(journal.path(), 100_000);
        // The child takes a while to start: its first record begins the countdown.
        while journal.read().map_or(acknowledged, |records| records.len()) == acknowledged {
            assert_eq!(child.try_wait().unwrap(), None, "the child ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(milliseconds));
        let seen = journal.read().unwrap().len();
        child.kill().unwrap();
        child.wait().unwrap();

        journal.recover(now()).unwrap();
        let records = journal.read().unwrap().len();
        assert!(records >= seen, "{records} records after the kill, {seen} before");
        acknowledged = records;
    }
    assert!(journal.append(record("after")).is_ok());
}
