//! Evidence of every kind is written as it always was.

use std::time::Duration;

use journal::evidence::{
    Approve, Backup, Check, Clean, Copy, CopySource, Cutover, CutoverEnd, Depth, Drill, Ended,
    EscrowTest, Evidence, Freeze, GateScript, Import, Imported, Kind, Phases, Prune, Pull, Push,
    Recovered, Rekey, Rekeyed, Restore, Rotated, Strength, Thaw, Verdict, Verify,
};
use journal::{Hash, NewRecord, Outcome};
use serde_json::json;

use crate::support::{appended, now, text};

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
fn acts_on_fences_are_written_as_they_always_were() {
    let begun = Freeze {
        database: text("hub"),
        strength: Strength::Hard,
        record: text("/fences/home.json"),
        fence: None,
        behind: None,
        ended: None,
        resumed: None,
    };
    require(
        &begun,
        Evidence::Freeze,
        "freeze",
        r#"{"database":"hub","record":"/fences/home.json","strength":"hard"}"#,
    );
    let frozen = Freeze {
        fence: Some(text("20261121161200ab12")),
        behind: Some(text("hub__frozen_20261121161200ab12")),
        ended: Some(2),
        resumed: Some(false),
        ..begun
    };
    require(
        &frozen,
        Evidence::Freeze,
        "freeze",
        concat!(
            r#"{"behind":"hub__frozen_20261121161200ab12","database":"hub","ended":2,"fence":"20261121161200ab12","#,
            r#""record":"/fences/home.json","resumed":false,"strength":"hard"}"#,
        ),
    );
    let thaw = Thaw {
        database: text("hub"),
        fence: Some(text("20261121161200ab12")),
        strength: Some(Strength::Soft),
        lost: vec![],
    };
    require(
        &thaw,
        Evidence::Thaw,
        "thaw",
        r#"{"database":"hub","fence":"20261121161200ab12","lost":[],"strength":"soft"}"#,
    );
}

#[test]
fn cutovers_are_written_as_they_always_were() {
    let begun = Cutover {
        run: text("20261201150000ab12"),
        from: text("workstation"),
        to: text("cluster"),
        mode: text("delta"),
        epoch: 2,
        freeze_budget: 120,
        source: CutoverEnd {
            database: text("hub"),
            system_identifier: Some(text("7300000000000000001")),
            database_oid: Some(16384),
        },
        target: CutoverEnd { database: text("hub"), system_identifier: None, database_oid: None },
        outcome: None,
        frozen_ms: None,
    };
    require(
        &begun,
        Evidence::Cutover,
        "cutover",
        concat!(
            r#"{"epoch":2,"freeze_budget":120,"from":"workstation","mode":"delta","run":"20261201150000ab12","#,
            r#""source":{"database":"hub","database_oid":16384,"system_identifier":"7300000000000000001"},"#,
            r#""target":{"database":"hub","database_oid":null,"system_identifier":null},"to":"cluster"}"#,
        ),
    );
    let done = Cutover { outcome: Some(text("done")), frozen_ms: Some(3_210), ..begun };
    require(
        &done,
        Evidence::Cutover,
        "cutover",
        concat!(
            r#"{"epoch":2,"freeze_budget":120,"from":"workstation","frozen_ms":3210,"mode":"delta","outcome":"done","#,
            r#""run":"20261201150000ab12","source":{"database":"hub","database_oid":16384,"#,
            r#""system_identifier":"7300000000000000001"},"#,
            r#""target":{"database":"hub","database_oid":null,"system_identifier":null},"to":"cluster"}"#,
        ),
    );
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
