//! Identifiers and literals as PostgreSQL spells them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The name of a table: schema and relation, unquoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The relation within the schema.
    pub name: String,
}

impl TableName {
    /// A name from its parts, both unquoted.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }

    /// The form for SQL: both parts quoted where PostgreSQL would quote them.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.name))
    }
}

/// Prints the SQL form, with line breaks made visible so that an odd name cannot
/// forge a second line of output.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.quoted().replace('\n', "\\n").replace('\r', "\\r"))
    }
}

/// Reads `table`, `schema.table` and quoted parts (`"Odd Schema"."a.b"`); a missing
/// schema is `public`. Unquoted parts are folded to lower case, as PostgreSQL does.
impl FromStr for TableName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts =
            split_identifier(text).filter(|parts| parts.iter().all(|part| !part.is_empty()));
        match parts.as_deref() {
            Some([name]) => Ok(Self::new("public", name)),
            Some([schema, name]) => Ok(Self::new(schema, name)),
            _ => Err(Error::NoSuchTable {
                name: text.to_owned(),
                place: "any database: not a table name".into(),
            }),
        }
    }
}

fn split_identifier(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let part = parts.last_mut().expect("there is always a last part");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                part.push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c if quoted => part.push(c),
            c => part.extend(c.to_lowercase()),
        }
    }
    (!quoted).then_some(parts)
}

/// Quotes an identifier, always: a name that happens to be a key word of some version
/// is then safe on every version.
pub(crate) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string literal for `standard_conforming_strings = on`, also where the
/// text holds backslashes.
pub(crate) fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_postgresql_reads_them() {
        assert_eq!("Topics".parse::<TableName>().unwrap(), TableName::new("public", "topics"));
        assert_eq!("a.B".parse::<TableName>().unwrap(), TableName::new("a", "b"));
        assert_eq!(
            r#""A ""x"""."b.c""#.parse::<TableName>().unwrap(),
            TableName::new("A \"x\"", "b.c")
        );
        assert!("a.b.c".parse::<TableName>().is_err());
        assert!("\"open".parse::<TableName>().is_err());
        assert!("".parse::<TableName>().is_err());
    }

    #[test]
    fn a_name_survives_quoting_and_parsing() {
        let odd = TableName::new("we \"ird\".x", "multi\nline \\ $1");
        assert_eq!(odd.quoted().parse::<TableName>().unwrap(), odd);
        assert!(!odd.to_string().contains('\n'));
    }

    #[test]
    fn literals_double_their_quotes() {
        assert_eq!(quote_literal("it's"), "'it''s'");
    }
}
