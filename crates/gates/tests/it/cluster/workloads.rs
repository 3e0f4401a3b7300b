//! Real nodes, claims, pods and jobs, through what happens to them.

use gates::{Answer, Collector};
use serde_json::{Value, json};
use testkit::cluster::Handle;

use super::real::{Real, judge};

/// On every node of ours.
const IMAGE: &str = "postgres:17";

fn pod(command: &[&str]) -> Value {
    json!({
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": command }],
    })
}

#[tokio::test]
async fn nodes_version_clock_and_identity_of_a_real_cluster() {
    let Some(cluster) = Handle::find() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let nodes = real.get("/api/v1/nodes").await;
    let names: Vec<String> = nodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    let ready = |ready: usize| json!({ "condition": "nodes", "cluster": "home", "ready": ready });
    let verdict = real.until(ready(names.len()), Answer::Pass).await;
    assert_eq!(verdict.subjects.len(), names.len());
    assert!(verdict.observed_at.is_some());
    let verdict = real.ask(ready(names.len() + 1)).await;
    assert_eq!(verdict.answer, Answer::Fail, "{verdict:?}");
    for (table, answer) in [
        (json!({ "condition": "version", "cluster": "home", "at_least": "1.30" }), Answer::Pass),
        (json!({ "condition": "version", "cluster": "home", "at_least": "1.99" }), Answer::Fail),
        (json!({ "condition": "clock", "cluster": "home" }), Answer::Pass),
        (json!({ "condition": "identity", "cluster": "home", "nodes": names }), Answer::Pass),
        (
            json!({ "condition": "identity", "cluster": "home", "nodes": ["somewhere-else"] }),
            Answer::Fail,
        ),
        (
            json!({ "condition": "storage-class", "cluster": "home", "name": "not-there" }),
            Answer::Fail,
        ),
    ] {
        let verdict = real.ask(table.clone()).await;
        assert_eq!(verdict.answer, answer, "{table}: {verdict:?}");
    }
    let mut strange = real.access.clone();
    strange.uid = Some("another".to_owned());
    let verdict = judge(&Collector::new().with_cluster("home", strange), ready(1)).await;
    assert!(
        verdict.answer == Answer::Unknown && verdict.reason.contains("wrong cluster"),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_claim_and_a_rollout_are_waited_for() {
    let Some(cluster) = Handle::find() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let namespace = cluster.namespace("rollout");
    real.namespace(&namespace, &json!({})).await;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data", "namespace": namespace },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "nobody-makes-it", "resources": { "requests": { "storage": "1Mi" } } },
    });
    real.create("persistentvolumeclaims", &claim).await;
    let asked =
        json!({ "condition": "pvc", "cluster": "home", "name": format!("{namespace}/data") });
    real.until(asked, Answer::Waiting).await;

    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "hub", "namespace": namespace },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": "hub" } },
            "template": { "metadata": { "labels": { "app": "hub" } }, "spec": pod(&["sleep", "600"]) },
        },
    });
    real.create("deployments", &deployment).await;
    let asked = json!({ "condition": "rollout", "cluster": "home", "kind": "deployment", "name": format!("{namespace}/hub") });
    real.until(asked.clone(), Answer::Pass).await;

    // A new version that never starts: the old pod keeps the Deployment Available.
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/hub");
    let broken = json!({ "spec": { "progressDeadlineSeconds": 3, "template": { "spec": { "containers": [
        { "name": "main", "image": "not-there.invalid/none:1", "imagePullPolicy": "Never" }
    ] } } } });
    let (status, said) = real
        .send(
            http::Method::PATCH,
            &path,
            "application/strategic-merge-patch+json",
            broken.to_string(),
        )
        .await;
    assert!(status.is_success(), "{said}");
    let stuck = real.until(asked.clone(), Answer::Fail).await;
    assert!(stuck.terminal && stuck.reason.contains("is stuck"), "{stuck:?}");
    let live = real.get(&path).await;
    let conditions = live["status"]["conditions"].as_array().unwrap();
    let available = conditions.iter().find(|condition| condition["type"] == "Available").unwrap();
    assert_eq!(available["status"], "True", "the field that lies: {live}");

    real.merge(&path, &json!({ "spec": { "replicas": 0 } })).await;
    let verdict = real.until(asked, Answer::Fail).await;
    assert!(verdict.terminal, "{verdict:?}");
    real.delete(&format!("/api/v1/namespaces/{namespace}")).await;
}

#[tokio::test]
async fn a_cron_job_passes_when_a_run_of_it_has_succeeded() {
    let Some(cluster) = Handle::find() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let namespace = cluster.namespace("cron");
    real.namespace(&namespace, &json!({})).await;
    let mut template = pod(&["true"]);
    template["restartPolicy"] = json!("Never");
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "backup", "namespace": namespace },
        // On a day that comes every four years, so that only our own runs count.
        "spec": { "schedule": "0 0 29 2 *", "jobTemplate": { "spec": { "backoffLimit": 0, "template": { "spec": template } } } },
    });
    let made = real.create("cronjobs", &cron_job).await;
    let asked = json!({ "condition": "cronjob", "cluster": "home", "name": format!("{namespace}/backup"), "max_age": "1h" });
    let verdict = real.ask(asked.clone()).await;
    assert!(
        verdict.answer == Answer::Fail && verdict.reason.contains("never succeeded"),
        "{verdict:?}"
    );

    let run = |name: &str, command: &[&str]| {
        let mut template = pod(command);
        template["restartPolicy"] = json!("Never");
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": { "name": name, "namespace": namespace, "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "CronJob", "name": "backup", "uid": made["metadata"]["uid"], "controller": true,
            }] },
            "spec": { "backoffLimit": 0, "template": { "spec": template } },
        })
    };
    real.create("jobs", &run("run-1", &["true"])).await;
    let verdict = real.until(asked.clone(), Answer::Pass).await;
    assert!(verdict.expires_at.is_some(), "{verdict:?}");

    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    real.create("jobs", &run("run-2", &["false"])).await;
    let verdict = real.until(asked.clone(), Answer::Fail).await;
    assert!(verdict.reason.contains("newest finished run"), "{verdict:?}");

    let path = format!("/apis/batch/v1/namespaces/{namespace}/cronjobs/backup");
    real.merge(&path, &json!({ "spec": { "suspend": true } })).await;
    let verdict = real.ask(asked).await;
    assert!(verdict.terminal && verdict.reason.contains("suspended"), "{verdict:?}");
    real.delete(&format!("/api/v1/namespaces/{namespace}")).await;
}
