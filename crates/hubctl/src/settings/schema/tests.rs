//! The schema takes what is taken, and shows what is shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::source::Source;
use super::super::{Overrides, Settings};
use super::*;

/// A configuration in which every key is set.
const EVERY_KEY: &str = include_str!("every_key.toml");

/// Returns true if a value is one of a schema, by the words that this schema has.
fn accepts(schema: &Value, value: &Value) -> bool {
    if let Some(all) = schema.as_bool() {
        return all;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_of = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("{other}"),
    };
    let one_of = |choices: &Value| {
        choices.as_array().is_none_or(|all| all.iter().any(|one| accepts(one, value)))
    };
    let below = |value: &Value, name: &str| match schema["properties"].get(name) {
        Some(schema) => accepts(schema, value),
        None => schema.get("additionalProperties").is_none_or(|others| accepts(others, value)),
    };
    let required = schema["required"].as_array().into_iter().flatten();
    (types.is_empty() || types.iter().any(is_of))
        && schema.get("const").is_none_or(|only| only == value)
        && schema["enum"].as_array().is_none_or(|all| all.contains(value))
        && one_of(&schema["anyOf"])
        && one_of(&schema["oneOf"])
        && value.as_object().is_none_or(|members| {
            members.iter().all(|(name, value)| below(value, name))
                && required.clone().all(|name| members.contains_key(name.as_str().unwrap()))
        })
        && value.as_array().is_none_or(|items| {
            schema.get("items").is_none_or(|of| items.iter().all(|item| accepts(of, item)))
        })
}

fn value(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

/// Every configuration of the repository, with its place: files, and blocks of the documentation.
fn configurations() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = vec![(PathBuf::from("every_key.toml"), EVERY_KEY.to_owned())];
    let mut directories = vec![root.join("docs"), root.join("crates/hubctl/tests/cmd")];
    while let Some(directory) = directories.pop() {
        for item in fs_err::read_dir(directory).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let extension = path.extension().and_then(|extension| extension.to_str());
            if !matches!(extension, Some("toml" | "md")) {
                continue;
            }
            let text = fs_err::read_to_string(&path).unwrap();
            match extension {
                Some("toml") => found.push((path, text)),
                _ => found.extend(
                    text.split("```toml\n")
                        .skip(1)
                        .map(|block| block.split("```").next().unwrap_or_default())
                        .map(|block| (path.clone(), block.to_owned())),
                ),
            }
        }
    }
    found
}

#[test]
fn every_configuration_that_is_understood_is_one_of_the_schema() {
    let schema = schema();
    let (mut accepted, mut refused) = (0, 0);
    for (path, text) in configurations() {
        let merged = Source::parse(&text, &path)
            .and_then(|source| Settings::merge(source, Overrides::default()));
        match merged {
            Ok(_) => {
                assert!(accepts(&schema, &value(&text)), "{}:\n{text}", path.display());
                accepted += 1;
            }
            Err(_) if toml::from_str::<toml::Table>(&text).is_ok() => refused += 1,
            Err(_) => {}
        }
    }
    assert!(accepted > 30 && refused > 0, "{accepted} accepted, {refused} refused");
}

#[test]
fn an_unknown_key_is_refused_in_every_table() {
    let schema = schema();
    let complete = value(EVERY_KEY);
    assert!(accepts(&schema, &complete));
    let mut tables = 0;
    for pointer in pointers(&complete, "") {
        let mut changed = complete.clone();
        let table = changed.pointer_mut(&pointer).unwrap().as_object_mut().unwrap();
        // Names of tables are free.
        let is_free = ["/sites", "/targets", "/tunnels", "/clusters", "/gates"];
        if !is_free.contains(&&*pointer) {
            table.insert("no_such_key".to_owned(), json!("x"));
            assert!(!accepts(&schema, &changed), "{pointer}");
            tables += 1;
        }
    }
    assert!(tables > 30, "{tables}");
}

fn pointers(value: &Value, place: &str) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (format!("{place}/{name}"), value)).collect()
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, value)| (format!("{place}/{index}"), value)).collect()
        }
        _ => return Vec::new(),
    };
    let own = value.is_object().then(|| place.to_owned());
    own.into_iter().chain(below.iter().flat_map(|(place, value)| pointers(value, place))).collect()
}

/// The keys of the schema that have no table below them, each with its form.
fn keys(schema: &Value, key: &str, found: &mut BTreeSet<(String, String)>) {
    let inner = schema.get("items").unwrap_or(schema);
    let named = inner.get("additionalProperties").filter(|named| named.is_object());
    if let Some(members) = inner["properties"].as_object() {
        for (name, member) in members {
            let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            keys(member, &below, found);
        }
    } else if let Some(named) = named {
        keys(named, &format!("{key}.NAME"), found);
    } else if let Some(kinds) = inner["anyOf"].as_array() {
        kinds.iter().for_each(|kind| keys(kind, key, found));
    } else {
        let form = schema["x-form"].as_str().unwrap_or_default();
        found.insert((key.to_owned(), form.to_owned()));
    }
}

/// A key that is shown, as the schema has it.
fn general(key: &str) -> String {
    let plain: String = key.split('[').enumerate().fold(String::new(), |plain, (index, piece)| {
        if index == 0 { piece.to_owned() } else { plain + piece.split_once(']').unwrap().1 }
    });
    let mut words: Vec<&str> = plain.split('.').collect();
    if matches!(words[0], "sites" | "targets" | "tunnels" | "clusters" | "gates") {
        words[1] = "NAME";
    }
    words.join(".")
}

#[test]
fn every_key_is_shown_with_its_origin_and_its_whole_path() {
    let path = Path::new("/etc/hubctl/hubctl.toml");
    let source = Source::parse(EVERY_KEY, path).unwrap();
    let settings = Settings::merge(source, Overrides::default()).unwrap();
    let shown = settings.shown();
    let mut known = BTreeSet::new();
    keys(&schema(), "", &mut known);
    assert!(known.len() > 90, "{}", known.len());
    for (key, form) in &known {
        let found: Vec<_> = shown.iter().filter(|one| general(&one.key) == *key).collect();
        assert!(!found.is_empty(), "{key} is not shown");
        for one in found {
            let is_path = form == "FILE" || form == "DIRECTORY";
            assert!(!is_path || one.value.starts_with("/etc/hubctl/"), "{key} = {}", one.value);
            assert!(!one.value.contains("s3cret"), "{key} = {}", one.value);
        }
    }
    for one in &shown {
        let key = general(&one.key);
        let is_known = known.iter().any(|(known, _)| *known == key);
        assert!(is_known || key.starts_with("gates."), "{key} is not in the schema");
        let is_default = one.origin == "default";
        assert!(is_default || one.origin == "/etc/hubctl/hubctl.toml", "{}", one.origin);
    }
    let origin = |key: &str| shown.iter().find(|one| one.key == key).unwrap().origin.clone();
    assert_eq!(origin("freshness.max_age"), "/etc/hubctl/hubctl.toml");
    assert_eq!(origin("tunnels.t.forwards[1].hold"), "default");
}
