//! A node without power, and an API server that is killed.

use gates::Answer;
use serde_json::json;
use testkit::cluster::Alone;

use super::real::Real;

#[tokio::test]
async fn a_node_that_is_stopped_closes_the_gate_and_one_that_is_back_opens_it() {
    let Some(cluster) = Alone::find() else { return };
    let nodes = cluster.nodes();
    if nodes < 2 {
        return testkit::skip("this cluster has one node only");
    }
    let real = Real::open(cluster.kubeconfig()).await;
    let asked =
        json!({ "condition": "nodes", "cluster": "home", "ready": nodes, "heartbeat": "30s" });
    real.until(asked.clone(), Answer::Pass).await;
    cluster.stop_node(nodes).unwrap();
    let verdict = real.until(asked.clone(), Answer::Fail).await;
    assert!(
        verdict.reason.contains(&format!("node{nodes}")) || verdict.reason.contains("not ready"),
        "{verdict:?}"
    );
    cluster.start_node(nodes).unwrap();
    real.until(asked, Answer::Pass).await;
}

#[tokio::test]
async fn an_api_server_that_is_killed_is_unknown_and_comes_back() {
    let Some(cluster) = Alone::find() else { return };
    let real = Real::open(cluster.kubeconfig()).await;
    let asked = json!({ "condition": "version", "cluster": "home", "at_least": "1.30" });
    real.until(asked.clone(), Answer::Pass).await;
    cluster.stop("kube-apiserver").unwrap();
    let verdict = real.ask(asked.clone()).await;
    assert_eq!(verdict.answer, Answer::Unknown, "{verdict:?}");
    cluster.start("kube-apiserver").unwrap();
    real.until(asked, Answer::Pass).await;
}
