//! Compare two databases or backups.

mod equality;
mod side;

use std::time::Instant;

use pgsnap::{Census, Comparison, Difference, RowDifference, TableName};
use serde::Serialize;

pub(crate) use self::equality::equality;
pub(super) use self::side::{Reading, Side};
use self::side::{censuses, sides};
use super::{Ops, Report};

/// Which two databases or backups to compare, and how.
#[derive(Debug, Clone, Default)]
pub struct CompareOrder {
    /// A site's name, a connection URL, or a backup: its id, its path, or `latest`.
    pub a: String,
    /// The other side, named in the same ways.
    pub b: String,
    /// The depth of the comparison.
    pub depth: CompareDepth,
    /// Lists up to this number of differing rows of each table, by their key.
    pub rows: Option<u32>,
    /// The number of sessions that read rows; the number of processors by default.
    pub jobs: Option<u16>,
}

/// The depth of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CompareDepth {
    /// The numbers of rows.
    Counts,
    /// The numbers of rows, and the digests of their contents.
    #[default]
    Content,
}

impl CompareDepth {
    /// The proof of a comparison of this depth, for people.
    pub(crate) fn proof(self) -> &'static str {
        match self {
            Self::Counts => "row counts",
            Self::Content => "every row",
        }
    }
}

/// Two sides that were compared.
#[derive(Debug, Clone, Serialize)]
pub struct CompareReport {
    /// The name of the first side.
    pub a: String,
    /// The name of the second side.
    pub b: String,
    /// True if nothing differs.
    pub equal: bool,
    /// The depth of the comparison.
    pub depth: CompareDepth,
    /// The differences, and what was compared.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// The differing rows, if they were to be listed.
    pub rows_listed: Vec<DifferingRows>,
    /// The duration in seconds.
    pub seconds: f64,
}

impl Report for CompareReport {
    const SCHEMA: &'static str = "hubctl.diff.v1";
}

/// The differing rows of one table.
#[derive(Debug, Clone, Serialize)]
pub struct DifferingRows {
    /// The table.
    pub table: TableName,
    /// Its differing rows.
    pub rows: Vec<RowDifference>,
}

/// Compares two databases or backups, each at one point in time.
///
/// # Errors
/// A side cannot be found, opened or asked; a side is a plain dump, or a `latest` backup that is
/// known to be damaged. A difference is no error.
pub async fn compare(ops: &Ops, order: CompareOrder) -> anyhow::Result<CompareReport> {
    let begun = Instant::now();
    let (a, b) = sides(ops, &order.a, &order.b).await?;
    let reading = Reading { depth: order.depth, jobs: order.jobs };
    let (census_a, census_b) = censuses(ops, reading, &a, &b).await?;
    let comparison = pgsnap::compare(&census_a, &census_b);
    let rows_listed = match order.rows {
        Some(limit) => {
            list_rows(&comparison, (&a, &census_a), (&b, &census_b), limit as usize).await?
        }
        None => Vec::new(),
    };
    Ok(CompareReport {
        a: a.label(),
        b: b.label(),
        equal: comparison.is_equal(),
        depth: order.depth,
        comparison,
        rows_listed,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

async fn list_rows(
    comparison: &Comparison,
    a: (&Side, &Census),
    b: (&Side, &Census),
    limit: usize,
) -> anyhow::Result<Vec<DifferingRows>> {
    let mut listed = Vec::new();
    for table in tables_with_other_rows(comparison) {
        let (Some(table_a), Some(table_b)) = (a.1.table(&table), b.1.table(&table)) else {
            continue;
        };
        let rows =
            pgsnap::differing_rows((&a.0.source(), table_a), (&b.0.source(), table_b), limit)
                .await?;
        listed.push(DifferingRows { table, rows });
    }
    Ok(listed)
}

/// Tables whose rows can be told apart one by one: those with the same columns.
fn tables_with_other_rows(comparison: &Comparison) -> Vec<TableName> {
    let differences = comparison.differences.iter();
    let of_columns: Vec<&TableName> = differences
        .clone()
        .filter_map(|difference| match difference {
            Difference::Columns { table, .. } => Some(table),
            _ => None,
        })
        .collect();
    differences
        .filter_map(|difference| match difference {
            Difference::Rows { table, .. } | Difference::Content { table, .. }
                if !of_columns.contains(&table) =>
            {
                Some(table.clone())
            }
            _ => None,
        })
        .collect()
}
