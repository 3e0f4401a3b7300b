//! Evidence is read back, known or not.

use std::time::Duration;

use journal::evidence::{Clean, EscrowTest, Evidence, Failed};
use journal::{NewRecord, Outcome, Record};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{appended, now, text};

fn record(kind: &str, outcome: Outcome, evidence: Value) -> Record {
    appended(NewRecord::new(now(), kind, outcome, "hub").with_evidence(evidence))
}

#[test]
fn a_failure_is_read_whatever_its_kind() {
    let failed = Failed {
        error: text("cannot connect"),
        causes: vec![text("connection refused")],
        exit_code: 3,
        damaged: true,
    };
    let written = r#"{"causes":["connection refused"],"damaged":true,"error":"cannot connect","exit_code":3}"#;
    assert_eq!(failed.to_value().to_string(), written);
    for kind in ["verify", "restore", "a-kind-to-come"] {
        let read = record(kind, Outcome::Failed, failed.to_value());
        assert_eq!(Evidence::of(&read), Evidence::Failed(failed.clone()), "{kind}");
    }
    // The first versions did not tell damage.
    let first = json!({ "error": "no", "causes": [], "exit_code": 1, "seconds": 0.5 });
    let expected = Failed { error: text("no"), causes: Vec::new(), exit_code: 1, damaged: false };
    assert_eq!(Evidence::of(&record("verify", Outcome::Failed, first)), Evidence::Failed(expected));
}

#[test]
fn an_act_that_fails_without_an_error_keeps_its_evidence() {
    let evidence = json!({ "recipient": "age1new" });
    let read = Evidence::of(&record("escrow-test", Outcome::Failed, evidence));
    assert_eq!(read, Evidence::EscrowTest(EscrowTest { recipient: text("age1new") }));
    // The error of a push is one of its members.
    let evidence = json!({ "place": "/disk", "copied": [], "bytes": 0, "there": 0, "proven": 0, "newest": null,
                           "error": "no space left" });
    let read = Evidence::of(&record("push", Outcome::Failed, evidence));
    assert!(
        matches!(&read, Evidence::Push(push) if push.error.as_deref() == Some("no space left"))
    );
}

#[test]
fn an_interrupted_act_is_read_whatever_its_kind() {
    for evidence in [json!({}), json!({ "seconds": 1.5, "path": "/vault/hub.age" })] {
        let read = Evidence::of(&record("backup", Outcome::Interrupted, evidence));
        assert_eq!(read, Evidence::Interrupted);
    }
}

#[test]
fn members_to_come_are_ignored_and_kept() {
    let evidence = json!({ "database": "hub", "dropped": [], "dropped_bytes": 5 });
    let read = record("clean", Outcome::Done, evidence.clone());
    let clean = Clean { database: text("hub"), dropped: Vec::new() };
    assert_eq!(Evidence::of(&read), Evidence::Clean(clean));
    assert_eq!(read.evidence, evidence);
}

#[test]
fn what_is_not_understood_is_returned_unchanged() {
    for (kind, outcome, evidence) in [
        ("a-kind-to-come", Outcome::Done, json!({ "database": "hub", "dropped": [] })),
        // Evidence of a known kind of another shape.
        ("clean", Outcome::Done, json!({ "database": "hub" })),
        ("clean", Outcome::Done, json!({ "database": "hub", "dropped": "all" })),
        ("verify", Outcome::Done, json!({ "depth": "deeper", "sealed_bytes": 1 })),
        ("verify", Outcome::Done, json!({ "depth": "full", "sealed_bytes": -1 })),
        ("verify", Outcome::Failed, json!({ "error": "no", "causes": [], "exit_code": 256 })),
        // A list of the members is no evidence.
        ("escrow-test", Outcome::Done, json!(["age1new"])),
        ("verify", Outcome::Failed, json!(["no", [], 1, true])),
        ("backup", Outcome::Interrupted, Value::Null),
        ("backup", Outcome::Done, Value::Null),
        ("journal", Outcome::Other(text("rotated")), json!({ "records": 3, "sha256": "short" })),
    ] {
        let read = record(kind, outcome, evidence.clone());
        assert_eq!(Evidence::of(&read), Evidence::Other(evidence), "{kind}");
    }
}

#[test]
fn the_members_of_every_kind_are_added_to_objects_only() {
    let new =
        |evidence| NewRecord::new(now(), "note", Outcome::Done, "hub").with_evidence(evidence);
    let add = |new: NewRecord| new.with_duration(Duration::from_secs(2)).with_path("/a").evidence;
    assert_eq!(add(new(Value::Null)), json!({ "seconds": 2.0, "path": "/a" }));
    assert_eq!(add(new(json!({ "a": 1 }))), json!({ "a": 1, "seconds": 2.0, "path": "/a" }));
    assert_eq!(add(new(json!([1]))), json!([1]));
    let read = record("note", Outcome::Done, json!({ "seconds": "long", "path": 7 }));
    assert_eq!((read.seconds(), read.path()), (None, None));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    // Names that the kinds know, so that evidence is often nearly theirs.
    let name = prop::sample::select(vec![
        "error",
        "causes",
        "exit_code",
        "damaged",
        "database",
        "dropped",
        "recipient",
        "depth",
        "sealed_bytes",
        "place",
        "removed",
        "kept",
        "records",
        "sha256",
        "seconds",
        "path",
    ]);
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(text), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_evidence_survives(
        evidence in any_json(),
        kind in prop::sample::select(vec!["verify", "clean", "prune", "escrow-test", "journal", "note"]),
        outcome in prop::sample::select(vec!["done", "failed", "interrupted", "rotated"]),
    ) {
        let read = record(kind, Outcome::from(outcome.to_owned()), evidence.clone());
        prop_assert_eq!(&read.evidence, &evidence);
        match Evidence::of(&read) {
            Evidence::Other(other) => prop_assert_eq!(other, evidence),
            // What is understood is an object with at least these members.
            _ => prop_assert!(evidence.is_object()),
        }
    }
}
