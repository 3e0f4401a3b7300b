//! Facts that qualify a comparison, in words.

use std::fmt;

use serde::Serialize;

use crate::census::Locale;
use crate::name::TableName;

use super::difference::list;

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
        /// The reason.
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
        /// The property.
        what: String,
    },
    /// Rows were loaded through a partitioned table, because the server judges the bounds of its
    /// partitions in another way than the source did. All rows are there, but not in the partitions
    /// they came from.
    Rerouted {
        /// The partitioned table, which was compared as a whole.
        table: TableName,
    },
    /// A generated column has other values than at the source: its function computes them
    /// differently now.
    Recomputed {
        /// The table.
        table: TableName,
        /// Its generated columns.
        columns: Vec<String>,
    },
    /// The backup was taken behind a fence, which the restored database does not have. Its own
    /// record says what was there before.
    FenceLeftOut {
        /// Without such a record: the parts that were taken for the fence's and left out.
        parts: Vec<String>,
    },
    /// The server refused something to this role that nothing depends on.
    Refused {
        /// The statement, without values.
        statement: String,
        /// The server's message.
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

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collation { a, b } => {
                write!(f, "the collations differ: {} and {}", describe(a), describe(b))
            }
            Self::SchemaNotComparable { reason } => {
                write!(f, "the schemas were not compared: {reason}")
            }
            Self::Reprinted { objects } => {
                write!(f, "the same object prints in another way: {}", list(objects))
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
            Self::Recomputed { table, columns } => write!(
                f,
                "generated columns of {table} were computed again and differ from the source, as accepted: {}",
                list(columns)
            ),
            Self::FenceLeftOut { parts } if parts.is_empty() => f.write_str(
                "the backup was taken behind a fence; the database has the properties it had before",
            ),
            Self::FenceLeftOut { parts } => write!(
                f,
                "the backup was taken behind a fence and does not say what was there before; left out: {}",
                list(parts)
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
    let version =
        locale.version.as_ref().map(|version| format!(" version {version}")).unwrap_or_default();
    format!("{} {}{version}", locale.provider, locale.locale.as_ref().unwrap_or(&locale.collate))
}
