//! The JSON Schema of a gate.

use schemars::{JsonSchema as _, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::written::Written;
use crate::condition::Condition;

/// The members of a gate that stand beside those of its condition.
const BESIDE: [&str; 3] = ["expires", "stable_for", "approval"];

/// The schema of a gate. `more` is that of the program's own conditions: like [`Condition`], an
/// enum with the tag `condition`.
pub fn schema(generator: &mut SchemaGenerator, more: Schema) -> Schema {
    let written = Written::json_schema(generator).to_value();
    let mut members = written["properties"].as_object().cloned().unwrap_or_default();
    let combination = alternative(json!({ "properties": allowed(members.keys()) }));
    let conditions = [Condition::json_schema(generator).to_value(), more.to_value()];
    let conditions = conditions.iter().flat_map(|conditions| conditions["oneOf"].as_array());
    let mut names = Vec::new();
    let mut alternatives = vec![combination];
    for condition in conditions.flatten() {
        let name = &condition["properties"]["condition"]["const"];
        // The program's own conditions have names of their own.
        if name != "program" {
            names.push(name.clone());
            alternatives.push(alternative(condition.clone()));
        }
    }
    let about = "The condition that must hold.";
    members.insert("condition".to_owned(), json!({ "description": about, "enum": names }));
    let schema = json!({ "type": "object", "properties": members, "anyOf": alternatives });
    schema.try_into().expect("a schema is an object")
}

/// The table of one condition, or of none, which has no other members.
fn alternative(mut table: Value) -> Value {
    table["additionalProperties"] = json!(false);
    for name in BESIDE {
        table["properties"][name] = json!(true);
    }
    table
}

fn allowed<'a>(names: impl Iterator<Item = &'a String>) -> Map<String, Value> {
    names.map(|name| (name.clone(), json!(true))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_an_alternative_with_the_members_of_a_gate() {
        let mut generator = schemars::generate::SchemaSettings::draft07()
            .with(|settings| settings.inline_subschemas = true)
            .into_generator();
        let more = json!({ "oneOf": [{ "properties": { "condition": { "const": "own" } } }] });
        let schema = schema(&mut generator, more.try_into().unwrap()).to_value();
        let names: Vec<&Value> =
            schema["properties"]["condition"]["enum"].as_array().unwrap().iter().collect();
        assert!(names.contains(&&json!("own")) && names.contains(&&json!("nodes")), "{names:?}");
        assert!(!names.contains(&&json!("program")), "{names:?}");
        let alternatives = schema["anyOf"].as_array().unwrap();
        assert_eq!(alternatives.len(), names.len() + 1);
        let nodes =
            alternatives.iter().find(|one| one["properties"]["condition"]["const"] == "nodes");
        let nodes = nodes.unwrap();
        assert_eq!(nodes["properties"]["expires"], json!(true));
        assert_eq!(nodes["properties"]["ready"]["type"], "integer");
        for required in ["condition", "cluster", "ready"] {
            assert!(nodes["required"].as_array().unwrap().contains(&json!(required)), "{nodes}");
        }
        assert_eq!(nodes["additionalProperties"], json!(false));
    }
}
