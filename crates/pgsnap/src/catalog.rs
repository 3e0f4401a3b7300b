//! The catalogue: relations with rows to dump and their columns, sequences and extensions.
//!
//! The rules are `pg_dump`'s (`getTableData`, `selectDumpableObject` and
//! `checkExtensionMembership` in `src/bin/pg_dump/pg_dump.c`).

use std::collections::HashMap;

use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::row::RowIndex;
use tokio_postgres::types::FromSql;

use crate::census::{Column, Extension, GeneratedColumns, SequenceState};
use crate::digest::{Digest, Tally};
use crate::encoding::{Encoding, copy_option};
use crate::error::{Error, Result};
use crate::name::{TableName, quote_identifier, quote_literal};
use crate::session::Session;
use crate::user_code::UserCode;

/// A table with rows of its own, or a partitioned table dumped through its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: TableName,
    pub(crate) columns: Vec<Column>,
    /// Stored generated columns, which are read behind the others and never loaded.
    pub(crate) generated: Vec<Column>,
    pub(crate) key: Vec<String>,
    /// The condition of an extension's configuration table, `WHERE` included.
    pub(crate) filter: Option<String>,
    /// For a configuration table with foreign keys to or from others: how many of them come before
    /// it at most. Its keys exist when its rows are loaded.
    pub(crate) tied: Option<usize>,
    /// True if loading its rows calls functions of the database, which may read any other table.
    pub(crate) calls_code: bool,
    /// True if the rows of its partitions are loaded through this partitioned table.
    pub(crate) with_partitions: bool,
    /// The foreign server that holds the rows.
    pub(crate) foreign_server: Option<String>,
    /// The encoding in which rows are read, if it is not that of the session.
    pub(crate) encoding: Option<Encoding>,
    /// True if each row is read behind its `ctid`.
    pub(crate) located: bool,
    /// The relations whose rows are read: the table itself, or its partitions.
    pub(crate) parts: Vec<Part>,
}

/// A relation that is scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) oid: u32,
    pub(crate) name: TableName,
    /// Bytes of the main fork.
    pub(crate) size: i64,
    /// Bytes of main fork and TOAST.
    pub(crate) total_size: i64,
    /// True if the table access method is `heap`, so that ranges of pages can be read.
    pub(crate) heap: bool,
}

/// A relation that must be locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lockable {
    pub(crate) oid: u32,
    pub(crate) name: TableName,
}

/// Rows of unlogged tables do not exist on a standby; `pg_dump` leaves them out there, too.
///
/// Relations of the database that are dumped and are no members of an extension, or are its
/// configuration tables; foreign tables of the servers `$1` alone. `row_security_active` is asked
/// with `row_security = off` set. The privilege is null for a table that was dropped since the
/// snapshot was taken: whoever locks it will find out. `details` are further columns to select.
fn relations_query(details: &str) -> String {
    format!(
        "
WITH config AS (
    SELECT u.relation AS oid, u.condition
      FROM pg_catalog.pg_extension e,
           LATERAL ROWS FROM (pg_catalog.unnest(e.extconfig), pg_catalog.unnest(e.extcondition)) AS u(relation, condition)
)
SELECT c.oid, n.nspname, c.relname, c.relkind::text,
       pg_catalog.row_security_active(c.oid) AS hidden,
       COALESCE(pg_catalog.has_table_privilege(c.oid, 'SELECT'), true) AS readable{details}
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
  LEFT JOIN config ON config.oid = c.oid
 WHERE (c.relkind IN ('r', 'p')
        OR c.relkind = 'f' AND EXISTS (SELECT FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
              WHERE f.ftrelid = c.oid AND s.srvname = ANY ($1::text[])))
   AND c.relpersistence <> 't'
   AND (c.relpersistence = 'p' OR NOT pg_catalog.pg_is_in_recovery())
   AND (config.oid IS NOT NULL
        OR (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')))
 ORDER BY n.nspname, c.relname"
    )
}

/// The columns needed to read and load the rows; at ten thousand tables they cost more than all the
/// rest.
const DETAILS: &str = ",
       COALESCE(am.amname = 'heap', true) AS heap,
       config.condition,
       COALESCE((SELECT pg_catalog.array_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '{}') AS columns,
       COALESCE((SELECT pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '{}') AS types,
       COALESCE((SELECT pg_catalog.array_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 's'), '{}') AS generated,
       COALESCE((SELECT pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 's'), '{}') AS generated_types,
       COALESCE((SELECT pg_catalog.array_agg(a.attname ORDER BY k.n) FROM pg_catalog.pg_index i,
             LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k(attnum, n)
             JOIN pg_catalog.pg_attribute a ON a.attnum = k.attnum
          WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND k.n <= i.indnkeyatts), '{}') AS key,
       COALESCE((SELECT pg_catalog.array_agg(k.confrelid) FROM pg_catalog.pg_constraint k
          WHERE k.conrelid = config.oid AND k.contype = 'f' AND k.confrelid <> k.conrelid), '{}') AS refers_to,
       (SELECT s.srvname FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
          WHERE f.ftrelid = c.oid) AS foreign_server,
       (SELECT a.relid::oid FROM pg_catalog.pg_partition_ancestors(c.oid) WITH ORDINALITY AS a(relid, height)
          JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.relid
          JOIN pg_catalog.pg_opclass o ON o.oid = ANY (p.partclass::oid[])
         WHERE c.relispartition AND p.partstrat = 'h' AND o.opcname = 'enum_ops'
         ORDER BY a.height DESC LIMIT 1) AS load_root";

/// Returns the relations to lock. Foreign tables cannot be locked.
///
/// # Errors
/// [`Error::RowSecurity`] and [`Error::NotReadable`] name every table concerned at once.
pub(crate) async fn lockable(session: &Session) -> Result<Vec<Lockable>> {
    locks(&relations(session, "", &[]).await?)
}

/// Returns the tables to read, foreign tables of these servers included, with their sizes.
/// Relations must be locked, or they may be gone.
///
/// # Errors
/// As [`lockable`].
pub(crate) async fn tables(session: &Session, foreign_servers: &[String]) -> Result<Vec<Table>> {
    let rows = relations(session, DETAILS, foreign_servers).await?;
    locks(&rows)?;
    let mut tables = tables_of(&rows)?;
    measure(session, &mut tables).await?;
    let code = UserCode::tables(session).await?;
    for table in &mut tables {
        table.calls_code = code.contains_key(&table.name);
    }
    Ok(tables)
}

async fn relations(
    session: &Session,
    details: &str,
    foreign_servers: &[String],
) -> Result<Vec<Row>> {
    let query = relations_query(details);
    session.rows("reading the list of tables", &query, &[&foreign_servers]).await
}

/// `pg_table_size` would also look for six more files of each.
async fn measure(session: &Session, tables: &mut [Table]) -> Result<()> {
    const SIZES: &str = "
        SELECT o, pg_catalog.pg_relation_size(o), pg_catalog.pg_relation_size(NULLIF(c.reltoastrelid, 0::oid))
          FROM pg_catalog.unnest($1::oid[]) AS u(o) JOIN pg_catalog.pg_class c ON c.oid = o";
    let parts = tables.iter().flat_map(|table| &table.parts);
    let oids: Vec<u32> = parts.map(|part| part.oid).collect();
    let rows = session.rows("measuring the tables", SIZES, &[&oids]).await?;
    let bytes = |row: &Row, column: usize| row.get::<_, Option<i64>>(column).unwrap_or(0);
    let sizes: HashMap<u32, (i64, i64)> = rows
        .iter()
        .map(|row| (row.get(0), (bytes(row, 1), bytes(row, 1) + bytes(row, 2))))
        .collect();
    for part in tables.iter_mut().flat_map(|table| table.parts.iter_mut()) {
        (part.size, part.total_size) = sizes.get(&part.oid).copied().unwrap_or((0, 0));
    }
    Ok(())
}

/// Returns the relations to lock, or an error if one of them cannot be read whole.
fn locks(rows: &[Row]) -> Result<Vec<Lockable>> {
    let mut lockable = Vec::with_capacity(rows.len());
    let mut hidden = Vec::new();
    let mut unreadable = Vec::new();
    for row in rows {
        let name = readable_name(row)?;
        // A policy on a partitioned root hides nothing: the partitions are read themselves.
        if row.get("hidden") && row.get::<_, String>("relkind") == "r" {
            hidden.push(name.to_string());
        }
        if !row.get::<_, bool>("readable") {
            unreadable.push(name.to_string());
        }
        lockable.push(Lockable { oid: row.get("oid"), name });
    }
    if !unreadable.is_empty() {
        return Err(Error::NotReadable { objects: unreadable });
    }
    if !hidden.is_empty() {
        return Err(Error::RowSecurity { tables: hidden });
    }
    Ok(lockable)
}

/// A column that may hold text. In an SQL_ASCII database that may be any bytes; such a text cannot
/// be handled, and must be said.
pub(crate) fn text<'a, T: FromSql<'a>>(
    row: &'a Row,
    column: impl RowIndex + std::fmt::Display,
    what: &str,
) -> Result<T> {
    row.try_get(column).map_err(|_| Error::NotUtf8 { what: what.into() })
}

fn readable_name(row: &Row) -> Result<TableName> {
    const WHAT: &str = "the name of a table";
    Ok(TableName::new(text::<String>(row, "nspname", WHAT)?, text::<String>(row, "relname", WHAT)?))
}

fn tables_of(rows: &[Row]) -> Result<Vec<Table>> {
    let part_of = |row: &Row| -> Result<Part> {
        Ok(Part {
            oid: row.get("oid"),
            name: readable_name(row)?,
            size: 0,
            total_size: 0,
            heap: row.get("heap"),
        })
    };
    let is_leaf = |row: &Row| row.get::<_, &str>("relkind") != "p";
    let load_root = |row: &Row| row.get::<_, Option<u32>>("load_root");
    let mut through: HashMap<u32, Vec<Part>> = HashMap::new();
    for leaf in rows.iter().filter(|row| is_leaf(row)) {
        if let Some(root) = load_root(leaf) {
            through.entry(root).or_default().push(part_of(leaf)?);
        }
    }
    let refers_to: HashMap<u32, Vec<u32>> = rows
        .iter()
        .map(|row| (row.get("oid"), row.get("refers_to")))
        .filter(|(_, list): &(u32, Vec<u32>)| !list.is_empty())
        .collect();
    let mut tables = Vec::new();
    for row in rows {
        let is_leaf = is_leaf(row);
        let parts = match (is_leaf, load_root(row), through.remove(&row.get("oid"))) {
            (true, None, _) => vec![part_of(row)?],
            (false, _, Some(parts)) => parts,
            // A partition loaded through another table, or a partitioned table whose partitions speak for themselves.
            _ => continue,
        };
        let columns = |names: &str, types: &str| -> Result<Vec<Column>> {
            let names: Vec<String> = text(row, names, "the name of a column")?;
            let types: Vec<String> = text(row, types, "the name of a type")?;
            let pairs = names.into_iter().zip(types);
            Ok(pairs.map(|(name, r#type)| Column { name, r#type }).collect())
        };
        tables.push(Table {
            name: readable_name(row)?,
            columns: columns("columns", "types")?,
            generated: columns("generated", "generated_types")?,
            key: row.get("key"),
            filter: text::<Option<String>>(row, "condition", "a condition of an extension")?
                .filter(|condition| !condition.trim().is_empty()),
            tied: tied(&refers_to, row.get("oid")),
            calls_code: false,
            with_partitions: !is_leaf,
            foreign_server: text(row, "foreign_server", "the name of a foreign server")?,
            encoding: None,
            located: false,
            parts,
        });
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

/// The length of the longest chain of references from a table, or `None` where no reference leads
/// from or to it.
fn tied(refers_to: &HashMap<u32, Vec<u32>>, table: u32) -> Option<usize> {
    fn depth(refers_to: &HashMap<u32, Vec<u32>>, table: u32, limit: usize) -> usize {
        let referred = refers_to.get(&table).map_or(&[][..], Vec::as_slice);
        let deepest = referred.iter().map(|&next| match limit {
            // Tables that refer to each other in a circle cannot be loaded by pg_dump's script either.
            0 => 0,
            _ => 1 + depth(refers_to, next, limit - 1),
        });
        deepest.max().unwrap_or(0)
    }
    /// Longer chains are circles.
    const LONGEST: usize = 8;
    let is_referred = || refers_to.values().any(|list| list.contains(&table));
    let depth = depth(refers_to, table, LONGEST);
    (depth > 0 || is_referred()).then_some(depth)
}

impl Table {
    /// Reads the columns in the order of a model from now on, if that names each of them once and
    /// nothing else.
    pub(crate) fn put_columns_in_order(&mut self, model: &[Column]) -> bool {
        let position = |name: &str| model.iter().position(|column| column.name == name);
        let has_each = self.columns.len() == model.len()
            && self.columns.iter().all(|column| position(&column.name).is_some());
        if has_each {
            self.columns.sort_by_key(|column| position(&column.name));
        }
        has_each
    }

    /// Reads generated columns in the order of another table's.
    pub(crate) fn put_generated_in_order(&mut self, model: Option<&GeneratedColumns>) {
        let model = model.map_or(&[][..], |model| &model.columns);
        let position = |name: &str| model.iter().position(|column| column.name == name);
        self.generated.sort_by_key(|column| position(&column.name));
    }

    /// The statement that reads one part, whole or in a range of pages `[from, to)`.
    pub(crate) fn copy_out(&self, part: &Part, pages: Option<(u64, Option<u64>)>) -> String {
        let columns = self.columns_to_read();
        let name = part.name.quoted();
        let rows = match (pages, &self.filter) {
            (Some((from, to)), _) => {
                let upper = to
                    .map(|to| format!(" AND ctid < '({to},0)'::pg_catalog.tid"))
                    .unwrap_or_default();
                format!(
                    "COPY (SELECT {columns} FROM ONLY {name} WHERE ctid >= '({from},0)'::pg_catalog.tid{upper})"
                )
            }
            // The condition is stored with its WHERE and is appended as it is, as pg_dump does.
            (None, Some(filter)) => {
                format!("COPY (SELECT {columns} FROM ONLY {name} {filter})")
            }
            // The server copies no foreign table and no generated column directly.
            (None, None)
                if self.foreign_server.is_some() || self.located || !self.generated.is_empty() =>
            {
                format!("COPY (SELECT {columns} FROM ONLY {name})")
            }
            (None, None) if columns.is_empty() => format!("COPY {name}"),
            (None, None) => format!("COPY {name} ({columns})"),
        };
        format!("{rows} TO STDOUT{}", copy_option(self.encoding))
    }

    /// The list of what [`Table::copy_out`] reads of each row.
    pub(crate) fn columns_to_read(&self) -> String {
        let place = self.located.then(|| "ctid".to_owned());
        let columns = self.columns.iter().chain(&self.generated);
        let columns = columns.map(|column| quote_identifier(&column.name));
        place.into_iter().chain(columns).collect::<Vec<_>>().join(", ")
    }

    /// Adds whole rows as [`Table::copy_out`] reads them to a tally, and returns them as an archive
    /// holds them, behind their places if these are read.
    pub(crate) fn tally(&self, rows: Bytes, tally: &mut Tally) -> Bytes {
        if self.located {
            let (columns, generated) = (self.columns.len(), self.generated.len());
            return tally.add_located_lines(&rows, columns, generated).into();
        }
        if self.generated.is_empty() {
            tally.add_lines(&rows);
            return rows;
        }
        let (columns, generated) = (self.columns.len(), self.generated.len());
        tally.add_computed_lines(&rows, columns, generated).into()
    }

    /// The generated columns with the digest of what was read of them.
    pub(crate) fn generated_census(&self, digest: Digest) -> Option<GeneratedColumns> {
        (!self.generated.is_empty())
            .then(|| GeneratedColumns { columns: self.generated.clone(), digest })
    }

    /// The statement that counts what [`Table::copy_out`] reads.
    pub(crate) fn count(&self) -> String {
        let counts = self.parts.iter().map(|part| {
            let count = count_statement(&part.name, false, self.filter.as_deref());
            format!("({count})")
        });
        format!("SELECT {}", counts.collect::<Vec<_>>().join(" + "))
    }
}

/// Counts the rows of a table as an archive counts them.
pub(crate) fn count_statement(
    name: &TableName,
    with_partitions: bool,
    filter: Option<&str>,
) -> String {
    let only = if with_partitions { "" } else { "ONLY " };
    format!(
        "SELECT pg_catalog.count(*) FROM {only}{} {}",
        name.quoted(),
        filter.unwrap_or_default()
    )
    .trim_end()
    .to_owned()
}

/// The current state of every sequence that is dumped; unlogged ones have none on a standby.
/// Sequences are not transactional: read them after the rows, so that no id in the snapshot is
/// ahead of its sequence.
pub(crate) async fn sequences(session: &Session) -> Result<Vec<SequenceState>> {
    const LIST: &str = "
        SELECT n.nspname, c.relname, COALESCE(pg_catalog.has_sequence_privilege(c.oid, 'SELECT'), true)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'S' AND c.relpersistence <> 't'
           AND (c.relpersistence = 'p' OR NOT pg_catalog.pg_is_in_recovery())
           AND ((n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
                OR EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)))
         ORDER BY n.nspname, c.relname";
    const BATCH: usize = 200;
    let rows = session.rows("reading the list of sequences", LIST, &[]).await?;
    let names: Vec<TableName> = rows
        .iter()
        .map(|row| {
            const WHAT: &str = "the name of a sequence";
            Ok(TableName::new(text::<String>(row, 0, WHAT)?, text::<String>(row, 1, WHAT)?))
        })
        .collect::<Result<_>>()?;
    let unreadable: Vec<String> = rows
        .iter()
        .zip(&names)
        .filter(|(row, _)| !row.get::<_, bool>(2))
        .map(|(_, name)| name.to_string())
        .collect();
    if !unreadable.is_empty() {
        return Err(Error::NotReadable { objects: unreadable });
    }
    let mut states = Vec::with_capacity(names.len());
    for batch in names.chunks(BATCH) {
        let query = batch
            .iter()
            .enumerate()
            .map(|(index, name)| {
                format!("SELECT {index}, last_value, is_called FROM {}", name.quoted())
            })
            .collect::<Vec<_>>()
            .join(" UNION ALL ");
        // They cannot be locked: one may be gone since the snapshot was taken.
        let rows = session.rows("reading the sequences", &query, &[]).await;
        let rows = rows.map_err(|error| match error.sqlstate() {
            Some("42P01" | "3F000") => Error::ChangedMeanwhile { what: "list of sequences".into() },
            _ => error,
        });
        for row in rows? {
            let index = usize::try_from(row.get::<_, i32>(0)).expect("the index was ours");
            states.push(SequenceState {
                name: batch[index].clone(),
                last_value: row.get(1),
                is_called: row.get(2),
            });
        }
    }
    states.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(states)
}

/// The `setval` call that restores a sequence.
pub(crate) fn setval(state: &SequenceState) -> String {
    format!(
        "SELECT pg_catalog.setval({}, {}, {});\n",
        quote_literal(&state.name.quoted()),
        state.last_value,
        state.is_called
    )
}

/// Installed extensions.
pub(crate) async fn extensions(session: &Session) -> Result<Vec<Extension>> {
    const QUERY: &str =
        "SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY extname COLLATE \"C\"";
    let rows = session.rows("reading the extensions", QUERY, &[]).await?;
    Ok(rows.iter().map(|row| Extension { name: row.get(0), version: row.get(1) }).collect())
}
