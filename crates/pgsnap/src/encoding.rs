//! Rows that a conversion to UTF-8 would change or refuse.
//!
//! Every session speaks UTF-8, so the server converts the text of a database in another encoding.
//! Some encodings have bytes without an equivalent in UTF-8 (`9D` in WIN1252), for which the server
//! refuses the row; others have two byte sequences for one character (`ADF0` and `A2E2` in EUC_JP),
//! of which only one comes back. A table that holds such a row is read and written in the encoding
//! of its database, which converts nothing. All other tables are read in UTF-8.
//!
//! So the text of a table, and with it its digest, is a function of its rows and the encoding of
//! its database.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::catalog::{Part, Table};
use crate::census::Census;
use crate::error::Result;
use crate::name::quote_identifier;
use crate::progress::Progress;
use crate::restore::refusal;
use crate::session::Session;
use crate::snapshot::{Snapshot, lock_statement};

/// An encoding of a PostgreSQL server whose text may change on its way to UTF-8 and back.
///
/// The names are the server's own, and there are no others: a name out of a manifest is safe to be
/// part of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static str);

/// Left out are those in which every byte has a character of its own in UTF-8, UTF8 itself,
/// SQL_ASCII, whose bytes nobody converts, and MULE_INTERNAL, which no server converts to UTF-8.
const INEXACT: [&str; 18] = [
    "EUC_CN",
    "EUC_JIS_2004",
    "EUC_JP",
    "EUC_KR",
    "EUC_TW",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "LATIN3",
    "WIN1250",
    "WIN1251",
    "WIN1252",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1257",
    "WIN1258",
    "WIN874",
];

impl Encoding {
    /// The encoding of this name, if it is one of them.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let known = INEXACT.iter().find(|known| **known == name);
        known.map(|known| Self(known))
    }

    /// The server's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl Serialize for Encoding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Encoding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::of_name(&name).ok_or_else(|| serde::de::Error::custom("unknown encoding of rows"))
    }
}

/// The end of a COPY statement whose rows are in this encoding; nothing stands for that of the
/// session.
pub(crate) fn copy_option(encoding: Option<Encoding>) -> String {
    encoding.map_or_else(String::new, |encoding| format!(" WITH (ENCODING '{}')", encoding.name()))
}

/// Decides for every table in which encoding its rows are read. Asks nothing where the database's
/// encoding is exact.
///
/// Tables that `like` has in the encoding of this database are read in it, whatever they hold.
///
/// # Errors
/// Errors of the server.
pub(crate) async fn settle(
    snapshot: &Snapshot,
    tables: &mut [Table],
    like: Option<&Census>,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    let Some(own) = Encoding::of_name(&snapshot.facts.encoding) else {
        return Ok(());
    };
    let probe = Probe::begin(snapshot, own).await?;
    let mut found = Vec::new();
    for table in tables.iter_mut() {
        let model = like.and_then(|like| like.table(&table.name));
        if model.is_some_and(|model| model.encoding == Some(own)) {
            table.encoding = Some(own);
        } else if !probe.is_exact(table).await? {
            table.encoding = Some(own);
            found.push(table.name.to_string());
        }
    }
    probe.join_trees(tables).await?;
    if !found.is_empty() {
        progress.note(&format!(
            "rows of {} have no exact equivalent in UTF-8 and are read in {}, the encoding of the database",
            found.join(", "),
            own.name()
        ));
    }
    Ok(())
}

/// A session that reads rows and tells whether they are the same after a conversion to UTF-8 and
/// back.
struct Probe {
    session: Session,
    encoding: Encoding,
    /// True if each table must be locked before it is read.
    locks: bool,
}

impl Probe {
    async fn begin(snapshot: &Snapshot, encoding: Encoding) -> Result<Self> {
        let session = snapshot.worker("encoding").await?;
        session.execute(CONTEXT, "SAVEPOINT probe").await?;
        Ok(Self { session, encoding, locks: !snapshot.locks_eagerly() })
    }

    async fn is_exact(&self, table: &Table) -> Result<bool> {
        let columns: Vec<String> = table
            .columns
            .iter()
            .chain(&table.generated)
            .filter(|column| !is_ascii(&column.r#type))
            .map(|column| quote_identifier(&column.name))
            .collect();
        if columns.is_empty() {
            return Ok(true);
        }
        let columns = columns.join(", ");
        for part in &table.parts {
            let is_exact = self.part_is_exact(table, part, &columns).await;
            // Gives the lock back, and makes the transaction usable again.
            let undo = "ROLLBACK TO SAVEPOINT probe";
            let undone = self.session.execute(CONTEXT, undo).await;
            if !is_exact? {
                return undone.map(|()| false);
            }
            undone?;
        }
        Ok(true)
    }

    async fn part_is_exact(&self, table: &Table, part: &Part, columns: &str) -> Result<bool> {
        let is_foreign = table.foreign_server.is_some();
        if is_foreign {
            self.session.read_foreign_tables().await?;
        } else if self.locks {
            let lock = lock_statement(std::iter::once(&part.name));
            self.session.execute("locking tables", &lock).await?;
        }
        let context = format!("reading {}", part.name);
        let filter = table.filter.as_deref().unwrap_or_default();
        let query = self.query(&part.name.quoted(), columns, filter);
        match self.session.row(&context, &query, &[]).await {
            Ok(row) => Ok(!row.get::<_, bool>(0)),
            Err(error) if error.sqlstate().is_some_and(is_refusal) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Columns of one row are converted together: the quotes that a record adds are ASCII.
    fn query(&self, name: &str, columns: &str, filter: &str) -> String {
        let own = self.encoding.name();
        format!(
            "SELECT EXISTS (SELECT FROM (SELECT ROW({columns})::pg_catalog.text AS r FROM ONLY {name} {filter} OFFSET 0) AS t
              WHERE pg_catalog.convert(pg_catalog.convert_to(r, 'UTF8'), 'UTF8', '{own}') <> pg_catalog.convert_to(r, '{own}'))"
        )
    }

    /// Reads all partitions of a tree in one encoding: their digests add up to the same one
    /// wherever the rows lie.
    async fn join_trees(&self, tables: &mut [Table]) -> Result<()> {
        const ROOTS: &str = "
            SELECT o, pg_catalog.pg_partition_root(o::regclass)::oid FROM pg_catalog.unnest($1::oid[]) AS u(o)
             WHERE pg_catalog.pg_partition_root(o::regclass) IS NOT NULL";
        if tables.iter().all(|table| table.encoding.is_none()) {
            return Ok(());
        }
        let oids = |table: &Table| table.parts.iter().map(|part| part.oid).collect::<Vec<_>>();
        let all: Vec<u32> = tables.iter().flat_map(oids).collect();
        let rows = self.session.rows(CONTEXT, ROOTS, &[&all]).await?;
        let pairs = rows.iter().map(|row| (row.get(0), row.get(1)));
        let roots: HashMap<u32, u32> = pairs.collect();
        let roots_of = |table: &Table| -> HashSet<u32> {
            let parts = table.parts.iter();
            parts.filter_map(|part| roots.get(&part.oid).copied()).collect()
        };
        let own = tables.iter().filter(|table| table.encoding.is_some());
        let own: HashSet<u32> = own.flat_map(roots_of).collect();
        for table in tables {
            if !roots_of(table).is_disjoint(&own) {
                table.encoding = Some(self.encoding);
            }
        }
        Ok(())
    }
}

/// Returns true if values of a type are ASCII in every encoding, as `format_type` names it. Types
/// of users have their schema before their name.
fn is_ascii(r#type: &str) -> bool {
    const TYPES: [&str; 18] = [
        "bigint",
        "boolean",
        "bytea",
        "date",
        "double precision",
        "inet",
        "integer",
        "interval",
        "numeric",
        "real",
        "smallint",
        "time",
        "time with time zone",
        "time without time zone",
        "timestamp",
        "timestamp with time zone",
        "timestamp without time zone",
        "uuid",
    ];
    let end = r#type.find(['(', '[']).unwrap_or(r#type.len());
    TYPES.contains(&&r#type[..end])
}

const CONTEXT: &str = "looking for bytes without an equivalent in UTF-8";

/// Bytes without an equivalent in UTF-8, and rows that are too long to be converted as a whole.
fn is_refusal(code: &str) -> bool {
    matches!(code, "22P05" | "54000")
}

/// Makes sure that a database can take rows that are in an encoding of their own.
///
/// # Errors
/// [`Error::Preflight`](crate::Error::Preflight) where its encoding is another one.
pub(crate) async fn require(session: &Session, tables: &[Table]) -> Result<()> {
    const QUERY: &str =
        "SELECT pg_catalog.current_setting('server_encoding'), pg_catalog.current_database()::text";
    let Some(own) = tables.iter().find_map(|table| table.encoding) else {
        return Ok(());
    };
    let row = session.row("asking for the encoding", QUERY, &[]).await?;
    let (encoding, database): (String, String) = (row.get(0), row.get(1));
    if encoding == own.name() {
        return Ok(());
    }
    let own = own.name();
    Err(refusal(
        format!(
            "database {database} has the encoding {encoding}, and rows of the source have no equivalent in it"
        ),
        format!("have it created with ENCODING '{own}'"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_users_are_never_taken_for_types_of_the_server() {
        for ascii in ["integer", "bytea[]", "numeric(10,2)", "timestamp(3) with time zone"] {
            assert!(is_ascii(ascii), "{ascii}");
        }
        for text in [
            "text",
            "character varying(10)",
            "json",
            "public.date",
            "\"date\"",
            "int4range",
            "public.\"a(b\"",
        ] {
            assert!(!is_ascii(text), "{text}");
        }
    }

    #[test]
    fn a_name_that_no_server_has_becomes_no_part_of_a_statement() {
        assert_eq!(copy_option(None), "");
        assert_eq!(copy_option(Encoding::of_name("WIN1252")), " WITH (ENCODING 'WIN1252')");
        for name in ["", "win1252", "UTF8", "SQL_ASCII", "WIN1252'", "x'); DROP TABLE t; --"] {
            assert_eq!(Encoding::of_name(name), None, "{name}");
            let json = serde_json::Value::String(name.to_owned());
            assert!(serde_json::from_value::<Encoding>(json).is_err(), "{name}");
        }
        let json = serde_json::to_value(Encoding("EUC_JP")).unwrap();
        assert_eq!(serde_json::from_value::<Encoding>(json).unwrap().name(), "EUC_JP");
    }
}
