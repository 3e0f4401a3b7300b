//! Databases that a real operator of CloudNativePG looks after: what it says of them while they come, change and fail.

use std::time::{Duration, Instant};

use gates::{Answer, Verdict};
use http::Method;
use serde_json::{Value, json};
use testkit::cluster::Handle;

use super::real::{Real, collection, judge};

/// So that nothing hangs: on a busy machine an instance takes a minute.
const LIMIT: Duration = Duration::from_secs(300);
/// Every node of a cluster of ours has it. The operator wants a tag that begins with the version.
const IMAGE: &str = "postgres:17";
const HEALTHY: &str = "Cluster in healthy state";

/// A database `db` in a namespace of its own.
struct Database<'a> {
    real: &'a Real,
    namespace: String,
    path: String,
    created: Instant,
}

impl<'a> Database<'a> {
    /// One instance, with what else its specification is to have.
    async fn create(real: &'a Real, namespace: String, more: Value) -> Self {
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

    /// Creates an object beside it. A test before this one may have taken the operator's node away, so its webhook has time.
    async fn add(&self, plural: &str, kind: &str, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "postgresql.cnpg.io/v1", "kind": kind,
            "metadata": { "name": name, "namespace": self.namespace }, "spec": spec,
        });
        let path = collection(plural, &object);
        let begun = Instant::now();
        loop {
            let (status, said) = self
                .real
                .send(Method::POST, &path, "application/json", object.to_string())
                .await;
            if status.is_success() {
                return;
            }
            assert!(
                status.is_server_error() && begun.elapsed() < LIMIT,
                "{path}: {said}"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn gate(&self, condition: &str, more: Value) -> Value {
        let mut gate = json!({ "condition": condition, "cluster": "home" });
        let name = if condition == "identity" {
            "database"
        } else {
            "name"
        };
        gate[name] = json!(format!("{}/db", self.namespace));
        let more = more.as_object().cloned().unwrap_or_default();
        gate.as_object_mut().unwrap().extend(more);
        gate
    }

    fn healthy(&self) -> Value {
        self.gate("cnpg-cluster", json!({}))
    }

    async fn ask(&self, gate: Value) -> Verdict {
        self.real.ask(gate).await
    }

    /// Asks, without a pause, until the answer is this one; returns how often it was another while the phase was healthy.
    async fn until(&self, gate: Value, answer: Answer) -> (Verdict, usize) {
        let begun = Instant::now();
        let collector = self.real.collector();
        let mut lies = 0;
        loop {
            let verdict = judge(&collector, gate.clone()).await;
            if verdict.answer == answer {
                return (verdict, lies);
            }
            lies += usize::from(verdict.evidence["phase"] == HEALTHY);
            assert!(
                begun.elapsed() < LIMIT,
                "never {answer}: {gate}: {verdict:?}"
            );
        }
    }

    async fn status(&self) -> Value {
        self.real.get(&self.path).await["status"].clone()
    }

    /// The instances whose pods are ready.
    async fn ready_pods(&self) -> usize {
        let path = format!(
            "/api/v1/namespaces/{}/pods?labelSelector=cnpg.io/podRole=instance",
            self.namespace
        );
        let pods = self.real.get(&path).await;
        let is_ready = |pod: &&Value| condition(&pod["status"], "Ready")["status"] == "True";
        pods["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(is_ready)
            .count()
    }

    async fn annotate(&self, name: &str, value: Value) {
        let patch = json!({ "metadata": { "annotations": { name: value } } });
        self.real.merge(&self.path, &patch).await;
    }

    async fn delete(self) {
        let namespace = format!("/api/v1/namespaces/{}", self.namespace);
        self.real.delete(&namespace).await;
    }
}

fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"].as_array();
    let mut found = conditions.into_iter().flatten();
    found
        .find(|condition| condition["type"] == kind)
        .cloned()
        .unwrap_or_default()
}

fn require(verdict: &Verdict, answer: Answer, says: &str) {
    assert!(
        verdict.answer == answer && verdict.reason.contains(says),
        "not {answer}, {says}: {verdict:?}"
    );
}

#[tokio::test]
async fn a_second_instance_counts_when_it_is_ready_and_a_lost_primary_until_it_is_gone() {
    let Some(cluster) = Handle::find_with_operator() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let database = Database::create(&real, cluster.namespace("instances"), json!({})).await;
    let (verdict, _) = database.until(database.healthy(), Answer::Pass).await;
    eprintln!(
        "one instance after {:.1} s",
        database.created.elapsed().as_secs_f64()
    );
    let identifier = verdict.evidence["system_identifier"].clone();
    assert!(identifier.is_string(), "{verdict:?}");

    let more = json!({ "system_identifier": identifier });
    let identity = database.gate("identity", more);
    assert_eq!(database.ask(identity.clone()).await.answer, Answer::Pass);
    let other = database.gate(
        "identity",
        json!({ "system_identifier": "7480000000000000001" }),
    );
    let verdict = database.ask(other).await;
    require(&verdict, Answer::Fail, "not 7480000000000000001");
    assert!(verdict.terminal, "{verdict:?}");

    let two = database.gate("cnpg-cluster", json!({ "instances": 2 }));
    let verdict = database.ask(two.clone()).await;
    require(
        &verdict,
        Answer::Fail,
        "is to have 1 instances, 2 asked for",
    );

    let begun = Instant::now();
    let patch = json!({ "spec": { "instances": 2 } });
    real.merge(&database.path, &patch).await;
    let verdict = database.ask(database.healthy()).await;
    assert_ne!(verdict.answer, Answer::Pass, "{verdict:?}");
    let (verdict, lies) = database.until(two, Answer::Pass).await;
    // Nothing was taken away since, so that what is true now is what the gate can have seen.
    assert_eq!(database.ready_pods().await, 2, "{verdict:?}");
    assert_eq!(database.status().await["readyInstances"], 2, "{verdict:?}");
    eprintln!(
        "two after {:.1} s, {lies} lies",
        begun.elapsed().as_secs_f64()
    );

    let primary = verdict.evidence["primary"].as_str().unwrap();
    let pod = format!(
        "/api/v1/namespaces/{}/pods/{primary}?gracePeriodSeconds=0",
        database.namespace
    );
    let begun = Instant::now();
    real.delete(&pod).await;
    let verdict = database.ask(database.healthy()).await;
    assert_ne!(verdict.answer, Answer::Pass, "{verdict:?}");
    let (verdict, lies) = database.until(database.healthy(), Answer::Pass).await;
    assert_eq!(database.ready_pods().await, 2, "{verdict:?}");
    eprintln!(
        "again after {:.1} s, {lies} lies",
        begun.elapsed().as_secs_f64()
    );
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

    database
        .annotate("cnpg.io/fencedInstances", json!(r#"["*"]"#))
        .await;
    let verdict = database.ask(database.healthy()).await;
    require(&verdict, Answer::Fail, "fences");
    assert!(verdict.terminal, "{verdict:?}");
    real.until(identity.clone(), Answer::Unknown).await;
    let status = database.status().await;
    assert_eq!(
        condition(&status, "ConsistentSystemID")["status"],
        "False",
        "{status}"
    );
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
    eprintln!(
        "its pod was ready for {:.1} s more",
        begun.elapsed().as_secs_f64()
    );
    database
        .annotate("cnpg.io/fencedInstances", Value::Null)
        .await;
    let verdict = database.ask(database.healthy()).await;
    let is_known = verdict.evidence["system_identifier"].is_string();
    assert!(verdict.answer != Answer::Pass || is_known, "{verdict:?}");
    database.until(database.healthy(), Answer::Pass).await;
    real.until(identity, Answer::Pass).await;

    database
        .annotate("cnpg.io/reconciliationLoop", json!("disabled"))
        .await;
    require(
        &database.ask(database.healthy()).await,
        Answer::Fail,
        "reconciliation",
    );
    database
        .annotate("cnpg.io/reconciliationLoop", Value::Null)
        .await;
    database.until(database.healthy(), Answer::Pass).await;
    database.annotate("cnpg.io/hibernation", json!("on")).await;
    require(
        &database.ask(database.healthy()).await,
        Answer::Fail,
        "hibernates",
    );
    database.delete().await;
}

#[tokio::test]
async fn a_database_without_a_place_for_backups_has_none_whatever_is_scheduled() {
    let Some(cluster) = Handle::find_with_operator() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let database = Database::create(&real, cluster.namespace("no-backup"), json!({})).await;
    database.until(database.healthy(), Answer::Pass).await;

    let archiving = database.gate("cnpg-cluster", json!({ "archiving": true }));
    let verdict = database.ask(archiving).await;
    require(&verdict, Answer::Fail, "archives no WAL");
    assert!(verdict.terminal, "{verdict:?}");
    let status = database.status().await;
    assert_eq!(
        condition(&status, "ContinuousArchiving")["status"],
        "True",
        "the field that lies: {status}"
    );

    let backup = database.gate("cnpg-backup", json!({ "max_age": "26h" }));
    let verdict = database.ask(backup.clone()).await;
    require(&verdict, Answer::Fail, "was ever completed");
    let spec = json!({ "schedule": "0 0 3 * * *", "immediate": true, "cluster": { "name": "db" } });
    database
        .add("scheduledbackups", "ScheduledBackup", "nightly", spec)
        .await;
    let begun = Instant::now();
    let failed = "is failed (cannot proceed with the backup as the cluster has no backup section)";
    loop {
        let verdict = database.ask(backup.clone()).await;
        assert_ne!(verdict.answer, Answer::Pass, "{verdict:?}");
        if verdict.answer == Answer::Fail && verdict.reason.contains(failed) {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{verdict:?}");
    }
    let scheduled = database
        .path
        .replace("clusters/db", "scheduledbackups/nightly");
    let scheduled = real.get(&scheduled).await;
    assert!(
        scheduled["status"]["lastScheduleTime"].is_string(),
        "the field that lies: {scheduled}"
    );
    database.delete().await;
}

#[tokio::test]
async fn a_place_for_backups_that_cannot_be_reached_archives_nothing() {
    let Some(cluster) = Handle::find_with_operator() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let namespace = cluster.namespace("archiving");
    real.namespace(&namespace, &json!({})).await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s3", "namespace": namespace },
        "stringData": { "id": "nobody", "key": "none" },
    });
    real.create("secrets", &secret).await;
    let credential = |key: &str| json!({ "name": "s3", "key": key });
    let place = json!({ "backup": { "barmanObjectStore": {
        "destinationPath": "s3://nowhere/", "endpointURL": "http://127.0.0.1:1",
        "s3Credentials": { "accessKeyId": credential("id"), "secretAccessKey": credential("key") },
    } } });
    let database = Database::create(&real, namespace, place).await;
    database.until(database.healthy(), Answer::Pass).await;
    let archiving = database.gate("cnpg-cluster", json!({ "archiving": true }));
    let verdict = real.until(archiving.clone(), Answer::Fail).await;
    require(
        &verdict,
        Answer::Fail,
        "cannot archive its WAL (ContinuousArchivingFailing",
    );

    let backup = database.gate("cnpg-backup", json!({ "max_age": "26h" }));
    database
        .add(
            "backups",
            "Backup",
            "by-hand",
            json!({ "cluster": { "name": "db" } }),
        )
        .await;
    for _ in 0..20 {
        let verdict = database.ask(backup.clone()).await;
        assert!(
            matches!(verdict.answer, Answer::Waiting | Answer::Fail),
            "{verdict:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    require(
        &database.ask(archiving).await,
        Answer::Fail,
        "cannot archive",
    );
    database.delete().await;
}
