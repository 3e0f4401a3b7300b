//! Which rows differ: only buckets that differ are looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures_util::StreamExt;
use serde::Serialize;

use crate::archive::Archive;
use crate::catalog::{self, Table};
use crate::census::TableCensus;
use crate::database::Database;
use crate::digest::Key;
use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::manifest::MemberKind;
use crate::session::Session;

/// A source from which rows can be read again.
#[derive(Clone)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there are two of them per comparison")]
pub enum RowSource {
    /// A live database.
    Database(Database),
    /// An archive.
    Archive(Archive),
}

/// The difference of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RowChange {
    /// The row exists in A only.
    OnlyA,
    /// The row exists in B only.
    OnlyB,
    /// The key exists on both sides with other values.
    Changed,
}

/// One differing row. Values are left out, only the key and the names of columns are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RowDifference {
    /// The difference.
    pub change: RowChange,
    /// The key columns as `name=value` in COPY text form; empty where the table has no key.
    pub key: Vec<String>,
    /// For a changed row: the columns that differ.
    pub columns: Vec<String>,
}

/// Bytes of rows held in memory per side, about; a single bucket may be larger.
const BUDGET: u64 = 64 << 20;

/// Finds up to `limit` differing rows of one table, given both sides' census of it.
///
/// A database is read again, at its present state: a row that changed since the census shows here.
/// How it is read comes from its own catalogue alone: a census may be an archive's or another
/// server's, and none of it becomes SQL.
///
/// # Errors
/// Errors of reading either side.
pub async fn differing_rows(
    a: (&RowSource, &TableCensus),
    b: (&RowSource, &TableCensus),
    limit: usize,
) -> Result<Vec<RowDifference>> {
    let order = a.1;
    let (modulus, differing) = buckets_to_read(a.1, b.1);
    let bytes_per_bucket = (a.1.bytes.max(b.1.bytes) / modulus as u64).max(1);
    let affordable = usize::try_from(BUDGET / bytes_per_bucket).unwrap_or(usize::MAX).max(1);
    let encoding = common_encoding(a, b)?;
    let (a, b) = (Side::open(a, order, encoding).await?, Side::open(b, order, encoding).await?);
    let mut found = Vec::new();
    for group in differing.chunks(affordable) {
        let wanted: BTreeSet<usize> = group.iter().copied().collect();
        let rows_a = a.collect(order, modulus, &wanted).await?;
        let rows_b = b.collect(order, modulus, &wanted).await?;
        found.extend(difference(order, &rows_a, &rows_b, limit - found.len()));
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// The encoding in which both sides are read. A database converts its rows to any, an archive has
/// them in one.
fn common_encoding(
    a: (&RowSource, &TableCensus),
    b: (&RowSource, &TableCensus),
) -> Result<Option<Encoding>> {
    let encoding = a.1.encoding.or(b.1.encoding);
    let is_readable = |(source, table): (&RowSource, &TableCensus)| {
        table.encoding == encoding || matches!(source, RowSource::Database(_))
    };
    if is_readable(a) && is_readable(b) {
        return Ok(encoding);
    }
    let name = |table: &TableCensus| table.encoding.map_or("UTF8", Encoding::name).to_owned();
    Err(Error::EncodingsDiffer { table: a.1.name.to_string(), a: name(a.1), b: name(b.1) })
}

/// The buckets in which rows differ. Where the censuses cannot tell, all of them, but in as many
/// portions as memory asks for.
fn buckets_to_read(a: &TableCensus, b: &TableCensus) -> (usize, Vec<usize>) {
    let (modulus, differing) = a.buckets.differing(&b.buckets);
    if a.key == b.key && a.encoding == b.encoding && modulus > 1 {
        return (modulus, differing);
    }
    let portions = (a.bytes.max(b.bytes) / BUDGET + 1).next_power_of_two();
    let portions = usize::try_from(portions).unwrap_or(usize::MAX >> 1);
    (portions, (0..portions).collect())
}

type Rows = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

struct Collector<'a> {
    key: Key,
    modulus: usize,
    wanted: &'a BTreeSet<usize>,
    scratch: Vec<u8>,
    rows: Rows,
}

impl Collector<'_> {
    fn add_lines(&mut self, lines: &[u8]) {
        for row in lines.split_inclusive(|&byte| byte == b'\n') {
            let row = row.strip_suffix(b"\n").unwrap_or(row);
            if self.wanted.contains(&self.key.bucket(row, &mut self.scratch, self.modulus)) {
                let key = self.key.of(row, &mut self.scratch).to_vec();
                self.rows.entry(key).or_default().push(row.to_vec());
            }
        }
    }
}

/// One side, ready to be read as often as memory asks for, its fields in A's order.
enum Side<'a> {
    Database(Box<OwnTable>),
    Archive(&'a Archive, &'a TableCensus),
}

impl<'a> Side<'a> {
    async fn open(
        (source, census): (&'a RowSource, &'a TableCensus),
        order: &TableCensus,
        encoding: Option<Encoding>,
    ) -> Result<Self> {
        Ok(match source {
            RowSource::Database(database) => {
                let mut found = OwnTable::find(database, census, order).await?;
                found.table.encoding = encoding;
                Self::Database(Box::new(found))
            }
            RowSource::Archive(archive) => Self::Archive(archive, census),
        })
    }

    async fn collect(
        &self,
        order: &TableCensus,
        modulus: usize,
        wanted: &BTreeSet<usize>,
    ) -> Result<Rows> {
        let mut collector =
            Collector { key: order.key(), modulus, wanted, scratch: Vec::new(), rows: Rows::new() };
        match self {
            Self::Database(table) => table.collect(&mut collector).await?,
            Self::Archive(archive, census) => {
                collect_archive(archive, census, order, &mut collector)?;
            }
        }
        for rows in collector.rows.values_mut() {
            rows.sort();
        }
        Ok(collector.rows)
    }
}

/// A table as the server that holds it describes it: parts, columns, and the condition of an
/// extension.
struct OwnTable {
    session: Session,
    table: Table,
}

impl OwnTable {
    async fn find(database: &Database, census: &TableCensus, order: &TableCensus) -> Result<Self> {
        let session = Session::open_read_only(database, "diff").await?;
        session.read_tables_only().await?;
        session.begin_read_only().await?;
        let servers: Vec<String> = census.foreign_server.iter().cloned().collect();
        let tables = catalog::tables(&session, &servers).await?;
        let mut table =
            tables.into_iter().find(|table| table.name == order.name).ok_or_else(|| {
                Error::NoSuchTable { name: order.name.to_string(), place: database.to_string() }
            })?;
        if !table.put_columns_in_order(&order.columns) {
            return Err(Error::ChangedMeanwhile { what: format!("columns of {}", table.name) });
        }
        // An archive has no values of generated columns to hold against these.
        table.generated.clear();
        if table.foreign_server.is_some() {
            session.read_foreign_tables().await?;
        }
        Ok(Self { session, table })
    }

    async fn collect(&self, collector: &mut Collector<'_>) -> Result<()> {
        for part in &self.table.parts {
            let context = format!("reading {}", part.name);
            let statement = self.table.copy_out(part, None);
            let mut stream = pin!(self.session.copy_out(&context, &statement).await?);
            while let Some(message) = stream.next().await {
                collector.add_lines(&message.map_err(|error| Error::query(&context, error))?);
            }
        }
        Ok(())
    }
}

fn collect_archive(
    archive: &Archive,
    table: &TableCensus,
    order: &TableCensus,
    collector: &mut Collector<'_>,
) -> Result<()> {
    let index = archive.table_index(&table.name)?;
    let mut reader = archive.reader()?;
    let positions: Option<Vec<usize>> = order
        .columns
        .iter()
        .map(|column| table.columns.iter().position(|other| other.name == column.name))
        .collect();
    let reorder =
        positions.filter(|positions| !positions.iter().copied().eq(0..table.columns.len()));
    for member in
        archive.manifest().members_of(MemberKind::Data).filter(|member| member.table == Some(index))
    {
        let (raw, rows) = reader.read_rows(member, table)?;
        match &reorder {
            None => collector.add_lines(&raw[rows]),
            Some(positions) => collector.add_lines(&reordered(&raw[rows], positions)),
        }
    }
    Ok(())
}

fn reordered(lines: &[u8], positions: &[usize]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len());
    for row in lines.split_inclusive(|&byte| byte == b'\n') {
        let fields: Vec<&[u8]> =
            row.strip_suffix(b"\n").unwrap_or(row).split(|&byte| byte == b'\t').collect();
        let row: Vec<&[u8]> = positions
            .iter()
            .map(|&position| fields.get(position).copied().unwrap_or_default())
            .collect();
        out.extend(row.join(&b'\t'));
        out.push(b'\n');
    }
    out
}

fn difference(table: &TableCensus, a: &Rows, b: &Rows, limit: usize) -> Vec<RowDifference> {
    let none = Vec::new();
    let keys: BTreeSet<&Vec<u8>> = a.keys().chain(b.keys()).collect();
    keys.into_iter()
        .filter_map(|key| {
            let (in_a, in_b) = (a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
            (in_a != in_b).then(|| describe(table, in_a, in_b))
        })
        .take(limit)
        .collect()
}

fn describe(table: &TableCensus, a: &[Vec<u8>], b: &[Vec<u8>]) -> RowDifference {
    let change = match (a.len(), b.len()) {
        (in_a, in_b) if in_a > in_b => RowChange::OnlyA,
        (in_a, in_b) if in_a < in_b => RowChange::OnlyB,
        _ => RowChange::Changed,
    };
    let row = a.first().or(b.first()).expect("a key has a row on one side at least");
    let fields: Vec<&[u8]> = row.split(|&byte| byte == b'\t').collect();
    let position = |name: &String| table.columns.iter().position(|column| &column.name == name);
    let value = |name: &String| {
        position(name)
            .and_then(|at| fields.get(at))
            .map(|field| printable(field))
            .unwrap_or_default()
    };
    let columns = match (change, a.first(), b.first()) {
        (RowChange::Changed, Some(a), Some(b)) => differing_columns(table, a, b),
        _ => Vec::new(),
    };
    RowDifference {
        change,
        key: table.key.iter().map(|name| format!("{name}={}", value(name))).collect(),
        columns,
    }
}

fn differing_columns(table: &TableCensus, a: &[u8], b: &[u8]) -> Vec<String> {
    let split =
        |row: &[u8]| row.split(|&byte| byte == b'\t').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (a, b) = (split(a), split(b));
    table
        .columns
        .iter()
        .enumerate()
        .filter(|(at, _)| a.get(*at) != b.get(*at))
        .map(|(_, column)| column.name.clone())
        .collect()
}

/// Text for a terminal: control characters of the data must not reach it.
fn printable(field: &[u8]) -> String {
    String::from_utf8_lossy(field)
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::Column;
    use crate::digest::{Buckets, Digest};
    use crate::name::TableName;

    fn table() -> TableCensus {
        let column = |name: &str| Column { name: name.into(), r#type: "text".into() };
        TableCensus {
            name: TableName::new("public", "t"),
            columns: vec![column("id"), column("title"), column("state")],
            key: vec!["id".into()],
            rows: 2,
            bytes: 0,
            digest: Digest::default(),
            buckets: Buckets::default(),
            with_partitions: false,
            filter: None,
            foreign_server: None,
            generated: None,
            encoding: None,
        }
    }

    fn rows(lines: &[&str]) -> Rows {
        let wanted = BTreeSet::from([0]);
        let mut collector = Collector {
            key: Key::Prefix(1),
            modulus: 1,
            wanted: &wanted,
            scratch: Vec::new(),
            rows: Rows::new(),
        };
        for line in lines {
            collector.add_lines(format!("{line}\n").as_bytes());
        }
        collector.rows
    }

    #[test]
    fn a_changed_row_is_told_from_a_missing_one() {
        let found = difference(
            &table(),
            &rows(&["1\ta\tx", "2\tb\tx"]),
            &rows(&["1\ta\ty", "3\tc\tx"]),
            10,
        );
        let told: Vec<_> = found
            .iter()
            .map(|row| (row.change, row.key[0].as_str(), row.columns.clone()))
            .collect();
        assert_eq!(
            told,
            [
                (RowChange::Changed, "id=1", vec!["state".to_owned()]),
                (RowChange::OnlyA, "id=2", vec![]),
                (RowChange::OnlyB, "id=3", vec![])
            ]
        );
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable(b"a\x1b[2J"), "a\\u{1b}[2J");
    }

    #[test]
    fn fields_can_be_put_into_another_order() {
        assert_eq!(reordered(b"1\t2\t3\n4\t5\t6\n", &[2, 0, 1]), b"3\t1\t2\n6\t4\t5\n");
    }
}
