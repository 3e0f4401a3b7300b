//! Removal of secrets, and of Kubernetes' bookkeeping in which they may hide.

use serde::Serializer;
use serde_json::{Map, Value};

use crate::Hash;

const REMOVED: &str = "(removed)";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Members whose name contains one of these hold a secret, or may.
const SECRET_NAMES: [&str; 5] = ["password", "token", "secretkey", "privatekey", "kubeconfig"];

/// A shorter text is a word of an answer rather than a repeated secret.
const SHORTEST: usize = 4;

/// The replacement of a secret: nothing, or a text that tells whether it is the same one.
type Hide<'a> = &'a mut dyn FnMut(&str) -> String;

/// Serialises the words of a command without the passwords and tokens in them: a hash of each says
/// whether it is the same.
pub(crate) fn words<S: Serializer>(words: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(without_secrets(words))
}

/// Serialises an address as [`url`] shows it.
pub(crate) fn address<S: Serializer>(address: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&url(address))
}

/// Serialises a sentence as [`text`] shows it.
pub(crate) fn sentence<S: Serializer>(sentence: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(sentence))
}

/// Serialises sentences as [`text`] shows them.
pub(crate) fn sentences<S: Serializer>(of: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(of.iter().map(|sentence| text(sentence)))
}

/// A URL as it may be shown and kept: without its password, and without the values behind `?` and
/// `#`.
///
/// A few digits of a hash stand in for each of them. A user of `http` who has no password may be a
/// token, and is hidden as well. An address that is no valid URL rather loses too much than too
/// little. Doing it twice changes nothing.
#[must_use]
pub fn url(url: &str) -> String {
    let url = without_user(url, &mut hidden);
    let (address, behind) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let mut shown = address.to_owned();
    for piece in behind.split_inclusive(['?', '#', '&', ';']) {
        let end = piece.trim_end_matches(['?', '#', '&', ';']).len();
        let (piece, separator) = piece.split_at(end);
        let at = piece.find('=').map_or(0, |at| at + 1);
        shown.push_str(&piece[..at]);
        if at < piece.len() {
            shown.push_str(&hidden(&piece[at..]));
        }
        shown.push_str(separator);
    }
    shown
}

/// A text without the passwords and tokens of the URLs in it, and without secret keys of age.
pub(crate) fn text(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`');
    let pieces = text.split_inclusive(is_end).map(|piece| {
        let end = piece.trim_end_matches(is_end).len();
        let (word, separator) = piece.split_at(end);
        if word.contains("://") || is_key_of_age(word) {
            self::word(word, &mut removed) + separator
        } else {
            piece.to_owned()
        }
    });
    pieces.collect()
}

/// An answer without the secrets of the address that was asked: servers repeat it in what they
/// answer.
pub(crate) fn without_echo(answer: &str, url: &str) -> String {
    let (_, behind) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let values = behind.split(['?', '#', '&', ';']).filter_map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or(("token", piece));
        (is_secret_name(name) && value.len() >= SHORTEST).then_some(value)
    });
    values.fold(answer.to_owned(), |answer, value| answer.replace(value, REMOVED))
}

/// The output of a program as it may be shown and kept: without the secrets among the words of its
/// command, without the passwords and tokens of URLs, and without secret keys of age.
#[must_use]
pub fn output(output: &[u8], words: &[String]) -> String {
    without_words(&text(&String::from_utf8_lossy(output)), words)
}

/// An output without the secrets among the words of its command: programs repeat what they were
/// told.
fn without_words(output: &str, words: &[String]) -> String {
    let mut secrets = Vec::new();
    hide_in(words, &mut |secret| {
        secrets.push(secret.to_owned());
        String::new()
    });
    let long = secrets.iter().filter(|secret| secret.len() >= SHORTEST);
    long.fold(output.to_owned(), |output, secret| output.replace(secret, REMOVED))
}

/// The words of a command without the passwords and tokens in them. Doing it twice changes nothing.
pub(crate) fn without_secrets(words: &[String]) -> Vec<String> {
    hide_in(words, &mut hidden)
}

fn hide_in(words: &[String], hide: Hide<'_>) -> Vec<String> {
    let mut follows = false;
    let shown = words.iter().map(|word| {
        let is_value = std::mem::replace(&mut follows, false);
        let is_option = word.starts_with('-') && !word.contains('=');
        follows = is_option && is_secret_name(word);
        if is_value { hide(word) } else { self::word(word, hide) }
    });
    shown.collect()
}

/// One word: what stands behind a secret's name, in the user part of a URL, or is a secret key of
/// age.
fn word(word: &str, hide: Hide<'_>) -> String {
    if is_key_of_age(word) || word.contains("earer ") {
        return hide(word);
    }
    let (word, mut shown) = (without_user(word, hide), String::new());
    for piece in word.split_inclusive(['&', '?', ';', ' ', '\n']) {
        let end = piece.trim_end_matches(['&', '?', ';', ' ', '\n']).len();
        let (piece, separator) = piece.split_at(end);
        let named = piece.split_once(['=', ':']);
        match named {
            Some((name, value)) if is_secret_name(name) && !value.is_empty() => {
                shown.push_str(&piece[..=name.len()]);
                shown.push_str(&hide(value));
            }
            _ => shown.push_str(piece),
        }
        shown.push_str(separator);
    }
    shown
}

/// `SCHEME://USER:PASSWORD@HOST`, also where the scheme was forgotten.
fn without_user(piece: &str, hide: Hide<'_>) -> String {
    let begin = piece.find("://").map_or(0, |at| at + 3);
    let Some(end) = piece.rfind('@').filter(|end| *end > begin) else {
        return piece.to_owned();
    };
    let (scheme, user, host) = (&piece[..begin], &piece[begin..end], &piece[end..]);
    match user.split_once(':') {
        Some((user, password)) if !password.is_empty() => {
            format!("{scheme}{user}:{}{host}", hide(password))
        }
        _ if scheme.starts_with("http") => format!("{scheme}{}{host}", hide(user)),
        _ => piece.to_owned(),
    }
}

fn is_key_of_age(word: &str) -> bool {
    word.to_ascii_uppercase().contains("AGE-SECRET-KEY-")
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    let is_short = ["auth", "jwt", "pass", "pwd", "sig"].contains(&name.as_str());
    is_short
        || [
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
    if is_hidden(secret) {
        return secret.to_owned();
    }
    let hash = Hash::of(secret.as_bytes()).to_string();
    format!("(removed-{})", &hash[..8])
}

/// Of an output, nobody asks whether a secret in it is the same one.
fn removed(secret: &str) -> String {
    if is_hidden(secret) {
        return secret.to_owned();
    }
    REMOVED.to_owned()
}

fn is_hidden(secret: &str) -> bool {
    secret == REMOVED || (secret.starts_with("(removed-") && secret.ends_with(')'))
}

/// Removes them, in an object or in each of a list.
pub(super) fn remove(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove),
        Value::Object(members) => object(members),
        Value::String(said) => *said = text(said),
        _ => {}
    }
}

fn object(members: &mut Map<String, Value>) {
    if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
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
                arguments.iter_mut().for_each(|argument| *argument = REMOVED.into());
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
        assert!(text.contains("./check") && text.ends_with("plain=kept"), "{text}");
        assert!(text.contains("postgresql://hub:(removed-"), "{text}");
        assert_eq!(without_secrets(&shown), shown);
    }

    #[test]
    fn secrets_in_an_address_are_not_shown() {
        for address in [
            "https://h/health?token=hunter2",
            "https://h/health?hunter2",
            "https://h/health?a=1&key=hunter2;b=hunter2#hunter2",
            "https://hunter2@h/health",
            "https://hub:hunter2@h/health",
            "https://hub:hun/ter2@h/health",
            "https://hub:hun?ter2@h/health?x#y",
            "https://hunter2:@h/health",
            "hub:hunter2@h:/srv/backups",
            "sftp://hub:hunter2@h/srv",
        ] {
            let shown = url(address);
            assert!(!shown.contains("hunter2") && !shown.contains("ter2"), "{shown}");
            assert!(shown.contains("(removed-") && shown.contains('h'), "{shown}");
            assert_eq!(url(&shown), shown);
        }
        for address in [
            "https://h:8443/state/health",
            "https://h/health?",
            "https://h/health?full=",
            "nas:/srv/backups",
            "sftp://hub@nas:22/srv/backups",
            "hub@[::1]:srv",
        ] {
            assert_eq!(url(address), address);
        }
        assert_ne!(url("https://h/?token=a"), url("https://h/?token=b"));
    }

    #[test]
    fn secrets_in_a_text_are_not_kept() {
        let said = text(
            "to postgresql://hub:hunter2@h/d with\nAGE-SECRET-KEY-1XYZ, {\"u\":\"http://h/?token=hunter2\",\"m\":\"a@b\"} ok",
        );
        assert_eq!(
            said,
            "to postgresql://hub:(removed)@h/d with\n(removed) {\"u\":\"http://h/?token=(removed)\",\"m\":\"a@b\"} ok"
        );
        assert_eq!(text(&said), said);
        assert_eq!(text("see http://h:8000/a, or a@b"), "see http://h:8000/a, or a@b");
        let asked = "http://h/?name=hub-1&token=hunter2";
        assert_eq!(
            without_echo("Cannot GET /?name=hub-1&token=hunter2", asked),
            "Cannot GET /?name=hub-1&token=(removed)"
        );
        let words = ["curl", "-v", "http://h/?token=hunter2", "--password", "hunter3"];
        assert_eq!(
            without_words("> GET /?token=hunter2 by hunter3", &words.map(str::to_owned)),
            "> GET /?token=(removed) by (removed)"
        );
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
