//! Comparing two censuses: typed differences, not text.
//!
//! This is the one judgement that restores, copies, `diff` and gates share.

mod canonical;
mod difference;
mod note;
mod schema;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::census::{Census, SchemaFingerprint, TableCensus};
use crate::name::TableName;

pub use difference::{Difference, Side};
pub use note::Note;
pub use schema::StatementDifference;
use schema::{Judgement, judge};

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// All differences; none means equal.
    pub differences: Vec<Difference>,
    /// Facts that qualify the answer.
    pub notes: Vec<Note>,
    /// Tables that were compared.
    pub tables: usize,
    /// Rows in A.
    pub rows: u64,
}

impl Comparison {
    /// Returns true if nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Compares two censuses. Tables are matched by name, columns by name.
#[must_use]
pub fn compare(a: &Census, b: &Census) -> Comparison {
    let content = a.content && b.content;
    let mut differences = compare_tables(a, b, content);
    let mut notes = take_foreign(a, b, &mut differences);
    compare_sequences(a, b, &mut differences);
    if content && a.large_objects != b.large_objects
        || a.large_objects.count != b.large_objects.count
    {
        differences
            .push(Difference::LargeObjects { a: a.large_objects.count, b: b.large_objects.count });
    }
    compare_extensions(a, b, &mut differences, &mut notes);
    compare_schema(a, b, &mut differences, &mut notes);
    if a.locale != b.locale {
        notes
            .push(Note::Collation { a: Box::new(a.locale.clone()), b: Box::new(b.locale.clone()) });
    }
    if content {
        notes.extend(generated_not_compared(a, b));
    } else {
        notes.push(Note::CountsOnly);
    }
    Comparison { differences, notes, tables: a.tables.len(), rows: a.rows() }
}

/// An archive of before generated columns were read knows nothing of their values.
fn generated_not_compared(a: &Census, b: &Census) -> Option<Note> {
    let tables: Vec<String> = a
        .tables
        .iter()
        .filter(|table| {
            let other = b.table(&table.name);
            let is_known = |one: &TableCensus| one.generated.is_some();
            table.rows > 0 && other.is_some_and(|other| is_known(table) != is_known(other))
        })
        .map(|table| table.name.to_string())
        .collect();
    (!tables.is_empty()).then(|| Note::NotCompared {
        what: format!(
            "values of generated columns of {}, which one side does not know",
            difference::list(&tables)
        ),
    })
}

/// Takes out what was counted on one side only because nobody asked the foreign server on the
/// other, and says so.
fn take_foreign(a: &Census, b: &Census, differences: &mut Vec<Difference>) -> Vec<Note> {
    let mut notes = Vec::new();
    differences.retain(|difference| {
        let Difference::TableMissing {
            table, missing_in, ..
        } = difference
        else {
            return true;
        };
        let holder = if *missing_in == Side::A { b } else { a };
        let server = holder
            .table(table)
            .and_then(|table| table.foreign_server.as_ref());
        notes.extend(server.map(|server| Note::NotCompared {
            what: format!(
                "rows of foreign table {table} of server {server}, of which {missing_in} has no count"
            ),
        }));
        server.is_none()
    });
    notes
}

impl Comparison {
    /// Makes sure that the foreign tables of a backup were counted in what was restored of it.
    pub(crate) fn require_foreign(&mut self, expected: &Census, found: &Census) {
        let all = expected.tables.iter();
        let missing = all
            .filter(|table| table.foreign_server.is_some() && found.table(&table.name).is_none());
        self.differences.extend(missing.map(|table| Difference::TableMissing {
            table: table.name.clone(),
            missing_in: Side::B,
            rows: table.rows,
        }));
    }

    /// Takes other values of generated columns out of the differences, and returns notes of them.
    pub(crate) fn accept_recomputed(&mut self) -> Vec<Note> {
        let mut notes = Vec::new();
        self.differences.retain(|difference| {
            let Difference::Generated { table, columns } = difference else {
                return true;
            };
            notes.push(Note::Recomputed { table: table.clone(), columns: columns.clone() });
            false
        });
        notes
    }

    /// Judges a restore of `a` as `b`. The statements of `a` themselves were run to make `b`, so an
    /// object that prints in a way that no rule knows is still the same object. A missing object
    /// stays a difference.
    pub(crate) fn of_restore(mut self) -> Self {
        let notes = &mut self.notes;
        self.differences.retain(|difference| {
            let Difference::Schema { statements, .. } = difference else {
                return true;
            };
            let is_same = |one: &StatementDifference| one.a.is_some() && one.b.is_some();
            if statements.is_empty() || !statements.iter().all(is_same) {
                return true;
            }
            notes.push(Note::Reprinted {
                objects: statements.iter().map(|one| one.object.clone()).collect(),
            });
            false
        });
        self
    }
}

fn compare_tables(a: &Census, b: &Census, content: bool) -> Vec<Difference> {
    fn index(census: &Census) -> BTreeMap<&TableName, &TableCensus> {
        census.tables.iter().map(|table| (&table.name, table)).collect()
    }
    let (tables_a, tables_b) = (index(a), index(b));
    let names: BTreeSet<&TableName> = tables_a.keys().chain(tables_b.keys()).copied().collect();
    let mut differences = Vec::new();
    for name in names {
        match (tables_a.get(name), tables_b.get(name)) {
            (Some(a), Some(b)) => compare_table(a, b, content, &mut differences),
            (Some(only), None) => {
                differences.push(Difference::TableMissing {
                    table: name.clone(),
                    missing_in: Side::B,
                    rows: only.rows,
                });
            }
            (None, Some(only)) => {
                differences.push(Difference::TableMissing {
                    table: name.clone(),
                    missing_in: Side::A,
                    rows: only.rows,
                });
            }
            (None, None) => {}
        }
    }
    differences
}

fn compare_table(
    a: &TableCensus,
    b: &TableCensus,
    content: bool,
    differences: &mut Vec<Difference>,
) {
    let table = a.name.clone();
    let columns = |census: &TableCensus| -> BTreeSet<String> {
        census.columns.iter().map(|column| format!("{} {}", column.name, column.r#type)).collect()
    };
    let (columns_a, columns_b) = (columns(a), columns(b));
    if columns_a != columns_b {
        let only = |x: &BTreeSet<String>, y: &BTreeSet<String>| x.difference(y).cloned().collect();
        let (only_a, only_b) = (only(&columns_a, &columns_b), only(&columns_b, &columns_a));
        differences.push(Difference::Columns { table: table.clone(), only_a, only_b });
    }
    if a.rows != b.rows {
        differences.push(Difference::Rows { table, a: a.rows, b: b.rows });
    } else if content
        && columns_a == columns_b
        && (a.digest, a.bytes, a.encoding) != (b.digest, b.bytes, b.encoding)
    {
        // With the same key on both sides a row's bucket is the same on both sides.
        let (buckets, differing) = if a.key == b.key && a.encoding == b.encoding {
            a.buckets.differing(&b.buckets)
        } else {
            (1, vec![0])
        };
        differences.push(Difference::Content {
            table,
            differing_buckets: differing.len(),
            buckets,
        });
    } else if let (Some(generated), Some(other)) = (&a.generated, &b.generated)
        && content
        && columns_a == columns_b
        && generated.digest != other.digest
    {
        let columns = generated.columns.iter();
        differences.push(Difference::Generated {
            table,
            columns: columns.map(|column| column.name.clone()).collect(),
        });
    }
}

fn compare_sequences(a: &Census, b: &Census, differences: &mut Vec<Difference>) {
    let index = |census: &Census| -> BTreeMap<TableName, (i64, bool)> {
        census
            .sequences
            .iter()
            .map(|state| (state.name.clone(), (state.last_value, state.is_called)))
            .collect()
    };
    for (sequence, a, b) in zipped(&index(a), &index(b)) {
        differences.push(Difference::Sequence { sequence, a, b });
    }
}

/// Versions are noted only: `pg_dump` pins none, and a copy has the version that its server brings.
/// So is `plpgsql`, which every new database has.
fn compare_extensions(
    a: &Census,
    b: &Census,
    differences: &mut Vec<Difference>,
    notes: &mut Vec<Note>,
) {
    let index = |census: &Census| -> BTreeMap<String, String> {
        census
            .extensions
            .iter()
            .map(|extension| (extension.name.clone(), extension.version.clone()))
            .collect()
    };
    for (name, a, b) in zipped(&index(a), &index(b)) {
        if a.is_some() && b.is_some() || name == "plpgsql" {
            notes.push(Note::ExtensionVersion { name, a, b });
        } else {
            differences.push(Difference::Extension { name, a, b });
        }
    }
}

/// The keys whose values differ, with both values.
fn zipped<K: Ord + Clone, V: PartialEq + Clone>(
    a: &BTreeMap<K, V>,
    b: &BTreeMap<K, V>,
) -> Vec<(K, Option<V>, Option<V>)> {
    let keys: BTreeSet<&K> = a.keys().chain(b.keys()).collect();
    keys.into_iter()
        .filter(|key| a.get(key) != b.get(key))
        .map(|key| (key.clone(), a.get(key).cloned(), b.get(key).cloned()))
        .collect()
}

fn compare_schema(
    a: &Census,
    b: &Census,
    differences: &mut Vec<Difference>,
    notes: &mut Vec<Note>,
) {
    match (&a.schema, &b.schema) {
        (Some(a), Some(b)) => compare_fingerprints(a, b, differences, notes),
        _ => notes.push(Note::SchemaNotComparable {
            reason: "one side has no schema fingerprint".into(),
        }),
    }
}

/// Compares two schemas. Fingerprints of different versions are noted as not comparable.
pub(crate) fn compare_fingerprints(
    a: &SchemaFingerprint,
    b: &SchemaFingerprint,
    differences: &mut Vec<Difference>,
    notes: &mut Vec<Note>,
) {
    let mut not_comparable = |reason: String| notes.push(Note::SchemaNotComparable { reason });
    if a.server_major != b.server_major {
        return not_comparable(format!(
            "the servers are of versions {} and {}",
            a.server_major, b.server_major
        ));
    }
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(&a.pg_dump) != major(&b.pg_dump) {
        return not_comparable(format!(
            "they were printed by pg_dump {} and {}",
            a.pg_dump, b.pg_dump
        ));
    }
    if a.digest == b.digest {
        return;
    }
    if !a.has_statements() || !b.has_statements() {
        differences.push(Difference::Schema {
            only_a: Vec::new(),
            only_b: Vec::new(),
            statements: Vec::new(),
        });
        return;
    }
    let Judgement { differences: statements, reprinted } = judge(&a.statements, &b.statements);
    if !reprinted.is_empty() {
        notes.push(Note::Reprinted { objects: reprinted });
    }
    if !statements.is_empty() {
        let of = |is_there: fn(&StatementDifference) -> bool| -> Vec<String> {
            let found = statements.iter().filter(|one| is_there(one));
            found.map(|one| one.object.clone()).collect()
        };
        differences.push(Difference::Schema {
            only_a: of(|one| one.a.is_some()),
            only_b: of(|one| one.b.is_some()),
            statements,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::{Column, Extension, Locale, SchemaFingerprint, SequenceState};
    use crate::digest::{Buckets, Digest};

    fn table(name: &str, rows: u64, content: &str) -> TableCensus {
        TableCensus {
            name: TableName::new("public", name),
            columns: vec![Column { name: "id".into(), r#type: "integer".into() }],
            key: vec!["id".into()],
            rows,
            bytes: rows * 2,
            digest: Digest::of(content.as_bytes()),
            buckets: Buckets::default(),
            with_partitions: false,
            filter: None,
            foreign_server: None,
            generated: None,
            encoding: None,
        }
    }

    fn census(tables: Vec<TableCensus>) -> Census {
        Census {
            tables,
            sequences: vec![SequenceState {
                name: TableName::new("public", "s"),
                last_value: 5,
                is_called: true,
            }],
            large_objects: crate::census::LargeObjects::default(),
            extensions: vec![Extension { name: "citext".into(), version: "1.6".into() }],
            locale: Locale::default(),
            schema: Some(SchemaFingerprint {
                digest: "x".into(),
                pg_dump: "15.1".into(),
                server_major: 15,
                statements: vec!["CREATE TABLE a ();".into()],
            }),
            content: true,
        }
    }

    #[test]
    fn a_census_equals_itself() {
        let one = census(vec![table("a", 1, "x")]);
        assert!(compare(&one, &one).is_equal());
        assert!(compare(&one, &one).notes.is_empty());
    }

    #[test]
    fn each_kind_of_difference_is_found() {
        let a = census(vec![
            table("a", 1, "x"),
            table("b", 2, "x"),
            table("c", 3, "x"),
            table("d", 1, "x"),
        ]);
        let mut b = census(vec![table("b", 3, "y"), table("c", 3, "y"), table("d", 1, "x")]);
        b.tables[2].columns[0].r#type = "bigint".into();
        b.sequences[0].last_value = 4;
        b.extensions.clear();
        b.large_objects.count = 1;
        b.schema.as_mut().unwrap().digest = "y".into();
        b.schema.as_mut().unwrap().statements = vec!["CREATE TABLE b ();".into()];
        let text: Vec<String> =
            compare(&a, &b).differences.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        table "public"."a" (1 rows) is missing in B
        table "public"."b" has 2 rows in A and 3 in B
        table "public"."c": same row count, different contents (1 of 1 key ranges)
        table "public"."d" has other columns (only in A: id integer; only in B: id bigint)
        sequence "public"."s" is 5 in A and 4 in B
        there are 0 large objects in A and 1 in B
        extension citext is 1.6 in A and missing in B
        the schema differs (only in A: CREATE TABLE a; only in B: CREATE TABLE b)
        "#);
    }

    #[test]
    fn a_restore_is_excused_for_what_it_cannot_keep_and_for_nothing_else() {
        let a = census(vec![]);
        let mut b = a.clone();
        b.extensions[0].version = "1.7".into();
        b.extensions.push(Extension { name: "plpgsql".into(), version: "1.0".into() });
        let schema = b.schema.as_mut().unwrap();
        (schema.digest, schema.statements) = ("y".into(), vec!["CREATE TABLE a (b int);".into()]);
        let judged = compare(&a, &b).of_restore();
        assert!(judged.is_equal(), "{:?}", judged.differences);
        assert_eq!(judged.notes.len(), 3);

        b.schema.as_mut().unwrap().statements = vec!["CREATE TABLE other ();".into()];
        b.extensions.clear();
        assert_eq!(compare(&a, &b).of_restore().differences.len(), 2);
    }

    #[test]
    fn schemas_of_other_versions_are_not_called_different() {
        let a = census(vec![]);
        let mut b = a.clone();
        let schema = b.schema.as_mut().unwrap();
        (schema.server_major, schema.digest) = (18, "y".into());
        let comparison = compare(&a, &b);
        assert!(comparison.is_equal());
        assert_eq!(comparison.notes.len(), 1);
    }

    #[test]
    fn counts_alone_are_said_to_be_counts_alone() {
        let a = census(vec![table("a", 1, "x")]);
        let mut b = census(vec![table("a", 1, "y")]);
        b.content = false;
        assert_eq!(compare(&a, &b).notes, [Note::CountsOnly]);
        assert!(compare(&a, &b).is_equal());
    }
}
