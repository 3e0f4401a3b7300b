//! The state of a database and the rights of a role in it, before anything is done.

use crate::database::Database;
use crate::error::Result;
use crate::session::Session;

/// A database as its server describes it to this role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The version of the server, such as `16.4 (Debian 16.4-1)`.
    pub version: String,
    /// The major version of the server.
    pub major: u32,
    /// The size of the database on the server's disk, in bytes.
    pub bytes: u64,
    /// True if this role may create databases, which restores need.
    pub may_create_databases: bool,
    /// Tables, materialised views and sequences that this role may not read, qualified and quoted
    /// where needed.
    pub unreadable: Vec<String>,
    /// Tables of which row-level security hides rows from this role.
    pub hidden_rows: Vec<String>,
}

/// Inspects a database. Nothing is changed, and no row is read.
///
/// # Errors
/// Connection errors and whatever the server answers; a server without this database answers with
/// SQLSTATE 3D000.
pub async fn inspect(database: &Database) -> Result<Inspection> {
    const SERVER: &str = "
        SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000,
               pg_catalog.pg_database_size(pg_catalog.current_database()), rolsuper OR rolcreatedb
          FROM pg_catalog.pg_roles WHERE rolname = current_user";
    const RELATIONS: &str = "
        SELECT * FROM (SELECT name,
               NOT CASE WHEN relkind = 'S' THEN has_sequence_privilege(oid, 'SELECT')
                        ELSE has_table_privilege(oid, 'SELECT') END AS unreadable,
               relkind <> 'S' AND relrowsecurity AND row_security_active(oid) AS hidden
          FROM (SELECT c.oid, c.relkind, c.relrowsecurity, format('%I.%I', n.nspname, c.relname) AS name
                  FROM pg_catalog.pg_class AS c
                  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                 WHERE c.relkind IN ('r', 'p', 'm', 'S')
                   AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_') AS relation) AS judged
         WHERE unreadable OR hidden ORDER BY name";
    let session = Session::open_read_only(database, "inspect").await?;
    let server = session.row("reading the server's state", SERVER, &[]).await?;
    let relations = session.rows("reading the privileges", RELATIONS, &[]).await?;
    let named = |column: usize| -> Vec<String> {
        let chosen = relations.iter().filter(|row| row.get::<_, bool>(column));
        chosen.map(|row| row.get(0)).collect()
    };
    Ok(Inspection {
        version: server.get(0),
        major: server.get::<_, i32>(1).unsigned_abs(),
        bytes: server.get::<_, i64>(2).unsigned_abs(),
        may_create_databases: server.get(3),
        unreadable: named(1),
        hidden_rows: named(2),
    })
}

/// Returns the size of a database on its server's disk, in bytes.
///
/// # Errors
/// Connection errors and whatever the server answers.
pub async fn database_size(database: &Database) -> Result<u64> {
    const SIZE: &str = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())";
    let session = Session::open_read_only(database, "size").await?;
    let row = session.row("reading the size of the database", SIZE, &[]).await?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}
