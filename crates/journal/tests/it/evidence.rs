//! Evidence is written as it always was, and read back, known or not.

use journal::evidence::{
    Approve, Backup, Check, Clean, Copy, CopySource, Depth, Drill, Ended, EscrowTest, Evidence,
    Failed, GateScript, Import, Imported, Kind, Phases, Prune, Pull, Push, Recovered, Rekey,
    Rekeyed, Restore, Rotated, Verdict, Verify,
};
use journal::{Hash, NewRecord, Outcome, Record};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::{journal_of, now};

/// The record as a reader of the journal gets it.
fn appended(new: NewRecord) -> Record {
    let (_directory, journal) = journal_of(0);
    journal.append(new).unwrap();
    journal.read().unwrap().remove(0)
}

fn record(kind: &str, outcome: Outcome, evidence: Value) -> Record {
    appended(NewRecord::new(now(), kind, outcome, "hub").with_evidence(evidence))
}

/// Asserts that evidence is written as this text, and read back from it as `known`.
#[track_caller]
fn require<E: Kind + Clone>(evidence: &E, known: impl Fn(E) -> Evidence, kind: &str, text: &str) {
    let new = NewRecord::of(now(), Outcome::Done, "hub", evidence);
    assert_eq!((new.kind.as_str(), new.evidence.to_string().as_str()), (kind, text));
    let new = new.with_duration(Duration::from_micros(1_500_400)).with_path("/vault/hub.age");
    let read = appended(new);
    assert_eq!(Evidence::of(&read), known(evidence.clone()));
    assert_eq!((read.seconds(), read.path()), (Some(1.5), Some("/vault/hub.age")));
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn phases() -> Phases {
    [(text("rows"), 1.25), (text("indexes"), 0.0)].into()
}

#[test]
fn acts_on_backups_are_written_as_they_always_were() {
    let backup = Backup {
        id: text("20261121T161200Z"),
        state: text("verified"),
        sealed_bytes: 4096,
        sha256: text("ab"),
        site: text("home"),
        payload: json!({ "schema": "hubctl.payload.v1", "rows": 3 }),
    };
    require(
        &backup,
        Evidence::Backup,
        "backup",
        r#"{"id":"20261121T161200Z","payload":{"rows":3,"schema":"hubctl.payload.v1"},"sealed_bytes":4096,"sha256":"ab","site":"home","state":"verified"}"#,
    );
    let full = Verify { depth: Depth::Full, tables: Some(14), rows: Some(3), sealed_bytes: 4096 };
    require(
        &full,
        Evidence::Verify,
        "verify",
        r#"{"depth":"full","rows":3,"sealed_bytes":4096,"tables":14}"#,
    );
    let quick = Verify { depth: Depth::Quick, tables: None, rows: None, sealed_bytes: 4096 };
    require(
        &quick,
        Evidence::Verify,
        "verify",
        r#"{"depth":"quick","rows":null,"sealed_bytes":4096,"tables":null}"#,
    );
    let import = Import {
        imported: vec![Imported { id: text("20261121T161200Z"), from: text("/old/hub.age") }],
        failed: 1,
    };
    require(
        &import,
        Evidence::Import,
        "import",
        r#"{"failed":1,"imported":[{"from":"/old/hub.age","id":"20261121T161200Z"}]}"#,
    );
    let rekey = Rekey {
        recipients: vec![text("age1new")],
        backups: vec![Rekeyed {
            id: text("20261121T161200Z"),
            from: vec![text("age1old")],
            new_id: Some(text("20261121T161200Z-2")),
            error: None,
        }],
    };
    require(
        &rekey,
        Evidence::Rekey,
        "rekey",
        r#"{"backups":[{"error":null,"from":["age1old"],"id":"20261121T161200Z","new_id":"20261121T161200Z-2"}],"recipients":["age1new"]}"#,
    );
    let prune = Prune { place: text("/vault"), removed: vec![text("20261121T161200Z")], kept: 6 };
    require(
        &prune,
        Evidence::Prune,
        "prune",
        r#"{"kept":6,"place":"/vault","removed":["20261121T161200Z"]}"#,
    );
    let test = EscrowTest { recipient: text("age1new") };
    require(&test, Evidence::EscrowTest, "escrow-test", r#"{"recipient":"age1new"}"#);
}

#[test]
fn drills_are_written_as_they_always_were() {
    let passed = Drill {
        verdict: Verdict::Passed,
        place: text("a scratch server (PostgreSQL 16.4)"),
        taken_at: Some(text("2026-11-21T16:12:00Z")),
        age_seconds: Some(60),
        tables: 14,
        rows: 3,
        checks: vec![Check {
            name: text("users"),
            sql: text("SELECT count(*) > 0 FROM users"),
            expect: text("t"),
            found: Some(text("t")),
            error: None,
            passed: true,
        }],
        phases: Some(phases()),
        error: None,
        damaged: false,
        page: None,
    };
    require(
        &passed,
        Evidence::Drill,
        "drill",
        concat!(
            r#"{"age_seconds":60,"checks":[{"error":null,"expect":"t","found":"t","name":"users","passed":true,"sql":"SELECT count(*) > 0 FROM users"}],"#,
            r#""damaged":false,"error":null,"page":null,"phases":{"indexes":0.0,"rows":1.25},"place":"a scratch server (PostgreSQL 16.4)","#,
            r#""rows":3,"tables":14,"taken_at":"2026-11-21T16:12:00Z","verdict":"passed"}"#,
        ),
    );
    let not_done = Drill {
        verdict: Verdict::NotDone,
        place: String::new(),
        taken_at: None,
        age_seconds: None,
        tables: 0,
        rows: 0,
        checks: Vec::new(),
        phases: None,
        error: Some(text("no server")),
        damaged: false,
        page: Some(text("/pages/1.md")),
    };
    require(
        &not_done,
        Evidence::Drill,
        "drill",
        r#"{"age_seconds":null,"checks":[],"damaged":false,"error":"no server","page":"/pages/1.md","phases":null,"place":"","rows":0,"tables":0,"taken_at":null,"verdict":"not done"}"#,
    );
}

#[test]
fn acts_on_targets_are_written_as_they_always_were() {
    let push = Push {
        place: text("sftp://hub@host/backups"),
        copied: vec![text("20261121T161200Z")],
        bytes: 4096,
        there: 5,
        proven: 2,
        newest: Some(text("2026-11-21T16:12:00Z")),
        error: None,
    };
    require(
        &push,
        Evidence::Push,
        "push",
        r#"{"bytes":4096,"copied":["20261121T161200Z"],"error":null,"newest":"2026-11-21T16:12:00Z","place":"sftp://hub@host/backups","proven":2,"there":5}"#,
    );
    let pull = Pull { target: text("cloud"), fetched: vec![text("20261121T161200Z")], bytes: 4096 };
    require(
        &pull,
        Evidence::Pull,
        "pull",
        r#"{"bytes":4096,"fetched":["20261121T161200Z"],"target":"cloud"}"#,
    );
}

#[test]
fn acts_on_databases_are_written_as_they_always_were() {
    let restore = Restore {
        site: Some(text("home")),
        database: text("hub"),
        kept: Some(text("hub__kept_1")),
        bytes: None,
        tables: 14,
        rows: 3,
        phases: Some(phases()),
        unproven: None,
    };
    require(
        &restore,
        Evidence::Restore,
        "restore",
        r#"{"database":"hub","kept":"hub__kept_1","phases":{"indexes":0.0,"rows":1.25},"rows":3,"site":"home","tables":14}"#,
    );
    let plain = Restore {
        site: None,
        database: text("hub"),
        kept: None,
        bytes: Some(4096),
        tables: 14,
        rows: 3,
        phases: None,
        unproven: Some(vec![text("that no row is missing")]),
    };
    require(
        &plain,
        Evidence::Restore,
        "restore",
        r#"{"bytes":4096,"database":"hub","kept":null,"rows":3,"tables":14,"unproven":["that no row is missing"]}"#,
    );
    let copy = Copy {
        from: text("old"),
        source: CopySource {
            database: text("hub"),
            database_oid: 16384,
            server_version: text("16.4"),
            system_identifier: None,
            taken_at: text("2026-11-21T16:12:00Z"),
            lsn: text("0/1A2B3C"),
            bytes: 120,
            digest: text("0f"),
        },
        site: text("new"),
        database: text("hub"),
        kept: None,
        tables: 14,
        rows: 3,
        digest_found: Some(text("0f")),
        verdict: Some(text("equal")),
        phases: phases(),
    };
    require(
        &copy,
        Evidence::Copy,
        "copy",
        concat!(
            r#"{"database":"hub","digest_found":"0f","from":"old","kept":null,"phases":{"indexes":0.0,"rows":1.25},"rows":3,"site":"new","source":"#,
            r#"{"bytes":120,"database":"hub","database_oid":16384,"digest":"0f","lsn":"0/1A2B3C","server_version":"16.4","#,
            r#""system_identifier":null,"taken_at":"2026-11-21T16:12:00Z"},"tables":14,"verdict":"equal"}"#,
        ),
    );
    let clean = Clean { database: text("hub"), dropped: vec![text("hub__kept_1")] };
    require(&clean, Evidence::Clean, "clean", r#"{"database":"hub","dropped":["hub__kept_1"]}"#);
}

#[test]
fn acts_on_gates_are_written_as_they_always_were() {
    let approve = Approve {
        gate: text("cutover"),
        principal: text("alice@example.org"),
        files: vec![text("/approvals/cutover.1.json")],
        revoked: false,
        plan_hash: Some(text("0a")),
        evidence_hash: Some(text("0b")),
        expires_at: Some(text("2026-11-21T20:12:00Z")),
    };
    require(
        &approve,
        Evidence::Approve,
        "approve",
        r#"{"evidence_hash":"0b","expires_at":"2026-11-21T20:12:00Z","files":["/approvals/cutover.1.json"],"gate":"cutover","plan_hash":"0a","principal":"alice@example.org","revoked":false}"#,
    );
    let run = GateScript {
        script: json!({ "ask": "script", "run": ["./check"], "limit_seconds": 30, "scope": "all is well" }),
        ended: Ended {
            exit_code: Some(0),
            signal: None,
            timed_out_after_seconds: None,
            seconds: Some(0.1),
            output_sha256: Some(text("0c")),
        },
    };
    require(
        &run,
        Evidence::GateScript,
        "gate-script",
        concat!(
            r#"{"ended":{"exit_code":0,"output_sha256":"0c","seconds":0.1},"#,
            r#""script":{"ask":"script","limit_seconds":30,"run":["./check"],"scope":"all is well"}}"#,
        ),
    );
}

#[test]
fn acts_of_the_journal_are_told_apart() {
    let sha256 = Hash::GENESIS;
    let recovered = Recovered { torn_bytes: 18, sha256 };
    let zeros = "0".repeat(64);
    let written = format!(r#"{{"sha256":"{zeros}","torn_bytes":18}}"#);
    require(&recovered, Evidence::Recovered, "journal", &written);
    let rotated = Rotated { records: 3, sha256 };
    let written = format!(r#"{{"records":3,"sha256":"{zeros}"}}"#);
    require(&rotated, Evidence::Rotated, "journal", &written);
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
            prop::collection::btree_map(name.clone().prop_map(text_of), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn text_of(name: &str) -> String {
    name.to_owned()
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
