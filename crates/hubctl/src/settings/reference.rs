//! Every setting of `hubctl.toml`, as its manual page shows it and as mistakes are explained.

use std::sync::LazyLock;

use serde_json::Value;

use super::schema::schema;

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

/// A table of the file, with its keys.
#[derive(Debug)]
pub(crate) struct Table {
    /// As it is written: `[vault]`, `[[tunnels.NAME.forwards]]`.
    pub(crate) heading: String,
    pub(crate) about: &'static str,
    pub(crate) keys: Vec<Key>,
}

/// A key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// The form of its value: `FILE`, `DURATION`.
    pub(crate) form: &'static str,
    pub(crate) about: &'static str,
    pub(crate) is_required: bool,
}

/// Every table, after the one around it.
pub(crate) fn tables() -> Vec<Table> {
    let mut tables = Vec::new();
    for (name, schema) in members(&SCHEMA, "properties") {
        match named(schema) {
            Some(one) => add(&format!("{name}.NAME"), about(schema), one, &mut tables),
            None => add(name, about(schema), schema, &mut tables),
        }
    }
    tables
}

fn add(name: &str, said: &'static str, schema: &'static Value, tables: &mut Vec<Table>) {
    let is_list = schema["type"] == "array";
    let schema = if is_list { &schema["items"] } else { schema };
    let keys: Vec<Key> =
        members(schema, "properties").map(|(key, of)| Key::of(key, of, schema)).collect();
    if keys.is_empty() {
        // One table for each kind.
        for kind in choices(schema) {
            add(name, about(kind), kind, tables);
        }
        return;
    }
    let heading = if is_list { format!("[[{name}]]") } else { format!("[{name}]") };
    tables.push(Table { heading, about: said, keys });
    for (key, below) in members(schema, "properties") {
        let inner = if below["type"] == "array" { &below["items"] } else { below };
        if members(inner, "properties").next().is_some() {
            add(&format!("{name}.{key}"), about(below), below, tables);
        }
    }
}

impl Key {
    fn of(name: &'static str, schema: &'static Value, table: &'static Value) -> Self {
        let required = table["required"].as_array().into_iter().flatten();
        let is_required = required.into_iter().any(|required| required == name);
        Self { name, form: form_of(schema), about: about(schema), is_required }
    }
}

fn members(
    schema: &'static Value,
    word: &str,
) -> impl Iterator<Item = (&'static str, &'static Value)> {
    let members = schema.get(word).and_then(Value::as_object).into_iter().flatten();
    members.map(|(name, schema)| (name.as_str(), schema))
}

/// The tables in a table whose keys are names.
fn named(schema: &'static Value) -> Option<&'static Value> {
    schema.get("additionalProperties").filter(|named| named.is_object())
}

fn choices(schema: &'static Value) -> impl Iterator<Item = &'static Value> {
    let choices = ["anyOf", "oneOf"].into_iter().filter_map(|word| schema.get(word)?.as_array());
    choices.flatten()
}

fn about(schema: &'static Value) -> &'static str {
    let about = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    about.split("\n\n").next().unwrap_or_default()
}

fn form_of(schema: &'static Value) -> &'static str {
    match (schema.get("x-form").and_then(Value::as_str), schema["type"].as_str()) {
        (Some(form), _) => form,
        (None, Some("integer" | "number")) => "NUMBER",
        (None, Some("boolean")) => "BOOLEAN",
        (None, Some("array")) => "ARRAY",
        (None, Some("object")) => "TABLE",
        (None, Some("string")) => "STRING",
        (None, _) if schema.get("enum").is_some() || choices(schema).next().is_some() => "STRING",
        (None, _) => "VALUE",
    }
}

/// The values that the key at the end of these names takes, with an example.
pub(super) fn form(names: &[&str]) -> Option<&'static str> {
    if names.is_empty() {
        return None;
    }
    let mut found: Vec<&'static Value> = vec![&SCHEMA];
    for name in names {
        let around = found.into_iter().flat_map(alternatives);
        found = around
            .filter_map(|schema| schema["properties"].get(*name).or_else(|| named(schema)))
            .filter(|schema| schema.is_object())
            .collect();
    }
    Some(match form_of(found.first()?) {
        "FILE" => "the path of a file in quotes",
        "DIRECTORY" => "the path of a directory in quotes",
        "URL" => "a URL in quotes, such as \"https://cloud.example\"",
        "NUMBER" => "a whole number from 0 to 4294967295, such as 7",
        "DURATION" => "a duration in quotes, such as \"26h\"",
        "SIZE" => "a size in quotes, such as \"2 MiB\"",
        "ADDRESS" => "an address in quotes, such as \"127.0.0.1:5432\"",
        "ARRAY" => "a list in brackets",
        "TABLE" => "a table",
        "STRING" => "a string in quotes",
        _ => return None,
    })
}

/// A schema, its items if it is one of a list, and the kinds it consists of.
fn alternatives(schema: &'static Value) -> Vec<&'static Value> {
    let inner = schema.get("items").unwrap_or(schema);
    let mut all = vec![inner];
    all.extend(choices(inner).flat_map(alternatives));
    all
}

#[cfg(test)]
mod tests;
