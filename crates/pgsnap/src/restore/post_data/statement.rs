//! The statements of `pg_dump` that come after the rows, as far as their order may be changed.

use crate::name::TableName;

/// The table that this statement makes the heir or partition of another. From 18 on a key added to
/// one `USING INDEX` would make the `NOT NULL` that it inherits its own, so its keys stay whole.
pub(super) fn heir(statement: &str) -> Option<String> {
    if let Some((_, rest)) = statement.split_once(" ATTACH PARTITION ")
        && statement.starts_with("ALTER TABLE ")
    {
        return Some(canonical(&rest[..qualified_length(rest)?]));
    }
    let (create, rest) = statement.split_once("TABLE ")?;
    let inherits = ["CREATE ", "CREATE UNLOGGED "].contains(&create)
        && statement.lines().any(|line| line.starts_with("INHERITS ("));
    inherits.then(|| Some(canonical(&rest[..qualified_length(rest)?])))?
}

/// The table an index statement is about: `CREATE [UNIQUE] INDEX name ON table USING …`. An index
/// `ON ONLY` a partitioned table is only a frame; it keeps its place in the order.
pub(super) fn index_table(statement: &str) -> Option<&str> {
    let rest = statement
        .strip_prefix("CREATE INDEX ")
        .or_else(|| statement.strip_prefix("CREATE UNIQUE INDEX "))?;
    let rest = rest[identifier_length(rest)?..].strip_prefix(" ON ")?;
    let length = qualified_length(rest)?;
    rest[length..].starts_with(" USING ").then(|| &rest[..length])
}

/// `ALTER TABLE ONLY table ADD CONSTRAINT name definition;`
pub(super) struct Constraint<'a> {
    pub(super) table: &'a str,
    name: &'a str,
    definition: &'a str,
}

impl<'a> Constraint<'a> {
    pub(super) fn parse(statement: &'a str) -> Option<Self> {
        let rest = statement.strip_prefix("ALTER TABLE ONLY ")?;
        let length = qualified_length(rest)?;
        let (table, rest) = rest.split_at(length);
        let rest = rest.trim_start().strip_prefix("ADD CONSTRAINT ")?;
        let length = identifier_length(rest)?;
        let (name, definition) = rest.split_at(length);
        Some(Self { table, name, definition: definition.trim_start().strip_suffix(';')? })
    }

    pub(super) fn is_key(&self) -> bool {
        ["PRIMARY KEY ", "UNIQUE ", "EXCLUDE "].iter().any(|kind| self.definition.starts_with(kind))
    }

    /// Splits a plain key into a unique index, which needs no exclusive lock, and the key on it.
    /// The result prints the same. Deferrable keys and others of unusual form stay whole.
    pub(super) fn using_index(&self) -> Option<(String, String)> {
        let (kind, columns) = ["PRIMARY KEY", "UNIQUE"].iter().find_map(|kind| {
            Some((*kind, self.definition.strip_prefix(kind)?.strip_prefix(' ')?))
        })?;
        let plain = columns.starts_with('(')
            && columns.ends_with(')')
            && columns.matches('(').count() == 1
            && !columns.contains("WITHOUT OVERLAPS");
        if !plain {
            return None;
        }
        let Self { table, name, .. } = self;
        Some((
            format!("CREATE UNIQUE INDEX {name} ON {table} USING btree {columns};"),
            format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {name} {kind} USING INDEX {name};"),
        ))
    }

    /// Splits a foreign key into its addition and its validation.
    pub(super) fn not_valid(&self) -> Option<(String, String)> {
        if !self.definition.starts_with("FOREIGN KEY ")
            || self.definition.ends_with(" NOT VALID")
            || self.definition.ends_with("NOT ENFORCED")
        {
            return None;
        }
        let Self { table, name, definition } = self;
        Some((
            format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {name} {definition} NOT VALID;"),
            format!("VALIDATE CONSTRAINT {name}"),
        ))
    }
}

/// The length of an identifier, quoted or not, at the start of a text.
fn identifier_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        let length = bytes
            .iter()
            .position(|&byte| {
                !(byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80)
            })
            .unwrap_or(bytes.len());
        return (length > 0).then_some(length);
    }
    let mut at = 1;
    loop {
        at += memchr::memchr(b'"', &bytes[at..])? + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

/// The length of `schema.name` at the start of a text.
fn qualified_length(text: &str) -> Option<usize> {
    let schema = identifier_length(text)?;
    let name = identifier_length(text[schema..].strip_prefix('.')?)?;
    Some(schema + 1 + name)
}

/// A name as `pg_dump` prints it, in the form this crate quotes it.
pub(super) fn canonical(name: &str) -> String {
    name.parse::<TableName>().map_or_else(|_| name.to_owned(), |name| name.quoted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_indexes_are_found() {
        assert_eq!(index_table("CREATE INDEX a ON public.t USING gin (x);"), Some("public.t"));
        assert_eq!(
            index_table("CREATE UNIQUE INDEX \"A b\" ON \"S\".\"t \"\"x\" USING btree (x);"),
            Some("\"S\".\"t \"\"x\"")
        );
        assert_eq!(index_table("CREATE INDEX a ON ONLY public.t USING btree (x);"), None);
    }

    #[test]
    fn a_plain_key_becomes_an_index_and_a_key_on_it() {
        let statement =
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id, \"other\");";
        let (index, key) = Constraint::parse(statement).unwrap().using_index().unwrap();
        assert_eq!(index, "CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id, \"other\");");
        assert_eq!(
            key,
            "ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_pkey;"
        );
    }

    #[test]
    fn unusual_keys_stay_whole() {
        for definition in [
            "UNIQUE (a) DEFERRABLE",
            "UNIQUE NULLS NOT DISTINCT (a)",
            "PRIMARY KEY (a) INCLUDE (b)",
            "EXCLUDE USING gist (a WITH &&)",
            "UNIQUE (a) WITH (fillfactor='70')",
        ] {
            let statement =
                format!("ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c {definition};");
            assert!(Constraint::parse(&statement).unwrap().using_index().is_none(), "{definition}");
        }
    }

    #[test]
    fn a_foreign_key_is_validated_apart() {
        let statement = "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.u(id) DEFERRABLE;";
        let (add, validate) = Constraint::parse(statement).unwrap().not_valid().unwrap();
        assert!(add.ends_with("DEFERRABLE NOT VALID;"), "{add}");
        assert_eq!(validate, "VALIDATE CONSTRAINT f");
        let unvalidated = statement.replace(';', " NOT VALID;");
        assert!(Constraint::parse(&unvalidated).unwrap().not_valid().is_none());
    }
}
