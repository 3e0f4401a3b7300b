//! Evidence from a FAKE API server that is slow, busy, forgetful, or not Kubernetes at all; and
//! from this machine.

use std::time::Duration;

use gates::{
    Absence, Access, Answer, Collector, Content, Gate, Gates, Pace, Read, Reading, Verdict,
};
use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Said, UID};

/// Short, so that nothing waits long; and a page of two.
pub(crate) fn pace() -> Pace {
    let mut pace = Pace::default();
    pace.request = Duration::from_millis(600);
    pace.question = Duration::from_secs(6);
    pace.page = 2;
    pace
}

pub(crate) fn collector(api: &FakeApi) -> Collector {
    let access = Access::new(api.kubeconfig(), "home", Some(UID.to_owned())).with_pace(pace());
    Collector::new().with_cluster("home", access)
}

pub(crate) fn gate(table: Value) -> Gates {
    let gate: Gate = serde_json::from_value(table).unwrap();
    Gates::new([("gate".to_owned(), gate)].into()).unwrap()
}

pub(crate) fn class() -> Gates {
    gate(json!({ "condition": "storage-class", "cluster": "home", "name": "class-3" }))
}

pub(crate) async fn judge(gates: &Gates, collector: &Collector) -> Verdict {
    let evidence = collector.collect(&gates.reads(&["gate"])).await;
    let now = jiff::Timestamp::now();
    gates.evaluate(&["gate"], &evidence, now).remove("gate").unwrap()
}

pub(crate) async fn absence(gates: &Gates, collector: &Collector) -> Absence {
    let evidence = collector.collect(&gates.reads(&["gate"])).await;
    match &evidence.readings()[0].content {
        Content::Absent(absence) => absence.clone(),
        found @ Content::Found(_) => panic!("{found:?}"),
    }
}

pub(crate) fn named(number: u32) -> Value {
    json!({ "metadata": { "name": format!("class-{number}"), "uid": number.to_string() }, "provisioner": "x" })
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let api = FakeApi::start(|path, _| match path {
        path if path.ends_with("?limit=2") => Said::list([named(1), named(2)], Some("a/b=")),
        _ => Said::list([named(3)], None),
    })
    .await;
    let verdict = judge(&class(), &collector(&api)).await;
    assert_eq!(verdict.answer, Answer::Pass, "{verdict:?}");
    assert_eq!(
        api.asked(),
        [
            "/apis/storage.k8s.io/v1/storageclasses?limit=2",
            "/apis/storage.k8s.io/v1/storageclasses?limit=2&continue=a%2Fb%3D"
        ]
    );
}

#[tokio::test]
async fn a_list_that_is_gone_begins_anew() {
    let api = FakeApi::start(|path, count| match path {
        path if path.ends_with("?limit=2") => Said::list([named(3)], Some(&format!("page{count}"))),
        path if path.ends_with("page1") => Said::status(410, "Expired"),
        _ => Said::list([named(2)], None),
    })
    .await;
    let verdict = judge(&class(), &collector(&api)).await;
    assert_eq!(verdict.answer, Answer::Pass, "{verdict:?}");
    assert_eq!(api.asked().len(), 4, "{:?}", api.asked());
}

#[tokio::test]
async fn a_list_that_is_gone_each_time_is_unknown() {
    let api = FakeApi::start(|path, count| {
        if path.ends_with("?limit=2") {
            Said::list([named(3)], Some(&format!("page{count}")))
        } else {
            Said::status(410, "Expired")
        }
    })
    .await;
    assert_eq!(absence(&class(), &collector(&api)).await, Absence::Gone);
    assert_eq!(judge(&class(), &collector(&api)).await.answer, Answer::Unknown);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_so() {
    let api = FakeApi::start(|_, count| match count {
        1 => Said::status(429, "TooManyRequests").with("retry-after", "1"),
        2 => Said::status(503, "ServiceUnavailable"),
        _ => Said::list([named(3)], None),
    })
    .await;
    assert_eq!(judge(&class(), &collector(&api)).await.answer, Answer::Pass);
    assert_eq!(api.asked().len(), 3);
}

#[tokio::test]
async fn who_asks_for_more_time_than_there_is_gets_none() {
    let api =
        FakeApi::start(|_, _| Said::status(429, "TooManyRequests").with("retry-after", "3600"))
            .await;
    assert_eq!(absence(&class(), &collector(&api)).await, Absence::Overloaded { status: 429 });
    assert_eq!(api.asked().len(), 1);
}

#[tokio::test]
async fn a_slow_server_is_not_waited_for() {
    let api = FakeApi::start(|_, _| Said::list([], None).after(Duration::from_secs(3600))).await;
    let absence = absence(&class(), &collector(&api)).await;
    assert!(matches!(absence, Absence::TimedOut { .. }), "{absence:?}");
}

#[tokio::test]
async fn pages_of_others_are_not_kubernetes() {
    for status in [200, 302, 403, 404, 502] {
        let api = FakeApi::start(move |_, _| Said::html(status)).await;
        let absence = absence(&class(), &collector(&api)).await;
        let is_told = match absence {
            Absence::NotKubernetes { status: said, .. } => said == status,
            // A proxy without anybody behind it.
            Absence::Overloaded { status: said } => said == status && status == 502,
            _ => false,
        };
        assert!(is_told, "{status}: {absence:?}");
    }
}

#[tokio::test]
async fn a_verb_that_is_missing_is_named() {
    let api = FakeApi::start(|_, _| Said::status(403, "Forbidden")).await;
    let verdict = judge(&class(), &collector(&api)).await;
    assert_eq!(verdict.answer, Answer::Unknown);
    let hint = verdict.hint.unwrap();
    assert!(hint.contains("`list` on storageclasses.storage.k8s.io"), "{hint}");
}

#[tokio::test]
async fn a_kind_that_nobody_serves_is_not_installed() {
    let api = FakeApi::start(|_, _| {
        Said::new(404, "404 page not found\n").with("content-type", "text/plain")
    })
    .await;
    let gates = gate(json!({ "condition": "longhorn-volume", "cluster": "home", "pvc": "a/b" }));
    let verdict = judge(&gates, &collector(&api)).await;
    assert_eq!(verdict.answer, Answer::Fail);
    assert!(
        verdict.terminal && verdict.reason.contains("Longhorn is not installed"),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn another_cluster_is_not_believed() {
    let api = FakeApi::start(|_, _| Said::list([named(3)], None)).await;
    for (uid, said) in [(Some("else".to_owned()), "wrong cluster"), (None, "not pinned")] {
        let access = Access::new(api.kubeconfig(), "home", uid).with_pace(pace());
        let collector = Collector::new().with_cluster("home", access);
        let verdict = judge(&class(), &collector).await;
        assert_eq!(verdict.answer, Answer::Unknown);
        assert!(verdict.reason.contains(said) && verdict.reason.contains(UID), "{verdict:?}");
    }
    assert_eq!(api.asked(), Vec::<String>::new(), "nothing else is asked of a strange cluster");
}

#[tokio::test]
async fn a_context_that_is_not_there_and_a_server_that_is_gone_are_unknown() {
    let api = FakeApi::start(|_, _| Said::list([named(3)], None)).await;
    let access = Access::new(api.kubeconfig(), "elsewhere", Some(UID.to_owned())).with_pace(pace());
    let verdict = judge(&class(), &Collector::new().with_cluster("home", access)).await;
    assert!(
        verdict.answer == Answer::Unknown && verdict.reason.contains("elsewhere"),
        "{verdict:?}"
    );

    let verdict = judge(&class(), &Collector::new()).await;
    assert!(verdict.reason.contains("no cluster `home` is configured"), "{verdict:?}");

    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let port = testkit::free_port();
    let text = fs_err::read_to_string(api.kubeconfig()).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["clusters"][0]["cluster"]["server"] = json!(format!("http://127.0.0.1:{port}"));
    fs_err::write(&kubeconfig, value.to_string()).unwrap();
    let access = Access::new(kubeconfig, "home", Some(UID.to_owned())).with_pace(pace());
    let verdict = judge(&class(), &Collector::new().with_cluster("home", access)).await;
    assert!(
        verdict.answer == Answer::Unknown && verdict.reason.contains("no answer"),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn ages_are_counted_by_the_clock_of_the_server() {
    // Its clock is an hour behind, and so are the times it writes.
    let there = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let date = there.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let node = json!({
        "metadata": { "name": "node1", "uid": "1" },
        "status": { "conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": there.to_string() }] },
    });
    let api = FakeApi::start(move |path, _| {
        let said = if path.contains("leases") {
            Said::list([], None)
        } else {
            Said::list([node.clone()], None)
        };
        said.with("date", &date)
    })
    .await;
    let gates = gate(json!({ "condition": "nodes", "cluster": "home", "ready": 1 }));
    let evidence = collector(&api).collect(&gates.reads(&["gate"])).await;
    let skew = evidence.readings()[0].skew_seconds.unwrap();
    assert!((-3601.5..-3590.0).contains(&skew), "{skew}");
    let verdict = judge(&gates, &collector(&api)).await;
    assert_eq!(verdict.answer, Answer::Pass, "{verdict:?}");
}

pub(crate) fn script(run: &[&str], expires: Option<&str>) -> Gates {
    let mut table = json!({ "condition": "script", "run": run, "scope": "nothing", "limit": "1s" });
    if let Some(expires) = expires {
        table["expires"] = json!(expires);
    }
    gate(table)
}

#[tokio::test]
async fn a_script_ends_as_it_ends() {
    for (run, answer, said) in [
        (&["true"][..], Answer::Pass, "which proves: nothing"),
        (&["sh", "-c", "echo no primary >&2; exit 1"], Answer::Fail, "exit code 1: no primary"),
        (&["sh", "-c", "kill -9 $$"], Answer::Unknown, "signal 9"),
        (&["sleep", "60"], Answer::Unknown, "did not end within 1s"),
        (&["/nonexistent/program"], Answer::Unknown, "cannot be started"),
    ] {
        let verdict = judge(&script(run, None), &Collector::new()).await;
        assert_eq!(verdict.answer, answer, "{run:?}: {verdict:?}");
        assert!(verdict.reason.contains(said), "{run:?}: {}", verdict.reason);
    }
}

#[tokio::test]
async fn what_a_script_started_ends_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let text = format!("sleep 600 & echo $! > {}; wait", pid.display());
    let verdict = judge(&script(&["sh", "-c", &text], None), &Collector::new()).await;
    assert_eq!(verdict.answer, Answer::Unknown, "{verdict:?}");
    let pid = fs_err::read_to_string(pid).unwrap();
    let process = std::path::Path::new("/proc").join(pid.trim());
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while process.exists() && !is_zombie(&process) {
        assert!(std::time::Instant::now() < deadline, "{} is still there", process.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn is_zombie(process: &std::path::Path) -> bool {
    fs_err::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[tokio::test]
async fn a_success_that_stands_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let runs = directory.path().join("runs");
    let text = format!("echo run >> {}", runs.display());
    let gates = script(&["sh", "-c", &text], Some("1h"));
    let reads = gates.reads(&["gate"]);
    let first = Collector::new().collect(&reads).await;
    let kept: Vec<Reading> = first.readings().to_vec();
    let again = Collector::new().keeping(kept.clone()).collect(&reads).await;
    assert_eq!(again.readings(), first.readings());
    assert_eq!(fs_err::read_to_string(&runs).unwrap().lines().count(), 1);

    // One that is too old, and one that failed, stand for nothing.
    let old = kept[0].observed_at - jiff::SignedDuration::from_hours(2);
    let old = Reading::new(kept[0].read.clone(), old, kept[0].content.clone());
    let failed = Content::Found(json!({ "exit_code": 1 }));
    let failed = Reading::new(kept[0].read.clone(), kept[0].observed_at, failed);
    for stale in [old, failed] {
        Collector::new().keeping([stale]).collect(&reads).await;
    }
    assert_eq!(fs_err::read_to_string(&runs).unwrap().lines().count(), 3);
}

#[tokio::test]
async fn ports_and_disks_are_asked_here() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let free = format!("127.0.0.1:{}", testkit::free_port());
    for (table, answer) in [
        (json!({ "condition": "tcp", "address": address }), Answer::Pass),
        (json!({ "condition": "tcp", "address": free }), Answer::Fail),
        (json!({ "condition": "port", "address": address }), Answer::Fail),
        (json!({ "condition": "port", "address": free }), Answer::Pass),
        (json!({ "condition": "disk", "path": "/", "free": "1B" }), Answer::Pass),
        (json!({ "condition": "disk", "path": "/", "free": "9000TB" }), Answer::Fail),
        (json!({ "condition": "disk", "path": "/nonexistent", "free": "1B" }), Answer::Unknown),
    ] {
        let verdict = judge(&gate(table.clone()), &Collector::new()).await;
        assert_eq!(verdict.answer, answer, "{table}: {verdict:?}");
    }
}

#[tokio::test]
async fn http_is_asked_as_it_is() {
    let api = FakeApi::start(|path, _| match path {
        "/state/health" => Said::new(200, "{\"status\":\"ok\"}"),
        _ => Said::new(503, ""),
    })
    .await;
    let text = fs_err::read_to_string(api.kubeconfig()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let server = value["clusters"][0]["cluster"]["server"].as_str().unwrap();
    for (path, expect, answer) in [
        ("/state/health", "\"ok\"", Answer::Pass),
        ("/state/health", "\"up\"", Answer::Fail),
        ("/else", "", Answer::Fail),
    ] {
        let table =
            json!({ "condition": "http", "url": format!("{server}{path}"), "expect": expect });
        let verdict = judge(&gate(table), &Collector::new()).await;
        assert_eq!(verdict.answer, answer, "{path}: {verdict:?}");
    }
    let url = format!("http://127.0.0.1:{}/", testkit::free_port());
    let verdict = judge(&gate(json!({ "condition": "http", "url": url })), &Collector::new()).await;
    assert_eq!(verdict.answer, Answer::Unknown, "{verdict:?}");
}

#[tokio::test]
async fn the_journal_is_believed_only_whole() {
    use journal::{Journal, NewRecord, Outcome};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.jsonl");
    let gates = gate(json!({ "condition": "journal", "record": "drill", "max_age": "24h" }));
    let collector = Collector::new().with_journal(&path);
    assert_eq!(judge(&gates, &collector).await.answer, Answer::Fail, "there is none yet");

    let now = jiff::Timestamp::now();
    let taken = now - jiff::SignedDuration::from_hours(2);
    let new = NewRecord::new(now.into(), "drill", Outcome::Done, "state-hub-1")
        .with_evidence(json!({ "taken_at": taken.to_string(), "rows": 120 }));
    Journal::open(&path).unwrap().append(new).unwrap();
    let verdict = judge(&gates, &collector).await;
    assert_eq!(verdict.answer, Answer::Pass, "{verdict:?}");
    assert!(verdict.reason.contains("2h"), "{}", verdict.reason);

    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("120", "121")).unwrap();
    let verdict = judge(&gates, &collector).await;
    assert!(verdict.answer == Answer::Unknown && verdict.reason.contains("damaged"), "{verdict:?}");
}

#[tokio::test]
async fn nothing_asked_is_nothing_read() {
    let evidence = Collector::new().collect(&[]).await;
    assert_eq!(evidence.readings(), []);
    let read: Read =
        serde_json::from_value(json!({ "ask": "program", "question": "x", "about": "null" }))
            .unwrap();
    let evidence = Collector::new().collect(&[read]).await;
    assert!(matches!(evidence.readings()[0].content, Content::Absent(Absence::Failed { .. })));
}
