//! Tables whose foreign keys exist before their rows: configuration tables of extensions, which
//! `CREATE EXTENSION` makes with all their constraints.

use std::collections::HashSet;

use crate::error::Result;
use crate::manifest::Manifest;
use crate::name::TableName;
use crate::session::Session;

/// The indexes in the manifest's census of the tables that a foreign key ties to another one
/// already now, before the post-data section. Their members must be loaded in file order, which is
/// that of `dump`: referenced tables first.
pub(crate) async fn tied(session: &Session, manifest: &Manifest) -> Result<HashSet<usize>> {
    const QUERY: &str = "
        SELECT DISTINCT n.nspname::text, c.relname::text
          FROM pg_catalog.pg_constraint k
          JOIN pg_catalog.pg_class c ON c.oid IN (k.conrelid, k.confrelid)
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE k.contype = 'f' AND k.conrelid <> k.confrelid";
    let rows = session.rows("reading the foreign keys of extensions", QUERY, &[]).await?;
    let names: HashSet<TableName> = rows
        .iter()
        .map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)))
        .collect();
    let tables = manifest.census.tables.iter().enumerate();
    Ok(tables.filter(|(_, table)| names.contains(&table.name)).map(|(index, _)| index).collect())
}
