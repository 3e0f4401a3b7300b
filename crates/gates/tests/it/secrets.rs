//! Secrets in what gates ask: whatever is kept and shown has none of them, and is judged the same.

use gates::{Answer, Collector, Evidence, Gates};
use serde_json::Value;

use crate::collecting::gate;
use crate::fake_api::{FakeApi, Said};

const CANARY: &str = "canary-5d1c";

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// Everything that is kept or shown of a gate that was asked.
async fn kept(gates: &Gates) -> Vec<(&'static str, String)> {
    let now = jiff::Timestamp::now();
    let reads = gates.reads(&["gate"]);
    let evidence = Collector::new().collect(&reads).await;
    let verdict = &gates.evaluate(&["gate"], &evidence, now)["gate"];
    let request = gates.request("gate", verdict);
    let gate = gates.get("gate").unwrap();
    let kept = vec![
        ("evidence", json(&evidence)),
        ("verdict", json(verdict)),
        ("gate", json(gate)),
        ("request", format!("{request:?}")),
        ("question", reads[0].to_string()),
    ];
    // What was kept is judged as it was, by the gate that was kept and by the one that is configured.
    let again = Evidence::parse(&kept[0].1).unwrap();
    let copy: gates::Gate = serde_json::from_str(&kept[2].1).unwrap();
    let copies = Gates::new([("gate".to_owned(), copy)].into()).unwrap();
    for gates in [gates, &copies] {
        let again = &gates.evaluate(&["gate"], &again, now)["gate"];
        assert_eq!((again.answer, &again.reason), (verdict.answer, &verdict.reason));
        assert_eq!(again.digest(), verdict.digest());
    }
    assert_eq!(verdict.answer, Answer::Pass, "{verdict:?}");
    kept
}

async fn assert_kept_without_secrets(table: Value) {
    for (what, text) in kept(&gate(table.clone())).await {
        assert!(!text.contains(CANARY), "{what} of {table}: {text}");
    }
}

#[tokio::test]
async fn secrets_in_an_address_are_kept_nowhere() {
    // As servers do, it repeats what it was asked.
    let api = FakeApi::start(|path, _| Said::new(200, format!("ok: {path}"))).await;
    let text = fs_err::read_to_string(api.kubeconfig()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let server = value["clusters"][0]["cluster"]["server"].as_str().unwrap();
    for query in [
        format!("?token={CANARY}"),
        format!("?full=1&access_token={CANARY}#x"),
        format!("?{CANARY}"),
    ] {
        let url = format!("{server}/health{query}");
        assert_kept_without_secrets(serde_json::json!({
            "condition": "http", "url": url, "expect": "ok: /health",
        }))
        .await;
    }
    assert!(api.asked()[0].contains(CANARY), "it was asked with the token");
}

#[tokio::test]
async fn secrets_in_a_script_and_its_words_are_kept_nowhere() {
    assert_kept_without_secrets(serde_json::json!({
        "condition": "script",
        "run": ["echo", format!("https://hub:{CANARY}@h/?token={CANARY}"), "--password", CANARY],
        "scope": format!("postgresql://hub:{CANARY}@h/d answers"),
    }))
    .await;
}

#[tokio::test]
async fn secrets_in_what_is_approved_are_kept_nowhere() {
    let gates = gate(serde_json::json!({
        "condition": "port", "address": format!("127.0.0.1:{}", testkit::free_port()),
        "approval": {
            "signers": "approvers", "expires": "1h",
            "consequences": [format!("postgresql://hub:{CANARY}@h/d is written to")],
            "way_back": format!("psql postgresql://hub:{CANARY}@h/d"),
        },
    }));
    let evidence = Collector::new().collect(&gates.reads(&["gate"])).await;
    let verdict = &gates.evaluate(&["gate"], &evidence, jiff::Timestamp::now())["gate"];
    let request = gates.request("gate", verdict);
    let shown = format!("{request:?}");
    assert!(shown.contains("hub:(removed)@h/d") && !shown.contains(CANARY), "{shown}");
}
