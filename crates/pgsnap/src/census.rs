//! The contents of a database in numbers that can be compared: the types.

use serde::{Deserialize, Serialize};

use crate::digest::{Buckets, Digest};
use crate::encoding::Encoding;
use crate::name::TableName;

/// A column of a table, in the order of the rows' fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The unquoted name.
    pub name: String,
    /// The type as `format_type` prints it.
    pub r#type: String,
}

/// The values of the stored generated columns of a table. No dump holds them; whoever loads the
/// rows computes them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratedColumns {
    /// The columns, in the order of the fields.
    pub columns: Vec<Column>,
    /// The digest of all rows with these columns behind the others.
    pub digest: Digest,
}

/// The exact contents of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableCensus {
    /// Schema and name.
    #[serde(flatten)]
    pub name: TableName,
    /// The columns whose text makes a row, generated columns left out.
    pub columns: Vec<Column>,
    /// The columns of the primary key; empty where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Exact number of rows.
    pub rows: u64,
    /// Bytes of the rows in COPY text format.
    pub bytes: u64,
    /// The digest of all rows; see [`Digest`].
    pub digest: Digest,
    /// Digests per bucket of keys, to localise a difference.
    #[serde(default, skip_serializing_if = "Buckets::is_empty")]
    pub buckets: Buckets,
    /// True if rows of partitions are counted in this partitioned table. True for tables that are
    /// hash-partitioned on an enum: a row's partition depends on the enum's OIDs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_partitions: bool,
    /// The condition (`WHERE …`) under which an extension's configuration table is dumped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// For a foreign table: the server that holds its rows. They are not of the snapshot, but of
    /// the moment in which the server was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_server: Option<String>,
    /// Stored generated columns; absent where there are none, and where they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<GeneratedColumns>,
    /// The encoding of the database, where rows of this table have no exact equivalent in UTF-8:
    /// their text is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
}

/// The state of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SequenceState {
    /// Schema and name.
    #[serde(flatten)]
    pub name: TableName,
    /// The value last handed out (or the next one, while `is_called` is false).
    pub last_value: i64,
    /// True if `last_value` has been handed out.
    pub is_called: bool,
}

/// All large objects of a database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LargeObjects {
    /// The number of them.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The sum over all pieces of 1 MiB of the hash of `OID:INDEX:` (decimal, from 0) followed
    /// by the piece's bytes; an empty object has one empty piece.
    pub digest: Digest,
}

/// An installed extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The schema as `pg_dump` prints it, reduced to a hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SchemaFingerprint {
    /// BLAKE3 of the DDL statements, sorted, each followed by a line feed, without comments and the
    /// settings that `pg_dump` toggles.
    pub digest: String,
    /// The version of `pg_dump` that printed it.
    pub pg_dump: String,
    /// The major version of the server it was printed from.
    pub server_major: u32,
    /// The statements themselves, kept in memory only, to name differences.
    #[serde(skip)]
    pub statements: Vec<String>,
}

impl SchemaFingerprint {
    /// Puts other statements in the place of those it has, and the digest that belongs to them.
    pub(crate) fn replace_statements(&mut self, statements: Vec<String>) {
        self.digest = Self::digest_of(&statements);
        self.statements = statements;
    }

    /// The digest of statements, which does not depend on their order.
    pub(crate) fn digest_of(statements: &[String]) -> String {
        let mut sorted: Vec<&String> = statements.iter().collect();
        sorted.sort();
        let mut hasher = blake3::Hasher::new();
        for statement in sorted {
            hasher.update(statement.as_bytes()).update(b"\n");
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Returns true if the statements themselves are known: a manifest keeps their digest alone.
    pub(crate) fn has_statements(&self) -> bool {
        !self.statements.is_empty() || self.digest == Self::digest_of(&[])
    }

    /// Returns true if both were printed by the same versions, so that equal schemas have equal
    /// statements.
    pub(crate) fn is_comparable(&self, other: &Self) -> bool {
        let major = |version: &str| version.split('.').next().map(str::to_owned);
        self.server_major == other.server_major && major(&self.pg_dump) == major(&other.pg_dump)
    }
}

/// The collation a database was created with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Locale {
    /// `libc`, `icu` or `builtin`.
    pub provider: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// The ICU or builtin locale, where the provider has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Further ICU collation rules (PostgreSQL 16 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    /// The version of the collation the database was created under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Exact counts and digests of everything in a database, as of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Census {
    /// Every table with rows of its own, sorted by name.
    pub tables: Vec<TableCensus>,
    /// Every sequence, sorted by name.
    pub sequences: Vec<SequenceState>,
    /// All large objects.
    pub large_objects: LargeObjects,
    /// Installed extensions, sorted by name.
    pub extensions: Vec<Extension>,
    /// The database's collation.
    pub locale: Locale,
    /// The schema; absent where only rows were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaFingerprint>,
    /// False where only counts were taken: digests are then zero.
    pub content: bool,
}

impl Census {
    /// The table of this name.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&TableCensus> {
        self.tables.iter().find(|table| &table.name == name)
    }

    /// Rows of all tables together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// One number for the contents: the hash of a line `"schema"."name" ROWS DIGEST` per table, in
    /// order, and of a last line `large objects COUNT DIGEST`. Equal for equal rows in columns of
    /// the same order.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut lines = String::new();
        for table in &self.tables {
            let (name, rows, digest) = (&table.name, table.rows, table.digest);
            lines.push_str(&format!("{name} {rows} {digest}\n"));
        }
        let LargeObjects { count, digest, .. } = self.large_objects;
        lines.push_str(&format!("large objects {count} {digest}\n"));
        Digest::of(lines.as_bytes())
    }

    /// Bytes of all rows in COPY text format.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }
}
