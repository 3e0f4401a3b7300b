//! All objects of a kind, page by page.

use std::collections::HashSet;

use serde_json::Value;

use super::answer::Answered;
use super::connection::Connection;
use super::path;
use crate::evidence::weight::weight;
use crate::evidence::{Absence, Kind};

/// So often is a list begun anew that was gone before its end.
const STARTS: u32 = 3;
/// No list is longer: a cluster is made for at most 150 000 pods.
const MOST_ITEMS: usize = 200_000;
/// Nor does it need more memory.
const HEAVIEST: u64 = 512 << 20;
/// Nor has it more pages, some of which may be empty.
const MOST_PAGES: usize = 2_000;
/// A token that leads to the next page has a few hundred bytes.
const LONGEST_TOKEN: usize = 8 << 10;

/// The items so far.
#[derive(Default)]
struct Kept {
    items: Vec<Value>,
    weight: u64,
}

impl Kept {
    fn push(&mut self, item: Value) -> Result<(), Absence> {
        let text = serde_json::to_vec(&item).map_err(Absence::failed)?;
        self.weight += weight(&text);
        if self.weight > HEAVIEST {
            return Err(Absence::failed(format!(
                "the list needs more than {} MiB of memory",
                HEAVIEST >> 20
            )));
        }
        if self.items.len() == MOST_ITEMS {
            let fact = format!("the list has more than {MOST_ITEMS} objects");
            return Err(Absence::failed(fact));
        }
        self.items.push(item);
        Ok(())
    }
}

/// The tokens so far, of which each leads to another page.
#[derive(Default)]
struct Tokens(HashSet<String>);

impl Tokens {
    fn require_new(&mut self, token: &str) -> Result<(), Absence> {
        if token.len() > LONGEST_TOKEN {
            return Err(Absence::failed("the list has a `continue` that is too long"));
        }
        if self.0.len() == MOST_PAGES {
            let fact = format!("the list has more than {MOST_PAGES} pages");
            return Err(Absence::failed(fact));
        }
        if !self.0.insert(token.to_owned()) {
            return Err(Absence::failed("the list goes in a circle: its `continue` came before"));
        }
        Ok(())
    }
}

/// Reads the whole list, or nothing: a list whose continuation is gone begins anew, since half of
/// it is of another time.
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
    let mut address = format!("{}?limit={}", path::list(kind, namespace)?, connection.page());
    if let Some(labels) = labels {
        address = format!("{address}&labelSelector={}", path::encoded(labels));
    }
    let first = address.clone();
    let (mut kept, mut tokens) = (Kept::default(), Tokens::default());
    loop {
        let mut answered = connection.get(&address, &asking).await?;
        let Some(Value::Array(page)) = answered.value.get_mut("items").map(Value::take) else {
            return Err(Absence::failed("what was answered is no list"));
        };
        for item in page {
            kept.push(slim(item, kind))?;
        }
        let next = answered.value.pointer("/metadata/continue").and_then(Value::as_str);
        match next.filter(|next| !next.is_empty()) {
            Some(next) => {
                tokens.require_new(next)?;
                address = format!("{first}&continue={}", path::encoded(next));
            }
            None => {
                answered.value = Value::Array(kept.items);
                return Ok(answered);
            }
        }
    }
}

/// Items of a list do not say their kind; and half of a pod is what nobody here asks for, of which
/// thousands are kept.
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_ends_however_many_objects_there_are() {
        let mut kept = Kept::default();
        for _ in 0..MOST_ITEMS {
            kept.push(Value::Null).unwrap();
        }
        let error = kept.push(Value::Null).unwrap_err();
        assert!(error.to_string().contains("200000 objects"), "{error}");
    }

    #[test]
    fn a_list_ends_however_large_its_objects_are() {
        // A few bytes each, and a hundred times as much memory.
        let item = json!(vec![json!({ "": 0 }); 1000]);
        let mut kept = Kept::default();
        let pushed = (0..10_000).try_for_each(|_| kept.push(item.clone()));
        let error = pushed.unwrap_err();
        assert!(error.to_string().contains("MiB of memory"), "{error}");
    }

    #[test]
    fn a_list_ends_however_many_pages_there_are() {
        let mut tokens = Tokens::default();
        for number in 0..MOST_PAGES {
            tokens.require_new(&number.to_string()).unwrap();
        }
        let error = tokens.require_new("one more").unwrap_err();
        assert!(error.to_string().contains("2000 pages"), "{error}");
    }
}
