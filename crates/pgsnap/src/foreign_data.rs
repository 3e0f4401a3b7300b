//! Rows of foreign tables, which are dumped and restored only on request: they belong to another
//! server.
//!
//! `pg_dump --include-foreign-data` is the model. Two things are added to it. Rows are written back
//! only where that is asked for again, since a definition names a server and not a copy of it. And
//! nothing is added to rows that are there.

use tokio_postgres::Row;

use crate::catalog::text;
use crate::error::{Error, Result};
use crate::name::TableName;
use crate::session::Session;

/// A foreign table whose rows are dumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignTable {
    pub(crate) name: TableName,
    pub(crate) server: String,
}

/// Makes sure that the foreign servers exist.
///
/// # Errors
/// [`Error::NoSuchForeignServer`] names the first that does not.
pub(crate) async fn require_servers(session: &Session, servers: &[String]) -> Result<()> {
    const QUERY: &str = "
        SELECT u.name FROM pg_catalog.unnest($1::text[]) AS u(name)
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_server s WHERE s.srvname = u.name)";
    if servers.is_empty() {
        return Ok(());
    }
    let missing = session.rows("reading the foreign servers", QUERY, &[&servers]).await?;
    match missing.first() {
        None => Ok(()),
        Some(row) => {
            Err(Error::NoSuchForeignServer { name: row.get(0), place: "this database".into() })
        }
    }
}

/// Makes sure that no restore can send rows of the database to a foreign server: those of a table
/// that is partitioned by the hash of an enum go where the server finds them to belong, and that is
/// another partition after a restore.
///
/// # Errors
/// [`Error::ForeignPartition`] names every foreign table that could be given such rows.
pub(crate) async fn require_no_rerouting(session: &Session) -> Result<()> {
    const QUERY: &str = "
        SELECT n.nspname, c.relname
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'f' AND c.relispartition
           AND EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) AS a(relid)
                 JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.relid
                 JOIN pg_catalog.pg_opclass o ON o.oid = ANY (p.partclass::oid[])
                WHERE p.partstrat = 'h' AND o.opcname = 'enum_ops')
         ORDER BY 1, 2";
    let rows = session.rows("reading the foreign partitions", QUERY, &[]).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let names = rows.iter().map(|row| Ok(name_of(row)?.to_string()));
    Err(Error::ForeignPartition { tables: names.collect::<Result<_>>()? })
}

/// The foreign tables of these servers that are dumped with their rows.
pub(crate) async fn tables(session: &Session, servers: &[String]) -> Result<Vec<ForeignTable>> {
    if servers.is_empty() {
        return Ok(Vec::new());
    }
    let tables = crate::catalog::tables(session, servers).await?.into_iter();
    Ok(tables
        .filter_map(|table| Some(ForeignTable { name: table.name, server: table.foreign_server? }))
        .collect())
}

fn name_of(row: &Row) -> Result<TableName> {
    const WHAT: &str = "the name of a foreign table";
    Ok(TableName::new(text::<String>(row, 0, WHAT)?, text::<String>(row, 1, WHAT)?))
}
