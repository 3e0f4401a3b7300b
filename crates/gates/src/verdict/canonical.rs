//! One text for equal values of JSON, to be hashed.

use serde_json::Value;

use crate::Hash;

/// The SHA-256 of that text.
pub(super) fn hash(value: &Value) -> Hash {
    Hash::of(text(value).as_bytes())
}

/// The value written with sorted members and without spaces.
pub(crate) fn text(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            // The map of `serde_json` keeps the order of insertion where any crate of the program asks for that.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            list(text, ('{', '}'), members, |(name, value), text| {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, text);
            });
        }
        Value::Array(items) => list(text, ('[', ']'), items, write),
        plain => text.push_str(&plain.to_string()),
    }
}

fn list<T>(
    text: &mut String,
    (open, close): (char, char),
    items: impl IntoIterator<Item = T>,
    write: impl Fn(T, &mut String),
) {
    text.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(item, text);
    }
    text.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_sorted_and_items_are_not() {
        let value = json!({ "b": [2, 1], "a": { "d": "\"", "c": null } });
        assert_eq!(text(&value), r#"{"a":{"c":null,"d":"\""},"b":[2,1]}"#);
    }
}
