//! A large cluster, measured: 1000 nodes and 10 000 pods, from a FAKE API server. Nothing but the
//! answer is asserted. A small one is among the tests.

use std::time::{Duration, Instant};

use gates::{Access, Answer, Collector, Condition, Kind, Pace, Read};
use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Said, UID};

/// The number of objects of each kind.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    pods: usize,
    page: usize,
}

/// About 6 kB, as real pods are: most of it is managed fields, variables and volumes, which are not
/// kept.
fn pod(number: usize, nodes: usize) -> Value {
    let filler: Vec<Value> = (0..40)
        .map(|index| json!({ "name": format!("VARIABLE_{index}"), "value": "x".repeat(60) }))
        .collect();
    json!({
        "metadata": {
            "name": format!("pod-@page-{number}"), "namespace": "databases", "uid": format!("@page-{number}"),
            "resourceVersion": "1", "labels": { "app": "hub" },
            "managedFields": [{ "manager": "kubelet", "fieldsV1": { "f:status": "y".repeat(1500) } }],
        },
        "spec": { "nodeName": format!("node-{}", number % nodes), "containers": [{ "name": "c", "image": "i", "env": filler }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

fn node(number: usize, now: &str) -> Value {
    json!({
        "metadata": { "name": format!("node-@page-{number}"), "uid": format!("@page-{number}"), "resourceVersion": "1" },
        "spec": {},
        "status": {
            "conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": now }],
            "images": [{ "names": ["z".repeat(3000)] }],
        },
    })
}

/// A page of a list, with `@page` in each name, and `@next` where the next one is named.
fn page(items: impl Iterator<Item = Value>) -> String {
    let items: Vec<Value> = items.collect();
    json!({ "kind": "List", "metadata": { "continue": "@next" }, "items": items }).to_string()
}

#[tokio::test]
async fn twenty_nodes_and_two_hundred_pods_in_pages() {
    let size = Size { nodes: 20, pods: 200, page: 10 };
    measure(size).await;
}

#[tokio::test]
#[ignore = "measures: run it alone, with --nocapture"]
async fn a_thousand_nodes_and_ten_thousand_pods() {
    let size = Size { nodes: 1000, pods: 10_000, page: 500 };
    measure(size).await;
}

async fn measure(size: Size) {
    let now = jiff::Timestamp::now().to_string();
    // Made before the clock runs, since making JSON takes longer here than reading it.
    let pods = page((0..size.page).map(|number| pod(number, size.nodes)));
    let nodes = page((0..size.page).map(|number| node(number, &now)));
    let api = FakeApi::start(move |path, _| {
        let start: usize =
            path.split_once("continue=").map_or(0, |(_, start)| start.parse().unwrap());
        let (total, page) = match path {
            path if path.contains("/pods") => (size.pods, pods.as_str()),
            path if path.contains("/nodes") => (size.nodes, nodes.as_str()),
            _ => return Said::list([], None),
        };
        let end = start + size.page;
        let next = if end < total { end.to_string() } else { String::new() };
        Said::new(200, page.replace("@page", &start.to_string()).replace("@next", &next))
    })
    .await;
    let mut pace = Pace::default();
    pace.question = Duration::from_secs(120);
    let access = Access::new(api.kubeconfig(), "home", Some(UID.to_owned())).with_pace(pace);
    let collector = Collector::new().with_cluster("home", access);
    let nodes: Condition = serde_json::from_value(
        json!({ "condition": "nodes", "cluster": "home", "ready": size.nodes }),
    )
    .unwrap();
    let mut reads = nodes.reads();
    let pods: Kind = serde_json::from_value(
        json!({ "group": "", "version": "v1", "plural": "pods", "kind": "Pod" }),
    )
    .unwrap();
    reads.push(Read::List {
        cluster: "home".to_owned(),
        kind: pods,
        namespace: None,
        labels: None,
    });

    let before = peak();
    let begun = Instant::now();
    let evidence = collector.collect(&reads).await;
    let collected = begun.elapsed();
    let verdict = nodes.judge(&evidence, jiff::Timestamp::now());
    let judged = begun.elapsed() - collected;
    assert_eq!(verdict.answer, Answer::Pass, "{verdict:?}");
    println!(
        "collected in {collected:.2?} (the fake server included), judged in {judged:.2?}, peak of memory {} MiB, {} MiB before",
        peak() / 1024,
        before / 1024
    );
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
