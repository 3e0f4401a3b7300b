//! A database that a real operator of CloudNativePG looks after, as the tests use it.

use std::time::{Duration, Instant};

use gates::{Answer, Verdict};
use http::Method;
use serde_json::{Value, json};

use super::real::{Real, collection, judge};

/// So that nothing hangs: on a busy machine an instance takes a minute.
pub(super) const LIMIT: Duration = Duration::from_secs(300);
/// Every node of a cluster of ours has it. The operator wants a tag that begins with the version.
const IMAGE: &str = "postgres:17";
const HEALTHY: &str = "Cluster in healthy state";

/// A database `db` in a namespace of its own.
pub(super) struct Database<'a> {
    pub(super) real: &'a Real,
    pub(super) namespace: String,
    pub(super) path: String,
    pub(super) created: Instant,
}

impl<'a> Database<'a> {
    /// One instance, with what else its specification is to have.
    pub(super) async fn create(real: &'a Real, namespace: String, more: Value) -> Self {
        real.namespace(&namespace, &json!({})).await;
        let mut spec =
            json!({ "instances": 1, "imageName": IMAGE, "storage": { "size": "200Mi" } });
        let more = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut().unwrap().extend(more);
        let database = Self {
            real,
            path: format!("/apis/postgresql.cnpg.io/v1/namespaces/{namespace}/clusters/db"),
            namespace,
            created: Instant::now(),
        };
        database.add("clusters", "Cluster", "db", spec).await;
        database
    }

    /// Creates an object beside it. A test before this one may have taken the operator's node away,
    /// so its webhook has time.
    pub(super) async fn add(&self, plural: &str, kind: &str, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "postgresql.cnpg.io/v1", "kind": kind,
            "metadata": { "name": name, "namespace": self.namespace }, "spec": spec,
        });
        let path = collection(plural, &object);
        let begun = Instant::now();
        loop {
            let (status, said) =
                self.real.send(Method::POST, &path, "application/json", object.to_string()).await;
            if status.is_success() {
                return;
            }
            assert!(status.is_server_error() && begun.elapsed() < LIMIT, "{path}: {said}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    pub(super) fn gate(&self, condition: &str, more: Value) -> Value {
        let mut gate = json!({ "condition": condition, "cluster": "home" });
        let name = if condition == "identity" { "database" } else { "name" };
        gate[name] = json!(format!("{}/db", self.namespace));
        let more = more.as_object().cloned().unwrap_or_default();
        gate.as_object_mut().unwrap().extend(more);
        gate
    }

    pub(super) fn healthy(&self) -> Value {
        self.gate("cnpg-cluster", json!({}))
    }

    pub(super) async fn ask(&self, gate: Value) -> Verdict {
        self.real.ask(gate).await
    }

    /// Asks, without a pause, until the answer is this one; returns how often it was another while
    /// the phase was healthy.
    pub(super) async fn until(&self, gate: Value, answer: Answer) -> (Verdict, usize) {
        let begun = Instant::now();
        let collector = self.real.collector();
        let mut lies = 0;
        loop {
            let verdict = judge(&collector, gate.clone()).await;
            if verdict.answer == answer {
                return (verdict, lies);
            }
            lies += usize::from(verdict.evidence["phase"] == HEALTHY);
            assert!(begun.elapsed() < LIMIT, "never {answer}: {gate}: {verdict:?}");
        }
    }

    pub(super) async fn status(&self) -> Value {
        self.real.get(&self.path).await["status"].clone()
    }

    /// The instances whose pods are ready.
    pub(super) async fn ready_pods(&self) -> usize {
        let path = format!(
            "/api/v1/namespaces/{}/pods?labelSelector=cnpg.io/podRole=instance",
            self.namespace
        );
        let pods = self.real.get(&path).await;
        let is_ready = |pod: &&Value| condition(&pod["status"], "Ready")["status"] == "True";
        pods["items"].as_array().unwrap().iter().filter(is_ready).count()
    }

    pub(super) async fn annotate(&self, name: &str, value: Value) {
        let patch = json!({ "metadata": { "annotations": { name: value } } });
        self.real.merge(&self.path, &patch).await;
    }

    pub(super) async fn delete(self) {
        let namespace = format!("/api/v1/namespaces/{}", self.namespace);
        self.real.delete(&namespace).await;
    }
}

pub(super) fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"].as_array();
    let mut found = conditions.into_iter().flatten();
    found.find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

pub(super) fn require(verdict: &Verdict, answer: Answer, says: &str) {
    assert!(
        verdict.answer == answer && verdict.reason.contains(says),
        "not {answer}, {says}: {verdict:?}"
    );
}
