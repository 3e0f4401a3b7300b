//! The schema of the source and that of the base: a delta moves rows alone, so both must be the
//! same.

use super::DeltaOptions;
use crate::catalog::Table;
use crate::census::{Column, SchemaFingerprint};
use crate::compare::{Difference, Note, Side, compare_fingerprints};
use crate::database::Database;
use crate::definitions;
use crate::error::{Error, Result};
use crate::restore::{Obstacle, is_refresh};
use crate::snapshot::Snapshot;
use crate::sql;
use crate::tools::PgDump;

/// The schema of a snapshot, and the statements that fill its materialised views.
pub(super) async fn read(
    database: &Database,
    snapshot: &Snapshot,
    options: &DeltaOptions,
) -> Result<(SchemaFingerprint, Vec<String>)> {
    let major = snapshot.facts.server_major();
    let tool = PgDump::find(major, &options.bin_directories).await?;
    let ddl = definitions::read_ddl(database, &tool, snapshot, options.lock_timeout).await?;
    let mut refreshes = sql::statements(&ddl.post_data);
    refreshes.retain(|statement| is_refresh(statement));
    Ok((ddl.fingerprint(&tool, major), refreshes))
}

/// The schema of a database now, without a lock on its tables.
pub(super) async fn read_now(
    database: &Database,
    options: &DeltaOptions,
) -> Result<SchemaFingerprint> {
    let snapshot = Snapshot::of_catalogue(database, "delta").await?;
    let (fingerprint, _) = read(database, &snapshot, options).await?;
    snapshot.finish().await?;
    Ok(fingerprint)
}

/// A schema without large objects, whose definitions older versions of `pg_dump` print with it.
pub(super) fn without_large_objects(schema: &SchemaFingerprint) -> SchemaFingerprint {
    let mut schema = schema.clone();
    if schema.has_statements() {
        let mut statements = std::mem::take(&mut schema.statements);
        statements.retain(|statement| !sql::is_large_object(statement));
        schema.replace_statements(statements);
    }
    schema
}

/// Requires that rows of the source fit into the base.
///
/// Schemas of servers of different versions print differently. Where the source still has the
/// schema of which the base was copied, that copy has shown that the base has it as well.
///
/// # Errors
/// [`Error::SchemaDrift`], and [`Error::Preflight`] where nothing can tell.
pub(super) fn require_same(
    source: &SchemaFingerprint,
    base: &SchemaFingerprint,
    copied: Option<&SchemaFingerprint>,
) -> Result<()> {
    let other = copied.unwrap_or(base);
    let (mut differences, mut notes) = (Vec::new(), Vec::new());
    let (plain, other) = (without_large_objects(source), without_large_objects(other));
    // Where the statements are not known, neither is whether large objects are among them.
    let source = if other.digest == source.digest { source } else { &plain };
    compare_fingerprints(source, &other, &mut differences, &mut notes);
    let untold = notes.iter().find_map(|note| match note {
        Note::SchemaNotComparable { reason } => Some(reason),
        _ => None,
    });
    if let Some(reason) = untold {
        return Err(Error::Preflight { obstacles: vec![not_comparable(reason)] });
    }
    if differences.is_empty() { Ok(()) } else { Err(Error::SchemaDrift { differences }) }
}

pub(super) fn not_comparable(reason: &str) -> Obstacle {
    Obstacle::new(
        format!("the schemas of source and base cannot be compared: {reason}"),
        "give the schema that the source had when the base was copied (`copied_schema`), or copy the whole source",
    )
}

/// Has the tables of the source read as those of the base are.
///
/// # Errors
/// [`Error::SchemaDrift`] where that cannot be.
pub(super) fn align(source: &mut [Table], base: &[Table]) -> Result<()> {
    let mut differences = missing(source, base, Side::B);
    differences.extend(missing(base, source, Side::A));
    for (table, model) in source.iter_mut().zip(base) {
        if table.name != model.name {
            break;
        }
        table.put_columns_in_order(&model.columns);
        let place = |column: &Column| model.generated.iter().position(|one| one == column);
        table.generated.sort_by_key(place);
        if table.columns != model.columns || table.generated != model.generated {
            differences.push(Difference::Columns {
                table: table.name.clone(),
                only_a: only(table, model),
                only_b: only(model, table),
            });
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(Error::SchemaDrift { differences }) }
}

/// The tables that the other side lacks.
fn missing(tables: &[Table], others: &[Table], side: Side) -> Vec<Difference> {
    let lacking = tables.iter().filter(|table| !others.iter().any(|one| one.name == table.name));
    let difference = |table: &Table| Difference::TableMissing {
        table: table.name.clone(),
        missing_in: side,
        rows: 0,
    };
    lacking.map(difference).collect()
}

/// The columns that the other table lacks.
fn only(table: &Table, other: &Table) -> Vec<String> {
    fn columns(table: &Table) -> impl Iterator<Item = &Column> {
        table.columns.iter().chain(&table.generated)
    }
    columns(table)
        .filter(|&column| !columns(other).any(|one| one == column))
        .map(|column| format!("{} {}", column.name, column.r#type))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(statements: &[&str], server_major: u32) -> SchemaFingerprint {
        let statements: Vec<String> = statements.iter().map(|&one| one.to_owned()).collect();
        SchemaFingerprint {
            digest: SchemaFingerprint::digest_of(&statements),
            pg_dump: "18.1".into(),
            server_major,
            statements,
        }
    }

    #[test]
    fn another_object_is_drift_and_another_large_object_is_not() {
        let base = schema(&["CREATE TABLE t ();"], 16);
        let more = schema(&["CREATE TABLE t ();", "SELECT pg_catalog.lo_create('7');"], 16);
        require_same(&more, &base, None).unwrap();
        let index = schema(&["CREATE TABLE t ();", "CREATE INDEX i ON t (a);"], 16);
        let error = require_same(&index, &base, None).unwrap_err();
        assert!(matches!(error, Error::SchemaDrift { .. }) && error.hint().is_some(), "{error}");
    }

    #[test]
    fn schemas_of_two_versions_are_judged_by_that_of_the_copy() {
        let (source, base) = (schema(&["a;"], 14), schema(&["b;"], 18));
        let error = require_same(&source, &base, None).unwrap_err();
        assert!(matches!(error, Error::Preflight { .. }), "{error}");
        require_same(&source, &base, Some(&source)).unwrap();
        let digest_alone = SchemaFingerprint { statements: Vec::new(), ..source.clone() };
        require_same(&source, &base, Some(&digest_alone)).unwrap();
        let before = schema(&["c;"], 14);
        let error = require_same(&source, &base, Some(&before)).unwrap_err();
        assert!(matches!(error, Error::SchemaDrift { .. }), "{error}");
    }
}
