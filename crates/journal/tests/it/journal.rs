//! Open, append, read, verify.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use journal::{Error, Hash, Head, Journal, NewRecord, Outcome};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{journal_of, names_in, now, record};

#[test]
fn an_empty_journal_verifies_and_has_no_head() {
    let (_directory, journal) = journal_of(0);
    let verification = journal.verify().unwrap();
    assert_eq!(verification.records, 0);
    assert_eq!(verification.head, None);
    assert_eq!(journal.read().unwrap(), []);
}

#[test]
fn records_come_back_in_order_and_chained() {
    let (_directory, journal) = journal_of(3);
    let records = journal.read().unwrap();
    assert_eq!(records.len(), 3);
    assert_eq!(records[0].prev, Hash::GENESIS);
    assert_eq!(records[1].prev, records[0].hash);
    assert_eq!(records[2].prev, records[1].hash);
    assert_eq!(records[2].subject, "entry-3");
    assert_eq!(records[2].at, now());
    assert_eq!(records[2].host.as_deref(), Some("workstation"));
    assert_eq!(journal.verify().unwrap().head, Some(records[2].head()));
}

#[test]
fn a_journal_that_is_no_file_or_in_others_hands_is_neither_read_nor_written() {
    let (directory, journal) = journal_of(2);
    let path = journal.path().to_owned();
    let refused = |fact: &str| {
        for error in [
            Journal::open(&path).unwrap_err(),
            journal.read().unwrap_err(),
            journal.append(record("late")).unwrap_err(),
        ] {
            assert!(error.to_string().contains(fact), "{error}");
            assert!(error.hint().is_some());
        }
    };
    for (path, mode) in [(&*path, 0o602), (directory.path(), 0o777)] {
        let before = fs_err::metadata(path).unwrap().permissions();
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        refused("may be changed by others");
        fs_err::set_permissions(path, before).unwrap();
    }
    assert_eq!(journal.read().unwrap().len(), 2);
    fs_err::remove_file(&path).unwrap();
    testkit::pipe(&path);
    refused("is a pipe, not a regular file");
}

#[test]
fn opening_creates_private_files_and_missing_directories() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/journal.jsonl");
    let journal = Journal::open(&path).unwrap();
    let mode = fs_err::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    journal.append(record("kept")).unwrap();
    assert_eq!(Journal::open(&path).unwrap().read().unwrap().len(), 1);
}

#[test]
fn a_missing_journal_is_not_an_empty_one() {
    let (directory, journal) = journal_of(2);
    fs_err::remove_file(journal.path()).unwrap();
    for error in [
        Journal::open_existing(journal.path()).unwrap_err(),
        journal.verify().unwrap_err(),
        journal.append(record("lost")).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Missing { .. }), "{error}");
        assert!(error.hint().is_some());
    }
    assert_eq!(names_in(directory.path()), Vec::<String>::new());
}

#[test]
fn a_journal_that_was_never_begun_is_nothing_even_without_its_folder() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/hubctl/journal.jsonl");
    assert!(Journal::find(&path).unwrap().is_none());
    Journal::open(&path).unwrap();
    assert!(Journal::find(&path).unwrap().is_some());
}

#[test]
fn a_head_proves_everything_up_to_it() {
    let (_directory, journal) = journal_of(2);
    let head = journal.verify().unwrap().head.unwrap();
    journal.append(record("later")).unwrap();
    assert_eq!(journal.verify_against(&head).unwrap().records, 3);

    let (_other_directory, other) = journal_of(1);
    let error = other.verify_against(&head).unwrap_err();
    assert!(matches!(error, Error::Truncated { records: 1, .. }), "{error}");

    other.append(record("another past")).unwrap();
    let error = other.verify_against(&head).unwrap_err();
    assert!(matches!(error, Error::Rewritten { .. }), "{error}");

    let never = Head { seq: 0, ..head };
    assert!(journal.verify_against(&never).is_err());
}

#[test]
fn a_refused_record_leaves_no_trace() {
    let (_directory, journal) = journal_of(1);
    let before = fs_err::read(journal.path()).unwrap();
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    let deep = (0..200).fold(Value::Null, |inner, _| json!([inner]));
    for new in [
        NewRecord::new(now(), "two words", Outcome::Done, "x"),
        NewRecord::new(far, "backup", Outcome::Done, "x"),
        record("x").with_evidence(deep),
    ] {
        let error = journal.append(new).unwrap_err();
        assert!(matches!(error, Error::InvalidRecord { .. }), "{error}");
    }
    assert_eq!(fs_err::read(journal.path()).unwrap(), before);
}

#[test]
fn a_long_record_is_appended_behind() {
    let (_directory, journal) = journal_of(1);
    let long = json!("x".repeat(300_000));
    journal.append(record("long").with_evidence(long.clone())).unwrap();
    journal.append(record("next")).unwrap();
    let records = journal.read().unwrap();
    assert_eq!(records[1].evidence, long);
    assert_eq!(records[2].prev, records[1].hash);
}

fn evidence() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_appended_is_read_back(
        seconds in -60_000_000_000_i64..200_000_000_000,
        nanoseconds in 0_u32..1_000_000_000,
        kind in "[a-z0-9._-]{1,20}",
        outcome in "[a-z]{1,8}|done|failed",
        subject in any::<String>(),
        host in any::<Option<String>>(),
        evidence in evidence(),
    ) {
        let (_directory, journal) = journal_of(1);
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let at = if seconds < 0 { SystemTime::UNIX_EPOCH - whole } else { SystemTime::UNIX_EPOCH + whole };
        let mut new = NewRecord::new(at + Duration::from_nanos(nanoseconds.into()), kind, outcome.into(), subject);
        new.host = host;
        new.evidence = evidence;

        let appended = journal.append(new.clone()).unwrap().record;
        let read = journal.read().unwrap().pop().unwrap();
        prop_assert_eq!(&read, &appended);
        prop_assert_eq!(read.at, new.at);
        prop_assert_eq!(read.kind, new.kind);
        prop_assert_eq!(read.host, new.host);
        prop_assert_eq!(read.outcome, new.outcome);
        prop_assert_eq!(read.subject, new.subject);
        prop_assert_eq!(read.evidence, new.evidence);
    }
}
