//! Journals of earlier versions are still read, every record of them.
//!
//! A fixture is the journal of a real program, in a directory that says when it was written. It is
//! never changed; a new version adds another one.

use std::fmt::Write as _;
use std::path::Path;

use journal::evidence::{Evidence, Kind as _};
use journal::{Journal, Record};
use serde_json::{Value, json};

/// Reads a copy of the fixture, since a journal is locked while it is read.
pub(crate) fn records_of(fixture: &str) -> Vec<Record> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures");
    let directory = tempfile::tempdir().unwrap();
    for file in fs_err::read_dir(fixtures.join(fixture)).unwrap() {
        let file = file.unwrap();
        fs_err::copy(file.path(), directory.path().join(file.file_name())).unwrap();
    }
    Journal::open_existing(directory.path().join("journal.jsonl")).unwrap().read().unwrap()
}

/// Returns the evidence as a program of today would write it, without the members of every kind.
fn rewritten(evidence: Evidence) -> Value {
    macro_rules! any_of {
        ($($kind:ident)+) => {
            match evidence {
                $(Evidence::$kind(known) => known.to_value(),)+
                Evidence::Failed(failed) => failed.to_value(),
                Evidence::Interrupted => json!({}),
                other => panic!("not understood: {other:?}"),
            }
        };
    }
    any_of!(
        Backup Verify Drill Import Rekey Prune Push Pull EscrowTest Restore Copy Clean Freeze
        Thaw Cutover Approve GateScript Recovered Rotated
    )
}

fn require_unchanged(record: &Record) {
    let mut evidence = rewritten(Evidence::of(record));
    let members = evidence.as_object_mut().unwrap();
    members.extend(record.seconds().map(|seconds| ("seconds".to_owned(), seconds.into())));
    members.extend(record.path().map(|path| ("path".to_owned(), path.into())));
    assert_eq!(evidence.to_string(), record.evidence.to_string(), "record {}", record.seq);
}

#[test]
fn every_act_of_2026_12_01_is_read_and_would_be_written_the_same() {
    let records = records_of("acts-of-2026-12-01");
    let mut text = String::new();
    for record in &records {
        require_unchanged(record);
        let Record { seq, kind, outcome, .. } = record;
        let seconds = record.seconds().map_or_else(String::new, |seconds| format!(" {seconds}s"));
        let damage = if record.is_damage() { " damage" } else { "" };
        let evidence = Evidence::of(record);
        writeln!(text, "{seq} {kind} {outcome}{seconds}{damage}: {evidence:?}").unwrap();
    }
    insta::assert_snapshot!(text);
}
