//! Comparing two censuses: typed differences, not text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::census::{Census, Locale, TableCensus};
use crate::name::TableName;
use crate::sql::label;

/// Which of the two compared sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::A { "A" } else { "B" })
    }
}

/// One difference between two databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Difference {
    /// A table exists on one side only.
    TableMissing {
        /// The table.
        table: TableName,
        /// The side that lacks it.
        missing_in: Side,
        /// Its rows on the other side.
        rows: u64,
    },
    /// The row counts differ.
    Rows {
        /// The table.
        table: TableName,
        /// Rows in A.
        a: u64,
        /// Rows in B.
        b: u64,
    },
    /// The counts agree, the rows do not.
    Content {
        /// The table.
        table: TableName,
        /// How many buckets of keys differ.
        differing_buckets: usize,
        /// Of how many.
        buckets: usize,
    },
    /// The columns differ; rows were not comparable.
    Columns {
        /// The table.
        table: TableName,
        /// `name type` of columns only A has.
        only_a: Vec<String>,
        /// `name type` of columns only B has.
        only_b: Vec<String>,
    },
    /// A sequence differs or is missing. `None` is missing.
    Sequence {
        /// The sequence.
        sequence: TableName,
        /// `last_value` and `is_called` in A.
        a: Option<(i64, bool)>,
        /// `last_value` and `is_called` in B.
        b: Option<(i64, bool)>,
    },
    /// The large objects differ.
    LargeObjects {
        /// How many A has.
        a: u64,
        /// How many B has.
        b: u64,
    },
    /// An extension differs or is missing. `None` is missing.
    Extension {
        /// The extension.
        name: String,
        /// Its version in A.
        a: Option<String>,
        /// Its version in B.
        b: Option<String>,
    },
    /// The schemas differ.
    Schema {
        /// Statements only A has, shortened to their first line; empty if unknown.
        only_a: Vec<String>,
        /// Statements only B has.
        only_b: Vec<String>,
    },
}

/// Something that is not a difference but must be known to read the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Note {
    /// The collations differ: equal rows may sort differently.
    Collation {
        /// A's.
        a: Box<Locale>,
        /// B's.
        b: Box<Locale>,
    },
    /// The schemas were printed by other versions and were not compared.
    SchemaNotComparable {
        /// Why.
        reason: String,
    },
    /// The same object prints in another way, as expressions may after a restore.
    Reprinted {
        /// The objects.
        objects: Vec<String>,
    },
    /// An extension has another version, or is an addition that every new database has.
    ExtensionVersion {
        /// The extension.
        name: String,
        /// Its version in A.
        a: Option<String>,
        /// Its version in B.
        b: Option<String>,
    },
    /// Only counts were compared.
    CountsOnly,
    /// A part was left out of the comparison, because it was left out of the restore.
    NotCompared {
        /// What.
        what: String,
    },
    /// Rows were loaded through a partitioned table, because the server judges the bounds of its partitions in another way
    /// than the source did. All rows are there, but not in the partitions they came from.
    Rerouted {
        /// The partitioned table, which was compared as a whole.
        table: TableName,
    },
    /// The server refused something to this role that nothing depends on.
    Refused {
        /// What, without values.
        statement: String,
        /// What the server said.
        reason: String,
    },
    /// Privileges print in another way, as they may where objects have other owners.
    Privileges {
        /// Statements only A has, without values.
        only_a: Vec<String>,
        /// Statements only B has.
        only_b: Vec<String>,
    },
}

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// All differences; none means equal.
    pub differences: Vec<Difference>,
    /// What qualifies the answer.
    pub notes: Vec<Note>,
    /// Tables that were compared.
    pub tables: usize,
    /// Rows in A.
    pub rows: u64,
}

impl Comparison {
    /// Whether nothing differs.
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
        differences.push(Difference::LargeObjects {
            a: a.large_objects.count,
            b: b.large_objects.count,
        });
    }
    compare_extensions(a, b, &mut differences);
    compare_schema(a, b, &mut differences, &mut notes);
    if a.locale != b.locale {
        notes.push(Note::Collation {
            a: Box::new(a.locale.clone()),
            b: Box::new(b.locale.clone()),
        });
    }
    if !content {
        notes.push(Note::CountsOnly);
    }
    Comparison {
        differences,
        notes,
        tables: a.tables.len(),
        rows: a.rows(),
    }
}

/// Takes out what was counted on one side only because nobody asked the foreign server on the other, and says so.
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
        self.differences
            .extend(missing.map(|table| Difference::TableMissing {
                table: table.name.clone(),
                missing_in: Side::B,
                rows: table.rows,
            }));
    }

    /// Judges a restore of `a` as `b`: what no restore can keep becomes a note. `pg_dump` pins no version
    /// of an extension, a new database always has `plpgsql`, and some expressions print
    /// differently once they were parsed again. A missing object stays a difference.
    pub(crate) fn of_restore(mut self) -> Self {
        let (kept, excused): (Vec<Difference>, Vec<Difference>) =
            std::mem::take(&mut self.differences)
                .into_iter()
                .partition(|difference| excuse(difference).is_none());
        self.differences = kept;
        self.notes.extend(excused.iter().filter_map(excuse));
        self
    }
}

fn excuse(difference: &Difference) -> Option<Note> {
    match difference {
        Difference::Schema { only_a, only_b } => {
            let sorted = |labels: &[String]| {
                let mut labels = labels.to_vec();
                labels.sort();
                labels
            };
            (!only_a.is_empty() && sorted(only_a) == sorted(only_b)).then(|| Note::Reprinted {
                objects: only_a.clone(),
            })
        }
        Difference::Extension { name, a, b }
            if b.is_some() && (a.is_some() || name == "plpgsql") =>
        {
            Some(Note::ExtensionVersion {
                name: name.clone(),
                a: a.clone(),
                b: b.clone(),
            })
        }
        _ => None,
    }
}

fn compare_tables(a: &Census, b: &Census, content: bool) -> Vec<Difference> {
    fn index(census: &Census) -> BTreeMap<&TableName, &TableCensus> {
        census
            .tables
            .iter()
            .map(|table| (&table.name, table))
            .collect()
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
        census
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.r#type))
            .collect()
    };
    let (columns_a, columns_b) = (columns(a), columns(b));
    if columns_a != columns_b {
        let only = |x: &BTreeSet<String>, y: &BTreeSet<String>| x.difference(y).cloned().collect();
        let (only_a, only_b) = (only(&columns_a, &columns_b), only(&columns_b, &columns_a));
        differences.push(Difference::Columns {
            table: table.clone(),
            only_a,
            only_b,
        });
    }
    if a.rows != b.rows {
        differences.push(Difference::Rows {
            table,
            a: a.rows,
            b: b.rows,
        });
    } else if content && columns_a == columns_b && (a.digest, a.bytes) != (b.digest, b.bytes) {
        // With the same key on both sides a row's bucket is the same on both sides.
        let (buckets, differing) = if a.key == b.key {
            a.buckets.differing(&b.buckets)
        } else {
            (1, vec![0])
        };
        differences.push(Difference::Content {
            table,
            differing_buckets: differing.len(),
            buckets,
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

fn compare_extensions(a: &Census, b: &Census, differences: &mut Vec<Difference>) {
    let index = |census: &Census| -> BTreeMap<String, String> {
        census
            .extensions
            .iter()
            .map(|extension| (extension.name.clone(), extension.version.clone()))
            .collect()
    };
    for (name, a, b) in zipped(&index(a), &index(b)) {
        differences.push(Difference::Extension { name, a, b });
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
    let mut not_comparable = |reason: String| notes.push(Note::SchemaNotComparable { reason });
    let (Some(a), Some(b)) = (&a.schema, &b.schema) else {
        return not_comparable("one side has no schema fingerprint".into());
    };
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
    if a.digest != b.digest {
        let known = !a.statements.is_empty() && !b.statements.is_empty();
        let only = |x: &[String], y: &[String]| -> Vec<String> {
            let others: BTreeSet<&String> = y.iter().collect();
            x.iter()
                .filter(|statement| known && !others.contains(statement))
                .map(|statement| label(statement))
                .collect()
        };
        let (only_a, only_b) = (
            only(&a.statements, &b.statements),
            only(&b.statements, &a.statements),
        );
        differences.push(Difference::Schema { only_a, only_b });
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableMissing {
                table,
                missing_in,
                rows,
            } => write!(f, "table {table} ({rows} rows) is missing in {missing_in}"),
            Self::Rows { table, a, b } => write!(f, "table {table} has {a} rows in A and {b} in B"),
            Self::Content {
                table,
                differing_buckets,
                buckets,
            } => {
                write!(
                    f,
                    "table {table} has the same number of rows, but other rows (in {differing_buckets} of {buckets} key ranges)"
                )
            }
            Self::Columns {
                table,
                only_a,
                only_b,
            } => {
                write!(
                    f,
                    "table {table} has other columns (only in A: {}; only in B: {})",
                    list(only_a),
                    list(only_b)
                )
            }
            Self::Sequence { sequence, a, b } => {
                let show = |state: &Option<(i64, bool)>| match state {
                    Some((value, true)) => value.to_string(),
                    Some((value, false)) => format!("{value} (not called yet)"),
                    None => "missing".into(),
                };
                write!(
                    f,
                    "sequence {sequence} is {} in A and {} in B",
                    show(a),
                    show(b)
                )
            }
            Self::LargeObjects { a, b } if a == b => {
                write!(f, "the {a} large objects have other contents")
            }
            Self::LargeObjects { a, b } => {
                write!(f, "there are {a} large objects in A and {b} in B")
            }
            Self::Extension { name, a, b } => {
                let show =
                    |version: &Option<String>| version.clone().unwrap_or_else(|| "missing".into());
                write!(
                    f,
                    "extension {name} is {} in A and {} in B",
                    show(a),
                    show(b)
                )
            }
            Self::Schema { only_a, only_b } => {
                write!(
                    f,
                    "the schema differs (only in A: {}; only in B: {})",
                    list(only_a),
                    list(only_b)
                )
            }
        }
    }
}

fn list(items: &[String]) -> String {
    const SHOWN: usize = 5;
    match items.len() {
        0 => "nothing".to_owned(),
        n if n <= SHOWN => items.join(", "),
        n => format!("{}, and {} more", items[..SHOWN].join(", "), n - SHOWN),
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collation { a, b } => write!(
                f,
                "the collations differ: {} and {}",
                describe(a),
                describe(b)
            ),
            Self::SchemaNotComparable { reason } => {
                write!(f, "the schemas were not compared: {reason}")
            }
            Self::Reprinted { objects } => {
                write!(
                    f,
                    "the same object prints in another way: {}",
                    list(objects)
                )
            }
            Self::ExtensionVersion { name, a, b } => {
                let show =
                    |version: &Option<String>| version.clone().unwrap_or_else(|| "absent".into());
                write!(f, "extension {name} was {} and is {}", show(a), show(b))
            }
            Self::CountsOnly => f.write_str("only counts were compared, not contents"),
            Self::NotCompared { what } => write!(f, "not compared: {what}"),
            Self::Rerouted { table } => write!(
                f,
                "the server judges the bounds of the partitions of {table} in another way than the source, so rows were loaded \
                 through it and may be in other partitions than before; it was compared as a whole"
            ),
            Self::Refused { statement, reason } => {
                write!(f, "the server refused `{statement}`: {reason}")
            }
            Self::Privileges { only_a, only_b } => write!(
                f,
                "privileges print in another way (only in A: {}; only in B: {})",
                list(only_a),
                list(only_b)
            ),
        }
    }
}

fn describe(locale: &Locale) -> String {
    let version = locale
        .version
        .as_ref()
        .map(|version| format!(" version {version}"))
        .unwrap_or_default();
    format!(
        "{} {}{version}",
        locale.provider,
        locale.locale.as_ref().unwrap_or(&locale.collate)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::{Column, Extension, SchemaFingerprint, SequenceState};
    use crate::digest::{Buckets, Digest};

    fn table(name: &str, rows: u64, content: &str) -> TableCensus {
        TableCensus {
            name: TableName::new("public", name),
            columns: vec![Column {
                name: "id".into(),
                r#type: "integer".into(),
            }],
            key: vec!["id".into()],
            rows,
            bytes: rows * 2,
            digest: Digest::of(content.as_bytes()),
            buckets: Buckets::default(),
            with_partitions: false,
            filter: None,
            foreign_server: None,
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
            extensions: vec![Extension {
                name: "citext".into(),
                version: "1.6".into(),
            }],
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
        let mut b = census(vec![
            table("b", 3, "y"),
            table("c", 3, "y"),
            table("d", 1, "x"),
        ]);
        b.tables[2].columns[0].r#type = "bigint".into();
        b.sequences[0].last_value = 4;
        b.extensions.clear();
        b.large_objects.count = 1;
        b.schema.as_mut().unwrap().digest = "y".into();
        b.schema.as_mut().unwrap().statements = vec!["CREATE TABLE b ();".into()];
        let text: Vec<String> = compare(&a, &b)
            .differences
            .iter()
            .map(ToString::to_string)
            .collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        table "public"."a" (1 rows) is missing in B
        table "public"."b" has 2 rows in A and 3 in B
        table "public"."c" has the same number of rows, but other rows (in 1 of 1 key ranges)
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
        b.extensions.push(Extension {
            name: "plpgsql".into(),
            version: "1.0".into(),
        });
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
