//! A line `KEY=VALUE` for files of environment variables.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// A line `KEY=VALUE`. The value is shown without what is a secret in a URL.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub(crate) struct Assignment {
    line: String,
    key_length: usize,
}

impl Assignment {
    /// The whole line, without its end.
    pub(crate) fn as_str(&self) -> &str {
        &self.line
    }

    pub(crate) fn key(&self) -> &str {
        &self.line[..self.key_length]
    }

    fn value(&self) -> &str {
        &self.line[self.key_length + 1..]
    }
}

impl TryFrom<String> for Assignment {
    type Error = &'static str;

    fn try_from(line: String) -> Result<Self, Self::Error> {
        let (key, value) = line.split_once('=').ok_or("a line needs the form KEY=VALUE")?;
        let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
        let mut letters = key.chars();
        let is_key = letters.next().is_some_and(is_letter)
            && letters.all(|c| is_letter(c) || c.is_ascii_digit());
        if !is_key {
            return Err("a key consists of letters, digits and `_`");
        }
        if value.chars().any(char::is_control) || ends_elsewhere(value) {
            return Err("a value must end in its line");
        }
        Ok(Self { key_length: key.len(), line })
    }
}

/// Returns true if a reader may look for the end of this value in the next line: after a backslash,
/// and where a quote that begins it does not end.
pub(crate) fn ends_elsewhere(value: &str) -> bool {
    let value = value.trim_start();
    if value.ends_with('\\') {
        return true;
    }
    let Some(quote) = value.chars().next().filter(|first| "\"'`".contains(*first)) else {
        return false;
    };
    let mut is_escaped = false;
    !value[1..].chars().any(|c| {
        let ends = c == quote && !is_escaped;
        is_escaped = quote == '"' && c == '\\' && !is_escaped;
        ends
    })
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key(), gates::shown_url(self.value()))
    }
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Assignment {
    /// As it is shown: nothing writes a configuration.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(line: &str) -> Result<Assignment, &'static str> {
        line.to_owned().try_into()
    }

    #[test]
    fn a_line_is_a_key_and_a_value_of_one_line() {
        let line = assignment("API_1=http://h/?a=b").unwrap();
        assert_eq!((line.key(), line.value()), ("API_1", "http://h/?a=b"));
        for line in ["A=", "A=\"x y\"", "A='x\\' ", "A=don't", "A=x=y"] {
            assert!(assignment(line).is_ok(), "{line}");
        }
        for line in [
            "",
            "A",
            "=x",
            "1A=x",
            "A B=x",
            "export A=x",
            "#A=x",
            "A=x\ny",
            "A=\"x",
            "A=x\\",
            "A='",
        ] {
            assert!(assignment(line).is_err(), "{line}");
        }
    }

    #[test]
    fn no_password_of_a_url_is_shown() {
        let line = assignment("DB=postgresql://hub:hunter2@h/d").unwrap();
        let shown = format!("{line} {line:?} {}", serde_json::to_string(&line).unwrap());
        assert!(shown.starts_with("DB=postgresql://hub:") && !shown.contains("hunter2"), "{shown}");
    }
}
