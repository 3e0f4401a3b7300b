//! A real cluster as the tests use it: objects are written through its API, and gates asked about
//! it.

use std::path::Path;
use std::time::{Duration, Instant};

use gates::{Access, Answer, Collector, Gate, Gates, Verdict};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// So that nothing hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// A connection of an administrator.
#[derive(Clone)]
pub(super) struct Real {
    pub(super) client: Client,
    pub(super) access: Access,
}

impl Real {
    pub(super) async fn open(kubeconfig: &Path) -> Self {
        let parsed = Kubeconfig::read_from(kubeconfig).unwrap();
        let context = parsed.current_context.clone().unwrap();
        let config =
            Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let access = Access::new(kubeconfig, context, None);
        let mut real = Self { client, access };
        let identity = real.get("/api/v1/namespaces/kube-system").await;
        real.access.uid = identity["metadata"]["uid"].as_str().map(ToOwned::to_owned);
        real
    }

    pub(super) fn collector(&self) -> Collector {
        Collector::new().with_cluster("home", self.access.clone())
    }

    pub(super) async fn ask(&self, table: Value) -> Verdict {
        judge(&self.collector(), table).await
    }

    /// Asks until the answer is this one.
    pub(super) async fn until(&self, table: Value, answer: Answer) -> Verdict {
        let begun = Instant::now();
        let collector = self.collector();
        loop {
            let verdict = judge(&collector, table.clone()).await;
            if verdict.answer == answer {
                return verdict;
            }
            assert!(begun.elapsed() < LIMIT, "never {answer}: {table}: {verdict:?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, "application/json", String::new()).await.1
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: String,
    ) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(Body::from(body.into_bytes()))
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Creates an object; returns it as the server keeps it.
    pub(super) async fn create(&self, plural: &str, object: &Value) -> Value {
        let path = collection(plural, object);
        let (status, created) =
            self.send(Method::POST, &path, "application/json", object.to_string()).await;
        assert!(status.is_success() || status == StatusCode::CONFLICT, "{path}: {created}");
        created
    }

    pub(super) async fn merge(&self, path: &str, patch: &Value) {
        let (status, said) =
            self.send(Method::PATCH, path, "application/merge-patch+json", patch.to_string()).await;
        assert!(status.is_success(), "{path}: {said}");
    }

    pub(super) async fn delete(&self, path: &str) {
        let (status, said) =
            self.send(Method::DELETE, path, "application/json", String::new()).await;
        assert!(status.is_success() || status == StatusCode::NOT_FOUND, "{path}: {said}");
    }

    pub(super) async fn namespace(&self, name: &str, labels: &Value) {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels },
        });
        self.create("namespaces", &namespace).await;
        // Pods are refused until the controllers have been there.
        let begun = Instant::now();
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        while self.get(&account).await["metadata"]["uid"].is_null() {
            assert!(begun.elapsed() < LIMIT, "{name} never got its service account");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

pub(super) async fn judge(collector: &Collector, table: Value) -> Verdict {
    let gate: Gate = serde_json::from_value(table).unwrap();
    let gates = Gates::new([("gate".to_owned(), gate)].into()).unwrap();
    let evidence = collector.collect(&gates.reads(&["gate"])).await;
    let now = jiff::Timestamp::now();
    gates.evaluate(&["gate"], &evidence, now).remove("gate").unwrap()
}

/// The path to which an object is posted.
pub(super) fn collection(plural: &str, object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    let root = if version.contains('/') { "apis" } else { "api" };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{plural}"),
        None => format!("/{root}/{version}/{plural}"),
    }
}
