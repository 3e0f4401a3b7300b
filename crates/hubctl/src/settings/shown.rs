//! Every setting with its value and its origin, by what serde knows of the tables.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Settings;

/// A setting, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct ShownSettings {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) origin: String,
}

impl Settings {
    /// Every setting that has a value, by its key. It holds no secret.
    pub(crate) fn shown(&self) -> Vec<ShownSettings> {
        let mut tables = serde_json::to_value(&self.effective).unwrap_or_default();
        if let Some(tunnels) = tables.get_mut("tunnels") {
            without_secrets(tunnels);
        }
        // The library keeps no secret of a gate, and knows its defaults.
        tables["gates"] = self.gates.iter().map(|(name, gate)| (name, as_written(gate))).collect();
        let leaves = leaves(&tables).into_iter();
        leaves
            .map(|(key, value)| ShownSettings {
                origin: self.origins.of(&key).to_string(),
                key,
                value,
            })
            .collect()
    }
}

/// The values of a table that are no tables, by their keys: `a.b`, `a.list[0].c`.
pub(super) fn leaves(table: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(table, String::new(), &mut found);
    found
}

fn collect(value: &Value, key: String, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                collect(value, below, found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect(value, format!("{key}[{index}]"), found);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            found.insert(key, text.clone());
        }
        Value::Number(_) | Value::Bool(_) => {
            found.insert(key, value.to_string());
        }
    }
}

/// A gate with the names of the configuration: the library knows a condition of the program as a
/// question about something.
fn as_written(gate: &gates::Gate) -> Value {
    let mut table = serde_json::to_value(gate).unwrap_or_default();
    let Some(members) = table.as_object_mut() else {
        return table;
    };
    if members.get("condition") == Some(&json!("program")) {
        let about = members.remove("about");
        let question = members.remove("question").unwrap_or_default();
        members.insert("condition".to_owned(), question);
        members.extend(about.and_then(|about| about.as_object().cloned()).unwrap_or_default());
    }
    table
}

/// Takes out what may be a secret: the arguments of probes, and parts of their paths.
fn without_secrets(value: &mut Value) {
    match value {
        Value::String(text) => *text = gates::shown_url(text),
        Value::Array(items) => items.iter_mut().for_each(without_secrets),
        Value::Object(members) => {
            hide_arguments(members);
            members.values_mut().for_each(without_secrets);
        }
        _ => {}
    }
}

fn hide_arguments(members: &mut Map<String, Value>) {
    if let Some(Value::Array(words)) = members.get_mut("command")
        && words.len() > 1
    {
        words.truncate(1);
        words.push(json!("…"));
    }
}
