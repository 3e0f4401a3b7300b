//! Mistakes in the configuration, in its own words: a sequence is a list there, and a `u32` a
//! number.

/// A message of a parser, without the strings of the file. `form` describes the values that the key
/// takes.
pub(super) fn plain(message: &str, form: Option<&str>) -> String {
    let message = redacted(message);
    let misfit = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|start| message.strip_prefix(start));
    if let Some((found, expected)) = misfit.and_then(|misfit| misfit.split_once(", expected ")) {
        let expected = form.map_or_else(|| wanted(expected), str::to_owned);
        let found = match given(found).as_str() {
            "a string" if expected.contains("in quotes") => "another string".to_owned(),
            given => given.to_owned(),
        };
        return format!("expected {expected}, found {found}");
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("{field} is missing");
    }
    if let Some(rest) = message.strip_prefix("duplicate field ") {
        return format!("{rest} is given twice");
    }
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return format!("unknown key {rest}");
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return format!("unknown value {rest}");
    }
    match form {
        Some(form) => format!("expected {form}"),
        None => message,
    }
}

/// serde repeats a string that it did not expect, in double quotes.
fn redacted(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}…{}", &message[..=start], &message[end..])
        }
        _ => message.to_owned(),
    }
}

/// A value as it is written in the file.
fn given(found: &str) -> String {
    let number = ["integer ", "floating point "].iter().find_map(|kind| found.strip_prefix(kind));
    if let Some(number) = number {
        return format!("the number {number}");
    }
    if found.starts_with("string") {
        return "a string".to_owned();
    }
    if let Some(value) = found.strip_prefix("boolean ") {
        return value.to_owned();
    }
    match found {
        "map" => "a table".to_owned(),
        "sequence" => "a list".to_owned(),
        length if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("a list of length {length}")
        }
        _ => "something else".to_owned(),
    }
}

/// A kind of value.
fn wanted(expected: &str) -> String {
    let is_number = expected.len() < 5
        && expected.starts_with(['u', 'i'])
        && expected[1..].bytes().all(|byte| byte.is_ascii_digit());
    let word = match expected {
        _ if is_number => "a whole number that is not negative, such as 3",
        "usize" => "a whole number that is not negative, such as 3",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        "a string" | "string" | "path string" => "a string in quotes",
        "variant identifier" => "a name in quotes",
        "a duration" => "a duration in quotes, such as \"26h\"",
        "a map" | "map" => "a table",
        _ if expected.starts_with("struct ") || expected.starts_with("internally tagged ") => {
            "a table"
        }
        _ if expected.contains("enum ") => "a string in quotes",
        other => other,
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_parsers_become_those_of_the_configuration() {
        let said = [
            ("invalid type: integer `3`, expected a string", None),
            ("invalid type: string \"s3cret\", expected a boolean", None),
            ("invalid value: integer `-1`, expected u32", None),
            ("invalid value: integer `-1`, expected u32", Some("a whole number")),
            ("invalid type: sequence, expected struct VaultTable", None),
            ("invalid type: map, expected a sequence", None),
            ("missing field `path`", None),
            ("unknown field `pth`, expected `path` or `x`", None),
            ("unknown variant `x`, expected `fast`", None),
            ("couldn't parse \"s3cret\" into a ByteSize", Some("a size")),
        ]
        .map(|(message, form)| plain(message, form));
        insta::assert_snapshot!(said.join("\n"), @r"
        expected a string in quotes, found the number `3`
        expected true or false, found a string
        expected a whole number that is not negative, such as 3, found the number `-1`
        expected a whole number, found the number `-1`
        expected a table, found a list
        expected a list in brackets, found a table
        `path` is missing
        unknown key `pth`, expected `path` or `x`
        unknown value `x`, expected `fast`
        expected a size
        ");
    }
}
