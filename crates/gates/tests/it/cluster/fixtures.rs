//! The fixtures of Longhorn, CloudNativePG and NetworkPolicies, written into a real API server and
//! read back from it.
//!
//! No operator is there to correct them, so the statuses stay as they were written. Kinds that have
//! a controller in any cluster are tested with real objects instead.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};
use testkit::cluster::Handle;

use super::real::{Real, collection};
use crate::fixture::{Fixture, resolve, uids};

/// A fixture that needs an object older than another of an earlier life, which a server does not
/// let anybody write.
const NOT_WRITABLE: [&str; 1] = ["cnpg-backup/of-an-earlier-namesake"];
/// Each fixture gets its own in their place.
const NAMESPACES: [&str; 3] = ["state-hub", "databases", "restore-test"];
const KINDS: [(&str, &str, &str); 10] = [
    ("longhorn.io/v1beta2", "Volume", "volumes"),
    ("longhorn.io/v1beta2", "Replica", "replicas"),
    ("longhorn.io/v1beta2", "Setting", "settings"),
    ("longhorn.io/v1beta2", "Backup", "backups"),
    ("longhorn.io/v1beta2", "BackupTarget", "backuptargets"),
    ("postgresql.cnpg.io/v1", "Cluster", "clusters"),
    ("postgresql.cnpg.io/v1", "Backup", "backups"),
    ("postgresql.cnpg.io/v1", "ScheduledBackup", "scheduledbackups"),
    ("barmancloud.cnpg.io/v1", "ObjectStore", "objectstores"),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
];

#[tokio::test]
async fn fixtures_are_judged_the_same_through_a_real_api_server() {
    let Some(cluster) = Handle::find() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    define(&real).await;
    let longhorn = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "longhorn-system" } });
    real.create("namespaces", &longhorn).await;
    // What an interrupted run left there.
    for (version, _, plural) in KINDS.iter().filter(|(version, ..)| version.starts_with("longhorn"))
    {
        real.delete(&format!("/apis/{version}/namespaces/longhorn-system/{plural}")).await;
    }
    let mut judged = 0;
    let (corrected, fixtures): (Vec<_>, Vec<_>) = Fixture::all()
        .into_iter()
        .filter(is_writable)
        .partition(|fixture| is_corrected(&fixture.name()));
    if !corrected.is_empty() {
        let many = corrected.len();
        testkit::not_applicable(&format!(
            "{many} fixtures of CloudNativePG: its operator is there, and would correct them"
        ));
    }
    let least = if corrected.is_empty() { 50 } else { 30 };
    for fixture in fixtures {
        let written = write(&real, &cluster, &fixture).await;
        let verdict = real.ask(written.gate).await;
        fixture.require_answer(&verdict);
        for subject in &verdict.subjects {
            let gates::Subject::Object(object) = subject else {
                continue;
            };
            assert!(
                object.uid.is_some() && object.resource_version.is_some(),
                "{}: {subject:?}",
                fixture.name()
            );
        }
        for path in written.paths.iter().rev() {
            real.merge(path, &json!({ "metadata": { "finalizers": null } })).await;
            real.delete(path).await;
        }
        for namespace in written.namespaces {
            real.delete(&format!("/api/v1/namespaces/{namespace}")).await;
        }
        judged += 1;
    }
    assert!(judged > least, "{judged}");
}

/// A real operator of CloudNativePG overwrites what is written here; it has tests of its own.
fn is_corrected(name: &str) -> bool {
    name.starts_with("cnpg-") && testkit::cluster::has_operator()
}

fn is_writable(fixture: &Fixture) -> bool {
    let name = fixture.name();
    let has_operator =
        ["longhorn-", "cnpg-", "network-policy"].iter().any(|begin| name.starts_with(begin));
    let absent = fixture.absent.keys().all(|resource| resource.starts_with("objectstores."));
    has_operator && absent && !NOT_WRITABLE.contains(&name.as_str())
}

struct Written {
    gate: Value,
    paths: Vec<String>,
    namespaces: Vec<String>,
}

/// Writes the objects of a fixture into namespaces of its own, statuses included.
async fn write(real: &Real, cluster: &Handle, fixture: &Fixture) -> Written {
    let mut text = serde_json::to_string(&fixture.objects).unwrap();
    let mut gate = serde_json::to_string(&fixture.gate).unwrap();
    let mut namespaces = Vec::new();
    for namespace in NAMESPACES {
        let own = cluster.namespace(namespace);
        for (before, after) in [
            (format!("\"{namespace}\""), format!("\"{own}\"")),
            (format!("\"{namespace}/"), format!("\"{own}/")),
        ] {
            text = text.replace(&before, &after);
            gate = gate.replace(&before, &after);
        }
        namespaces.push(own);
    }
    let objects: Vec<Value> = serde_json::from_str(&text).unwrap();
    for namespace in &namespaces {
        let labels = objects.iter().find(|object| {
            object["kind"] == "Namespace" && object["metadata"]["name"] == **namespace
        });
        let labels = labels.map_or(json!({}), |object| object["metadata"]["labels"].clone());
        real.namespace(namespace, &labels).await;
    }
    let mut paths = Vec::new();
    let mut created: Vec<Value> = Vec::new();
    for mut object in objects {
        // A Job whose end was only written is refused; it is there for the fixture's readers, and asked by nobody.
        if object["kind"] == "Namespace" || object["kind"] == "Job" {
            continue;
        }
        resolve(&mut object, jiff::Timestamp::now(), &uids(&created));
        let (path, made) = write_one(real, object).await;
        paths.push(path);
        created.push(made);
    }
    Written { gate: serde_json::from_str(&gate).unwrap(), paths, namespaces }
}

async fn write_one(real: &Real, mut object: Value) -> (String, Value) {
    let plural = plural(&object);
    let status = object.as_object_mut().unwrap().remove("status");
    let is_going =
        object["metadata"].as_object_mut().unwrap().remove("deletionTimestamp").is_some();
    object["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
    if is_going {
        object["metadata"]["finalizers"] = json!(["example.org/kept"]);
    }
    if object["kind"] == "Pod" {
        // Nobody may run it: its status would not stay as it is written.
        object["spec"]["schedulerName"] = json!("nobody");
    }
    let collection = collection(&plural, &object);
    let (code, made) =
        real.send(Method::POST, &collection, "application/json", object.to_string()).await;
    assert!(code.is_success(), "{collection}: {made}");
    let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap());
    if let Some(status) = status {
        let patch = json!({ "status": status });
        let (code, said) = real
            .send(
                Method::PATCH,
                &format!("{path}/status"),
                "application/merge-patch+json",
                patch.to_string(),
            )
            .await;
        // Some kinds of Longhorn have no separate status.
        if !code.is_success() {
            assert_eq!(code.as_u16(), 404, "{path}: {said}");
            real.merge(&path, &patch).await;
        }
    }
    if is_going {
        real.delete(&path).await;
    }
    (path, made)
}

fn plural(object: &Value) -> String {
    let known = KINDS
        .iter()
        .find(|(version, kind, _)| object["apiVersion"] == **version && object["kind"] == **kind);
    match (known, object["kind"].as_str()) {
        (Some((_, _, plural)), _) => (*plural).to_owned(),
        (None, Some("Pod")) => "pods".to_owned(),
        (None, other) => panic!("{other:?}"),
    }
}

/// Makes the kinds known: by the definitions of their authors where they are at hand, else by our
/// own, which allow anything. A real operator has brought its own.
async fn define(real: &Real) {
    let mut applied = BTreeSet::new();
    let directory = testkit::cluster::definitions();
    if let Some(directory) = &directory {
        for entry in fs_err::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                applied.extend(apply(real, &fs_err::read_to_string(path).unwrap()).await);
            }
        }
        assert!(!applied.is_empty(), "{} has none", directory.display());
    }
    for (version, kind, plural) in KINDS.iter().take(9) {
        let (group, version) = version.split_once('/').unwrap();
        let name = format!("{plural}.{group}");
        if applied.contains(&name) {
            continue;
        }
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": name },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
                "versions": [{
                    "name": version, "served": true, "storage": true, "subresources": { "status": {} },
                    "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
                }],
            },
        });
        real.create("customresourcedefinitions", &definition).await;
    }
    for (version, _, plural) in KINDS.iter().take(9) {
        let begun = std::time::Instant::now();
        while real.get(&format!("/apis/{version}/{plural}")).await["items"].is_null() {
            assert!(begun.elapsed().as_secs() < 60, "{plural} of {version} are not served");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
}

/// Server-side, since some definitions are too large for the annotation of the other way.
async fn apply(real: &Real, manifests: &str) -> Vec<String> {
    let mut applied = Vec::new();
    for manifest in manifests.split("\n---\n").filter(|manifest| manifest.contains("kind:")) {
        let parsed: Value = serde_saphyr::from_str(manifest).unwrap();
        if parsed["spec"]["group"] == "postgresql.cnpg.io" && testkit::cluster::has_operator() {
            continue;
        }
        let name = parsed["metadata"]["name"].as_str().unwrap();
        let path = format!(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=gates-test&force=true"
        );
        let (status, said) = real
            .send(Method::PATCH, &path, "application/apply-patch+yaml", parsed.to_string())
            .await;
        assert!(status.is_success(), "{name}: {said}");
        applied.push(name.to_owned());
    }
    applied
}
