//! A restore of some schemas: which objects belong to them, and whether they can live without the
//! rest.

use std::collections::{BTreeSet, HashSet};

use crate::error::{Error, Result};
use crate::name::TableName;
use crate::restore::plan::refusal;
use crate::sql::{self, Entry, TokenKind};

/// The schemas that are restored.
pub(crate) struct Schemas {
    names: BTreeSet<String>,
    /// Schemas that only hold extensions as far as this restore goes.
    of_extensions: BTreeSet<String>,
}

type Located = (Option<Entry>, String);

impl Schemas {
    /// # Errors
    /// [`Error::Preflight`] for a schema that the archive does not hold.
    pub(crate) fn new<'a>(
        names: &[String],
        statements: impl Iterator<Item = &'a Located>,
    ) -> Result<Self> {
        let mut present: BTreeSet<&str> = BTreeSet::from(["public"]);
        let mut of_extensions = BTreeSet::new();
        for (entry, statement) in statements {
            let Some(entry) = entry else { continue };
            match entry.kind.as_str() {
                "SCHEMA" => {
                    present.insert(&entry.name);
                }
                "EXTENSION" => of_extensions.extend(extension_schema(statement)),
                _ => {}
            }
        }
        let missing: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !present.contains(flat(name).as_str()))
            .collect();
        if !missing.is_empty() {
            return Err(Error::NoSuchSchema { name: missing.join(", ") });
        }
        Ok(Self { names: names.iter().map(|name| flat(name)).collect(), of_extensions })
    }

    pub(crate) fn contain(&self, schema: &str) -> bool {
        self.names.contains(&flat(schema))
    }

    /// Returns true if a statement belongs to these schemas. Extensions are in no schema and are
    /// always made, as anything may need them; publications, languages, servers and the like are
    /// never.
    pub(crate) fn hold(&self, entry: Option<&Entry>, statement: &str) -> bool {
        if sql::is_default_setting(statement) {
            return true;
        }
        let Some(entry) = entry else { return false };
        match (entry.kind.as_str(), &entry.schema) {
            ("PUBLICATION TABLE" | "PUBLICATION TABLES IN SCHEMA", _) => false,
            (_, Some(schema)) => self.names.contains(schema),
            ("EXTENSION", None) => true,
            ("SCHEMA", None) => {
                self.names.contains(&entry.name) || self.of_extensions.contains(&entry.name)
            }
            ("COMMENT" | "ACL" | "SECURITY LABEL", None) => {
                entry.name.starts_with("EXTENSION ")
                    || entry
                        .name
                        .strip_prefix("SCHEMA ")
                        .is_some_and(|name| self.names.contains(&unquoted(name)))
            }
            _ => false,
        }
    }

    /// Refuses where an object of these schemas needs one that is left out. Names in a dump are
    /// always qualified, and whatever an extension makes has no entry of its own.
    ///
    /// # Errors
    /// [`Error::Preflight`] with every such need at once.
    pub(crate) fn require_complete<'a>(
        &self,
        statements: impl Iterator<Item = &'a Located> + Clone,
    ) -> Result<()> {
        let left_out: HashSet<(String, String)> = statements
            .clone()
            .filter(|(entry, statement)| !self.hold(entry.as_ref(), statement))
            .filter_map(|(entry, _)| {
                let entry = entry.as_ref()?;
                let name = entry.name.split('(').next().unwrap_or_default();
                Some((entry.schema.clone()?, name.to_owned()))
            })
            .collect();
        let mut needs = BTreeSet::new();
        for (entry, statement) in statements {
            if !self.hold(entry.as_ref(), statement) {
                continue;
            }
            let label = sql::label(statement);
            for (schema, name) in references(statement) {
                if !self.names.contains(&schema)
                    && left_out.contains(&(schema.clone(), name.clone()))
                {
                    needs.insert(format!("`{label}` needs {schema}.{name}"));
                }
            }
            if statement.starts_with("CREATE FOREIGN TABLE ") {
                needs.insert(format!("`{label}` needs a foreign server"));
            }
        }
        if needs.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        Err(refusal(
            format!(
                "schema {} cannot be restored alone: {}",
                names.join(", "),
                needs.into_iter().collect::<Vec<_>>().join("; ")
            ),
            "restore the other schemas with it (`schemas` takes several), or everything under another name",
        ))
    }
}

/// Names in the comments of a dump have spaces for line ends.
fn flat(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

fn unquoted(name: &str) -> String {
    let tokens = sql::tokens(name);
    match tokens.as_slice() {
        [token] => token.identifier().unwrap_or_default(),
        _ => String::new(),
    }
}

/// `CREATE EXTENSION IF NOT EXISTS name WITH SCHEMA schema;`
fn extension_schema(statement: &str) -> Option<String> {
    let tokens = sql::tokens(statement);
    match tokens.as_slice() {
        [create, .., schema, name, _] if create.is("CREATE") && schema.is("SCHEMA") => {
            name.identifier().map(|name| flat(&name))
        }
        _ => None,
    }
}

/// Every `schema.name` of a statement, also in strings that name a relation or routine.
fn references(statement: &str) -> Vec<(String, String)> {
    let tokens = sql::tokens(statement);
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let next = |ahead: usize| tokens.get(index + ahead);
        let is_cast = next(1).is_some_and(|token| token.is_symbol(":"))
            && next(2).is_some_and(|token| token.is_symbol(":"))
            && next(3).is_some_and(|token| token.text.starts_with("reg"));
        if token.kind == TokenKind::String && is_cast {
            let text = token.text.trim_matches('\'').replace("''", "'");
            let name = text.split('(').next().unwrap_or_default();
            if let Ok(name) = name.parse::<TableName>() {
                found.push((flat(&name.schema), flat(&name.name)));
            }
        }
        let is_qualified = next(1).is_some_and(|token| token.is_symbol("."));
        if let (Some(schema), true) = (token.identifier(), is_qualified) {
            let name = match next(2).and_then(sql::Token::identifier) {
                Some(name) => name,
                // An operator: all its characters.
                None => tokens[index + 2..]
                    .iter()
                    .take_while(|token| {
                        token.kind == TokenKind::Symbol
                            && !token.is_symbol(")")
                            && !token.is_symbol("(")
                    })
                    .map(|token| token.text)
                    .collect(),
            };
            found.push((flat(&schema), flat(&name)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str, schema: Option<&str>, name: &str, statement: &str) -> Located {
        let entry =
            Entry { name: name.into(), kind: kind.into(), schema: schema.map(str::to_owned) };
        (Some(entry), statement.to_owned())
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        let found = references(
            "CREATE TABLE a.t (x b.y DEFAULT nextval('c.\"S q\"'::regclass), z int CHECK (z OPERATOR(d.<->) 1), s text DEFAULT 'e.f'::text);",
        );
        let found: Vec<String> =
            found.iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
        assert_eq!(found, ["a.t", "b.y", "c.S q", "d.<->"]);
    }

    #[test]
    fn a_schema_is_taken_with_what_belongs_to_it_and_extensions() {
        let all = [
            entry("SCHEMA", None, "app", "CREATE SCHEMA app;"),
            entry("SCHEMA", None, "other", "CREATE SCHEMA other;"),
            entry("SCHEMA", None, "ext", "CREATE SCHEMA ext;"),
            entry(
                "EXTENSION",
                None,
                "citext",
                "CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA ext;",
            ),
            entry("TABLE", Some("app"), "t", "CREATE TABLE app.t (x ext.citext);"),
            entry("TABLE", Some("other"), "u", "CREATE TABLE other.u ();"),
            entry("ACL", None, "SCHEMA app", "GRANT USAGE ON SCHEMA app TO r;"),
            entry(
                "PUBLICATION TABLE",
                Some("app"),
                "p t",
                "ALTER PUBLICATION p ADD TABLE ONLY app.t;",
            ),
        ];
        let schemas = Schemas::new(&["app".into()], all.iter()).unwrap();
        schemas.require_complete(all.iter()).unwrap();
        let held: Vec<bool> =
            all.iter().map(|(entry, statement)| schemas.hold(entry.as_ref(), statement)).collect();
        assert_eq!(held, [true, false, true, true, true, false, true, false]);

        let mut more = all.to_vec();
        more.push(entry(
            "FK CONSTRAINT",
            Some("app"),
            "t f",
            "ALTER TABLE ONLY app.t ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES other.u(x);",
        ));
        let error = schemas.require_complete(more.iter()).unwrap_err();
        assert!(error.to_string().contains("needs other.u"), "{error}");
        assert!(Schemas::new(&["nothing".into()], all.iter()).is_err());
    }
}
