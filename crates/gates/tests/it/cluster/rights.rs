//! A user with few rights: what it may not read is unknown, and the missing verb is named.

use gates::{Access, Answer, Collector};
use http::Method;
use serde_json::{Value, json};
use testkit::cluster::Handle;

use super::real::{Real, judge};

const GROUP: &str = "/apis/rbac.authorization.k8s.io/v1";

#[tokio::test]
async fn a_missing_right_is_unknown_and_is_named_until_it_is_granted() {
    let Some(cluster) = Handle::find() else {
        return;
    };
    let real = Real::open(cluster.kubeconfig()).await;
    let namespace = cluster.namespace("rights");
    real.namespace(&namespace, &json!({})).await;
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    limited(&real, &namespace, cluster.kubeconfig(), &kubeconfig).await;
    let access = Access::new(&kubeconfig, "limited", real.access.uid.clone());
    let limited = Collector::new().with_cluster("home", access);
    let nodes = json!({ "condition": "nodes", "cluster": "home", "ready": 1 });

    let verdict = judge(&limited, nodes.clone()).await;
    assert_eq!(verdict.answer, Answer::Unknown, "{verdict:?}");
    assert!(verdict.reason.contains("may not get namespaces"), "{}", verdict.reason);

    for (rule, missing) in [
        (
            json!({ "apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"] }),
            Some("may not list nodes"),
        ),
        (
            json!({ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get"] }),
            Some("may not list nodes"),
        ),
        (
            json!({ "apiGroups": [""], "resources": ["nodes"], "verbs": ["list"] }),
            Some("may not list leases.coordination.k8s.io in kube-node-lease"),
        ),
        (
            json!({ "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list"] }),
            None,
        ),
    ] {
        grant(&real, &namespace, rule).await;
        let answer = if missing.is_some() { Answer::Unknown } else { Answer::Pass };
        let begun = std::time::Instant::now();
        loop {
            let verdict = judge(&limited, nodes.clone()).await;
            let says = missing.is_none_or(|missing| verdict.reason.contains(missing));
            if verdict.answer == answer && says {
                let hint = verdict.hint.unwrap_or_default();
                assert!(missing.is_none() || hint.contains("grant the verb"), "{hint}");
                break;
            }
            // The authorizer hears of a new role a moment later.
            assert!(begun.elapsed().as_secs() < 60, "{missing:?}: {verdict:?}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    for kind in ["clusterroles", "clusterrolebindings"] {
        real.delete(&format!("{GROUP}/{kind}/{namespace}")).await;
    }
    real.delete(&format!("/api/v1/namespaces/{namespace}")).await;
}

/// A service account without rights, and a kubeconfig with its token.
async fn limited(real: &Real, namespace: &str, admin: &std::path::Path, path: &std::path::Path) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": namespace }, "rules": [],
    });
    real.create("clusterroles", &role).await;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": namespace },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace },
        "subjects": [{ "kind": "ServiceAccount", "name": "default", "namespace": namespace }],
    });
    real.create("clusterrolebindings", &binding).await;
    let asking =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let (status, token) = real
        .send(
            Method::POST,
            &format!("/api/v1/namespaces/{namespace}/serviceaccounts/default/token"),
            "application/json",
            asking.to_string(),
        )
        .await;
    assert!(status.is_success(), "{token}");
    let text = fs_err::read_to_string(admin).unwrap();
    let mut kubeconfig: Value = serde_saphyr::from_str(&text).unwrap();
    let server = kubeconfig["clusters"][0]["name"].clone();
    kubeconfig["users"] =
        json!([{ "name": "limited", "user": { "token": token["status"]["token"] } }]);
    kubeconfig["contexts"] =
        json!([{ "name": "limited", "context": { "cluster": server, "user": "limited" } }]);
    let near = admin.parent().unwrap();
    // Paths of certificates are relative to the file that they were written in.
    if let Some(authority) = kubeconfig["clusters"][0]["cluster"]["certificate-authority"].as_str()
    {
        let absolute = near.join(authority).display().to_string();
        kubeconfig["clusters"][0]["cluster"]["certificate-authority"] = json!(absolute);
    }
    fs_err::write(path, kubeconfig.to_string()).unwrap();
}

async fn grant(real: &Real, role: &str, rule: Value) {
    let path = format!("{GROUP}/clusterroles/{role}");
    let before = real.get(&path).await;
    let mut rules = before["rules"].as_array().cloned().unwrap_or_default();
    rules.push(rule);
    real.merge(&path, &json!({ "rules": rules })).await;
}
