//! The records in the journal: the format page, and records that this version does not understand.

use std::path::Path;

use jiff::Timestamp;
use journal::{NewRecord, Outcome};
use runbook::{End, Error, ErrorClass, Event, Run, Runner};
use serde_json::{Value, json};

use crate::support::Stage;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/runbook.md");
    fs_err::read_to_string(path).unwrap()
}

/// The records printed on the page of the format, as a journal holds them.
fn printed() -> Vec<(String, Value)> {
    let page = page();
    let block = page.split("```jsonl\n").nth(1).unwrap().split("```").next().unwrap();
    let record = |line: &str| {
        let (outcome, evidence) = line.split_once(' ').unwrap();
        (outcome.to_owned(), serde_json::from_str(evidence).unwrap())
    };
    block.lines().map(record).collect()
}

fn append(stage: &Stage, subject: &str, outcome: &str, evidence: Value) {
    let new =
        NewRecord::new(stage.now().into(), "runbook", Outcome::from(outcome.to_owned()), subject)
            .with_evidence(evidence);
    stage.journal.append(new).unwrap();
}

#[test]
fn the_page_prints_a_record_of_each_event_as_this_version_writes_it() {
    let stage = Stage::new();
    for (outcome, evidence) in printed() {
        append(&stage, "move-1", &outcome, evidence);
    }
    let run = stage.run();
    let words: Vec<_> = printed().iter().map(|(_, evidence)| evidence["event"].clone()).collect();
    for event in [
        "begun",
        "approved",
        "started",
        "done",
        "failed",
        "turned-back",
        "undoing",
        "undone",
        "undo-failed",
        "stopped",
        "ended",
    ] {
        assert!(words.contains(&json!(event)), "the page prints no `{event}`");
    }
    for (entry, (_, printed)) in run.entries.iter().zip(printed()) {
        let mut written = serde_json::to_value(&entry.event).unwrap();
        written["format"] = json!("runbook/1");
        assert_eq!(written, printed);
    }
    assert!(matches!(run.entries.last().unwrap().event, Event::Ended { end: End::RolledBack }));
    assert_eq!(run.entries[0].at, stage.now());
}

#[test]
fn a_newer_version_is_refused_with_a_hint() {
    let stage = Stage::new();
    let (_, mut begun) = printed().remove(0);
    let Event::Begun { runbook } = serde_json::from_value(without_format(&begun)).unwrap() else {
        panic!("{begun}");
    };
    assert!(stage.runner(&runbook).is_ok());
    begun["format"] = json!("runbook/2");
    begun["new"] = json!(true);
    append(&stage, "move-1", "started", begun);
    let error = Runner::open(&stage.journal, &runbook, stage.clock()).unwrap_err();
    assert_eq!(error.to_string(), "record 1 of the journal uses the unknown format `runbook/2`");
    assert_eq!(error.class(), ErrorClass::CouldNotAsk);
    assert!(error.hint().unwrap().contains("newer") && !error.is_retryable());
    // It is kept as it is.
    assert_eq!(stage.journal.read().unwrap().len(), 1);
}

#[test]
fn records_that_make_no_sense_are_refused_and_those_of_others_are_passed_over() {
    let (_, begun) = printed().remove(0);
    let started = |step: &str| json!({ "format": "runbook/1", "event": "started", "step": step });
    let unknown_member = {
        let mut record = started("fence");
        record["more"] = json!(1);
        record
    };
    let cases = [
        (vec![("move-1", started("fence"))], "belongs to a run that was not begun"),
        (vec![("move-2", begun.clone())], "begins a run of another name"),
        (vec![("move-1", begun.clone()), ("move-1", begun.clone())], "a second time"),
        (vec![("move-1", begun.clone()), ("move-1", started("x"))], "has no step `x`"),
        (vec![("move-1", begun.clone()), ("move-1", unknown_member)], "unknown field `more`"),
        (vec![("move-1", json!({ "event": "begun" }))], "names no format"),
        (vec![("move-1", json!(null))], "names no format"),
    ];
    for (records, said) in cases {
        let stage = Stage::new();
        let other = NewRecord::new(stage.now().into(), "backup", Outcome::Done, "move-1");
        stage.journal.append(other).unwrap();
        assert!(Run::read(&stage.journal).unwrap().is_empty());
        for (subject, evidence) in records {
            append(&stage, subject, "started", evidence);
        }
        let error = Run::read(&stage.journal).unwrap_err();
        assert!(matches!(error, Error::InvalidRecord { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.class(), ErrorClass::No);
    }
}

fn without_format(evidence: &Value) -> Value {
    let mut evidence = evidence.clone();
    evidence.as_object_mut().unwrap().remove("format");
    evidence
}

#[test]
fn the_page_and_the_lock_agree_with_the_sources() {
    let stage = Stage::new();
    let (_, begun) = printed().remove(0);
    let Event::Begun { runbook } = serde_json::from_value(without_format(&begun)).unwrap() else {
        panic!("{begun}");
    };
    let _runner = stage.runner(&runbook).unwrap();
    let lock = stage.journal.path().with_file_name(".journal.jsonl.runbook.lock");
    let owner: Value = serde_json::from_str(&fs_err::read_to_string(lock).unwrap()).unwrap();
    let since: Timestamp = owner["since"].as_str().unwrap().parse().unwrap();
    assert_eq!((since, &owner["pid"]), (stage.now(), &json!(std::process::id())));
    assert!(page().contains(".JOURNAL.runbook.lock"));
}
