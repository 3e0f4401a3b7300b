//! The JSON Schema of `hubctl.toml`, from the types that read it.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::file::ConfigFile;

/// The schema, in the draft that editors of TOML understand.
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<ConfigFile>().to_value();
    simplify(&mut schema);
    schema["title"] = json!("hubctl.toml");
    schema
}

/// Takes out what TOML does not have, `null`, and what Rust adds: the widths of numbers, and
/// defaults that say nothing.
fn simplify(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(simplify),
        Value::Object(members) => {
            members.remove("default");
            let is_width =
                |format: &Value| format.as_str().is_some_and(|f| f.starts_with(['u', 'i', 'd']));
            if members.get("format").is_some_and(is_width) {
                members.remove("format");
            }
            without_null(members);
            members.values_mut().for_each(simplify);
        }
        _ => {}
    }
}

fn without_null(members: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|one| one != "null");
        if let [only] = &types[..] {
            members["type"] = only.clone();
        }
    }
    if let Some(Value::Array(values)) = members.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    for word in ["anyOf", "oneOf"] {
        let Some(Value::Array(choices)) = members.get_mut(word) else { continue };
        choices.retain(|choice| choice.get("type") != Some(&json!("null")));
        if let [only] = &mut choices[..] {
            let Value::Object(only) = only.take() else { continue };
            members.remove(word);
            for (name, value) in only {
                members.entry(name).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
