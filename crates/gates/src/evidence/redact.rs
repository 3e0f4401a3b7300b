//! What must not be kept: secrets, and bookkeeping of Kubernetes in which they may hide.

use serde::Serializer;
use serde_json::{Map, Value};

use crate::Hash;

const REMOVED: &str = "(removed)";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Members whose name contains one of these hold a secret, or may.
const SECRET_NAMES: [&str; 5] = ["password", "token", "secretkey", "privatekey", "kubeconfig"];

/// Serialises the words of a command without the passwords and tokens in them: a hash of each says whether it is the same.
pub(crate) fn words<S: Serializer>(words: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(without_secrets(words))
}

/// The words of a command without the passwords and tokens in them. Doing it twice changes nothing.
pub(crate) fn without_secrets(words: &[String]) -> Vec<String> {
    let mut follows = false;
    let shown = words.iter().map(|word| {
        let is_value = std::mem::replace(&mut follows, false);
        let is_option = word.starts_with('-') && !word.contains('=');
        follows = is_option && is_secret_name(word);
        if is_value {
            hidden(word)
        } else {
            self::word(word)
        }
    });
    shown.collect()
}

/// One word: what stands behind a secret's name, in the user part of a URL, or is a secret key of age.
fn word(word: &str) -> String {
    if word.to_ascii_uppercase().contains("AGE-SECRET-KEY-") || word.contains("earer ") {
        return hidden(word);
    }
    let (word, mut shown) = (without_user(word), String::new());
    for piece in word.split_inclusive(['&', '?', ';', ' ', '\n']) {
        let end = piece.trim_end_matches(['&', '?', ';', ' ', '\n']).len();
        let (piece, separator) = piece.split_at(end);
        let named = piece.split_once(['=', ':']);
        match named {
            Some((name, value)) if is_secret_name(name) && !value.is_empty() => {
                shown.push_str(&piece[..=name.len()]);
                shown.push_str(&hidden(value));
            }
            _ => shown.push_str(piece),
        }
        shown.push_str(separator);
    }
    shown
}

/// `SCHEME://USER:PASSWORD@HOST`, also where the scheme was forgotten.
fn without_user(piece: &str) -> String {
    let begin = piece.find("://").map_or(0, |at| at + 3);
    let Some(end) = piece.rfind('@').filter(|end| *end > begin) else {
        return piece.to_owned();
    };
    match piece[begin..end].split_once(':') {
        Some((user, password)) if !password.is_empty() => {
            let (scheme, host) = (&piece[..begin], &piece[end..]);
            format!("{scheme}{user}:{}{host}", hidden(password))
        }
        _ => piece.to_owned(),
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    [
        "password",
        "passwd",
        "token",
        "secret",
        "apikey",
        "privatekey",
        "signature",
        "authorization",
    ]
    .iter()
    .any(|secret| name.contains(secret))
}

/// Few digits of a hash: enough to see a change, too few to find the secret by trying.
fn hidden(secret: &str) -> String {
    if secret.starts_with("(removed-") && secret.ends_with(')') {
        return secret.to_owned();
    }
    let hash = Hash::of(secret.as_bytes()).to_string();
    format!("(removed-{})", &hash[..8])
}

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
    fn secrets_in_the_words_of_a_command_are_not_kept() {
        let words = [
            "./check",
            "postgresql://hub:hunter2@h/d",
            "hub:hunter2@h/d",
            "https://h/hook?a=1&token=hunter2",
            "--password=hunter2",
            "--api-key",
            "hunter2",
            "PGPASSWORD=hunter2",
            "Authorization: Bearer hunter2",
            "plain=kept",
        ]
        .map(str::to_owned);
        let shown = without_secrets(&words);
        let text = shown.join(" ");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.contains("./check") && text.ends_with("plain=kept"),
            "{text}"
        );
        assert!(text.contains("postgresql://hub:(removed-"), "{text}");
        assert_eq!(without_secrets(&shown), shown);
    }

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
