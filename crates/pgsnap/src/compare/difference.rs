//! Differences, in words.

use std::fmt;

use serde::Serialize;

use super::schema::StatementDifference;
use crate::name::TableName;

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
        /// The number of differing buckets of keys.
        differing_buckets: usize,
        /// Of how many.
        buckets: usize,
    },
    /// The rows agree, the values of their stored generated columns do not.
    Generated {
        /// The table.
        table: TableName,
        /// Its generated columns.
        columns: Vec<String>,
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
        /// The number in A.
        a: u64,
        /// The number in B.
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
        /// All of them with their texts; an object that both sides define differently is one with
        /// both.
        statements: Vec<StatementDifference>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableMissing { table, missing_in, rows } => {
                write!(f, "table {table} ({rows} rows) is missing in {missing_in}")
            }
            Self::Rows { table, a, b } => write!(f, "table {table} has {a} rows in A and {b} in B"),
            Self::Content { table, differing_buckets, buckets } => {
                write!(
                    f,
                    "table {table}: same row count, different contents ({differing_buckets} of {buckets} key ranges)"
                )
            }
            Self::Generated { table, columns } => write!(
                f,
                "table {table}: same rows, different values in generated columns ({})",
                list(columns)
            ),
            Self::Columns { table, only_a, only_b } => {
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
                write!(f, "sequence {sequence} is {} in A and {} in B", show(a), show(b))
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
                write!(f, "extension {name} is {} in A and {} in B", show(a), show(b))
            }
            Self::Schema { statements, .. } => {
                let of = |is_in: fn(&StatementDifference) -> bool| -> Vec<String> {
                    let found = statements.iter().filter(|one| is_in(one));
                    found.map(|one| one.object.clone()).collect()
                };
                let changed = of(|one| one.a.is_some() && one.b.is_some());
                let only_a = of(|one| one.b.is_none());
                let only_b = of(|one| one.a.is_none());
                f.write_str("the schema differs (")?;
                if !changed.is_empty() {
                    write!(f, "changed: {}", list(&changed))?;
                    if only_a.is_empty() && only_b.is_empty() {
                        return f.write_str(")");
                    }
                    f.write_str("; ")?;
                }
                write!(f, "only in A: {}; only in B: {})", list(&only_a), list(&only_b))
            }
        }
    }
}

pub(super) fn list(items: &[String]) -> String {
    const SHOWN: usize = 5;
    match items.len() {
        0 => "nothing".to_owned(),
        n if n <= SHOWN => items.join(", "),
        n => format!("{}, and {} more", items[..SHOWN].join(", "), n - SHOWN),
    }
}
