//! Waits until a cluster has so many good nodes, and says what it sees meanwhile.
//!
//! Run it with `cargo run -p gates --example wait_for_nodes -- KUBECONFIG CONTEXT NODES [UID]`.
//! Without the UID it says which one the cluster has, and believes nothing else of it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, Instant};

use gates::{Access, Answer, Collector, Gate, Gates};
use jiff::Timestamp;

const LIMIT: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("{what} is missing"));
    let (kubeconfig, context) = (next("KUBECONFIG")?, next("CONTEXT")?);
    let nodes: usize = next("NODES")?.parse()?;
    let uid = next("UID").ok();

    // As it stands in a configuration.
    let gate: Gate = serde_json::from_value(serde_json::json!({
        "condition": "nodes", "cluster": "home", "ready": nodes, "stable_for": "10s",
    }))?;
    let gates = Gates::new([("nodes".to_owned(), gate)].into())?;
    let collector = Collector::new().with_cluster("home", Access::new(kubeconfig, context, uid));

    let begun = Instant::now();
    let mut held = std::collections::BTreeMap::new();
    loop {
        // Collect, then judge: the evidence could as well be kept, and judged elsewhere.
        let mut evidence = collector.collect(&gates.reads(&["nodes"])).await;
        let now = Timestamp::now();
        gates.hold(&["nodes"], &mut evidence, &held, now);
        let verdict = &gates.evaluate(&["nodes"], &evidence, now)["nodes"];
        println!("{}: {}", verdict.answer, verdict.reason);
        if verdict.answer == Answer::Pass {
            return Ok(());
        }
        if verdict.terminal || begun.elapsed() > LIMIT {
            return Err(verdict.hint.clone().unwrap_or_default().into());
        }
        held = evidence.held;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
