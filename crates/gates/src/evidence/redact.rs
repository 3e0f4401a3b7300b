//! What must not be kept: secrets, and bookkeeping of Kubernetes in which they may hide.

use serde_json::{Map, Value};

const REMOVED: &str = "(removed)";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Members whose name contains one of these hold a secret, or may.
const SECRET_NAMES: [&str; 5] = ["password", "token", "secretkey", "privatekey", "kubeconfig"];

/// Removes them, in an object or in each of a list.
pub(super) fn remove(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove),
        Value::Object(members) => object(members),
        _ => {}
    }
}

fn object(members: &mut Map<String, Value>) {
    if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove(LAST_APPLIED);
        }
    }
    if members.get("kind").and_then(Value::as_str) == Some("Secret") {
        for name in ["data", "stringData"] {
            empty(members.get_mut(name));
        }
    }
    for (name, value) in members {
        let lower = name.to_ascii_lowercase();
        match value {
            Value::String(text) if SECRET_NAMES.iter().any(|secret| lower.contains(secret)) => {
                REMOVED.clone_into(text);
            }
            Value::Array(variables) if name == "env" => variables.iter_mut().for_each(variable),
            // An argument may hold what a variable should.
            Value::Array(arguments) if name == "args" || name == "command" => {
                arguments
                    .iter_mut()
                    .for_each(|argument| *argument = REMOVED.into());
            }
            other => remove(other),
        }
    }
}

/// The value of an environment variable; where it is taken from may be kept.
fn variable(variable: &mut Value) {
    if let Some(value) = variable.get_mut("value") {
        *value = REMOVED.into();
    }
}

fn empty(data: Option<&mut Value>) {
    for (_, value) in data.and_then(Value::as_object_mut).into_iter().flatten() {
        *value = REMOVED.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_that_may_be_a_secret_is_kept() {
        let mut pods = json!([{
            "kind": "Pod",
            "metadata": {
                "name": "db-1",
                "annotations": { LAST_APPLIED: "hunter2", "note": "kept" },
                "managedFields": [{ "fieldsV1": { "hunter2": {} } }],
            },
            "spec": { "containers": [{
                "name": "db",
                "args": ["--password=hunter2"],
                "command": ["sh", "-c", "echo hunter2"],
                "env": [
                    { "name": "PASSWORD", "value": "hunter2" },
                    { "name": "FROM", "valueFrom": { "secretKeyRef": { "name": "db" } } },
                ],
            }], "bearerToken": "hunter2", "dbPassword": "hunter2" },
        }, {
            "kind": "Secret",
            "data": { "a": "hunter2" },
            "stringData": { "b": "hunter2" },
        }]);
        remove(&mut pods);
        let text = pods.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.contains("kept") && text.contains("secretKeyRef") && text.contains("\"db-1\"")
        );
    }
}
