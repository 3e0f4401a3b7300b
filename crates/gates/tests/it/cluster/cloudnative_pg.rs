//! Instances that a real operator of CloudNativePG looks after: what it says of them while they
//! come, change and fail.

use std::time::{Duration, Instant};

use gates::Answer;
use serde_json::{Value, json};
use testkit::cluster::{Alone, Handle};

use super::database::{Database, LIMIT, condition, require};
use super::real::Real;

#[tokio::test]
async fn a_second_instance_counts_when_it_is_ready_and_a_lost_primary_until_it_is_gone() {
    let Some(cluster) = Handle::find_with_operator() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let database = Database::create(&real, cluster.namespace("instances"), json!({})).await;
    let (verdict, _) = database.until(database.healthy(), Answer::Pass).await;
    eprintln!("one instance after {:.1} s", database.created.elapsed().as_secs_f64());
    let identifier = verdict.evidence["system_identifier"].clone();
    assert!(identifier.is_string(), "{verdict:?}");

    let more = json!({ "system_identifier": identifier });
    let identity = database.gate("identity", more);
    assert_eq!(database.ask(identity.clone()).await.answer, Answer::Pass);
    let other = database.gate("identity", json!({ "system_identifier": "7480000000000000001" }));
    let verdict = database.ask(other).await;
    require(&verdict, Answer::Fail, "not 7480000000000000001");
    assert!(verdict.terminal, "{verdict:?}");

    let two = database.gate("cnpg-cluster", json!({ "instances": 2 }));
    let verdict = database.ask(two.clone()).await;
    require(&verdict, Answer::Fail, "is to have 1 instances (2 required)");

    let begun = Instant::now();
    let patch = json!({ "spec": { "instances": 2 } });
    real.merge(&database.path, &patch).await;
    let verdict = database.ask(database.healthy()).await;
    assert_ne!(verdict.answer, Answer::Pass, "{verdict:?}");
    let (verdict, lies) = database.until(two, Answer::Pass).await;
    // Nothing was taken away since, so that what is true now is what the gate can have seen.
    assert_eq!(database.ready_pods().await, 2, "{verdict:?}");
    assert_eq!(database.status().await["readyInstances"], 2, "{verdict:?}");
    eprintln!("two after {:.1} s, {lies} lies", begun.elapsed().as_secs_f64());

    let primary = verdict.evidence["primary"].as_str().unwrap();
    let pod =
        format!("/api/v1/namespaces/{}/pods/{primary}?gracePeriodSeconds=0", database.namespace);
    let begun = Instant::now();
    real.delete(&pod).await;
    let verdict = database.ask(database.healthy()).await;
    assert_ne!(verdict.answer, Answer::Pass, "{verdict:?}");
    let (verdict, lies) = database.until(database.healthy(), Answer::Pass).await;
    assert_eq!(database.ready_pods().await, 2, "{verdict:?}");
    eprintln!("again after {:.1} s, {lies} lies", begun.elapsed().as_secs_f64());
    assert_eq!(verdict.evidence["system_identifier"], identifier);
    assert_eq!(verdict.evidence["timeline"], 2, "{verdict:?}");
    assert_eq!(database.ask(identity).await.answer, Answer::Pass);
    database.delete().await;
}

#[tokio::test]
async fn a_database_that_was_stopped_is_not_healthy_whatever_its_status_says() {
    let Some(cluster) = Handle::find_with_operator() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let database = Database::create(&real, cluster.namespace("stopped"), json!({})).await;
    let (verdict, _) = database.until(database.healthy(), Answer::Pass).await;
    let more = json!({ "system_identifier": verdict.evidence["system_identifier"] });
    let identity = database.gate("identity", more);

    database.annotate("cnpg.io/fencedInstances", json!(r#"["*"]"#)).await;
    let verdict = database.ask(database.healthy()).await;
    require(&verdict, Answer::Fail, "fences");
    assert!(verdict.terminal, "{verdict:?}");
    real.until(identity.clone(), Answer::Unknown).await;
    let status = database.status().await;
    assert_eq!(condition(&status, "ConsistentSystemID")["status"], "False", "{status}");
    // On a busy machine they may have been corrected before they were read.
    eprintln!(
        "the fields that lie: {}, {} ready, Ready={}, {} pods",
        status["phase"],
        status["readyInstances"],
        condition(&status, "Ready")["status"],
        database.ready_pods().await
    );
    // Only when the pod changes as well will the operator look again.
    let begun = Instant::now();
    while database.ready_pods().await > 0 {
        assert!(begun.elapsed() < LIMIT, "its pod stays ready");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    eprintln!("its pod was ready for {:.1} s more", begun.elapsed().as_secs_f64());
    database.annotate("cnpg.io/fencedInstances", Value::Null).await;
    let verdict = database.ask(database.healthy()).await;
    let is_known = verdict.evidence["system_identifier"].is_string();
    assert!(verdict.answer != Answer::Pass || is_known, "{verdict:?}");
    database.until(database.healthy(), Answer::Pass).await;
    real.until(identity, Answer::Pass).await;

    database.annotate("cnpg.io/reconciliationLoop", json!("disabled")).await;
    require(&database.ask(database.healthy()).await, Answer::Fail, "reconciliation");
    database.annotate("cnpg.io/reconciliationLoop", Value::Null).await;
    database.until(database.healthy(), Answer::Pass).await;
    database.annotate("cnpg.io/hibernation", json!("on")).await;
    require(&database.ask(database.healthy()).await, Answer::Fail, "hibernates");
    database.delete().await;
}

#[tokio::test]
async fn an_instance_whose_node_lost_its_power_is_missing_until_it_is_back() {
    let Some(cluster) = Alone::find_with_operator() else {
        return;
    };
    let last = cluster.nodes();
    if last < 2 {
        return testkit::not_applicable("this cluster has one node only");
    }
    let real = Real::open(cluster.kubeconfig()).await;
    let node = format!("node{last}");
    let there = json!({ "affinity": { "nodeSelector": { "kubernetes.io/hostname": node } } });
    let database = Database::create(&real, cluster.namespace("power"), there).await;
    database.until(database.healthy(), Answer::Pass).await;
    cluster.stop_node(last).unwrap();
    let begun = Instant::now();
    let (verdict, _) = database.until(database.healthy(), Answer::Waiting).await;
    let path = format!("/api/v1/namespaces/{}/pods/db-1", database.namespace);
    let pod = real.get(&path).await["status"].clone();
    eprintln!(
        "after {:.1} s: {}; the fields that lie: {}, ready={}",
        begun.elapsed().as_secs_f64(),
        verdict.reason,
        pod["phase"],
        pod["containerStatuses"][0]["ready"]
    );
    cluster.start_node(last).unwrap();
    database.until(database.healthy(), Answer::Pass).await;
    database.delete().await;
}
