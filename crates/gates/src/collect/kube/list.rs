//! All objects of a kind, page by page.

use serde_json::Value;

use super::answer::Answered;
use super::connection::Connection;
use super::path;
use crate::evidence::{Absence, Kind};

/// So often is a list begun anew that was gone before its end.
const STARTS: u32 = 3;

/// Reads the whole list, or nothing: a list whose continuation is gone begins anew, since half of it is of another time.
pub(super) async fn all(
    connection: &Connection,
    kind: &Kind,
    namespace: Option<&str>,
    labels: Option<&str>,
) -> Result<Answered, Absence> {
    for _ in 0..STARTS {
        match pages(connection, kind, namespace, labels).await {
            Err(Absence::Gone) => {}
            other => return other,
        }
    }
    Err(Absence::Gone)
}

async fn pages(
    connection: &Connection,
    kind: &Kind,
    namespace: Option<&str>,
    labels: Option<&str>,
) -> Result<Answered, Absence> {
    let asking = path::asking("list", kind, namespace);
    let mut address = format!(
        "{}?limit={}",
        path::list(kind, namespace)?,
        connection.page()
    );
    if let Some(labels) = labels {
        address = format!("{address}&labelSelector={}", path::encoded(labels));
    }
    let first = address.clone();
    let mut items = Vec::new();
    loop {
        let mut answered = connection.get(&address, &asking).await?;
        let Some(Value::Array(page)) = answered.value.get_mut("items").map(Value::take) else {
            return Err(Absence::failed("what was answered is no list"));
        };
        items.extend(page.into_iter().map(|item| slim(item, kind)));
        let next = answered
            .value
            .pointer("/metadata/continue")
            .and_then(Value::as_str);
        match next.filter(|next| !next.is_empty()) {
            Some(next) => address = format!("{first}&continue={}", path::encoded(next)),
            None => {
                answered.value = Value::Array(items);
                return Ok(answered);
            }
        }
    }
}

/// Items of a list do not say their kind; and half of a pod is what nobody here asks for, of which thousands are kept.
fn slim(mut item: Value, kind: &Kind) -> Value {
    let Some(members) = item.as_object_mut() else {
        return item;
    };
    let version = if kind.group.is_empty() {
        kind.version.to_string()
    } else {
        format!("{}/{}", kind.group, kind.version)
    };
    members.insert("apiVersion".to_owned(), Value::from(version));
    members.insert("kind".to_owned(), Value::from(kind.kind.as_ref()));
    if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if let (Some(spec), "Pod") = (members.get_mut("spec"), kind.kind.as_ref()) {
        let node = spec.get("nodeName").cloned();
        *spec = serde_json::json!({ "nodeName": node });
    }
    if let Some(status) = members.get_mut("status").and_then(Value::as_object_mut) {
        // The images of a node, which nobody asks for, are most of it.
        status.remove("images");
    }
    item
}
