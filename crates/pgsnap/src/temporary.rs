//! Databases on a server in use that do not stay: unfinished ones, and temporary ones.

use std::fmt;

use crate::database::Database;
use crate::error::Result;
use crate::name::quote_identifier;
use crate::restore::leftover_pattern;
use crate::session::{Session, execute};

/// The database in which the others of a server are listed and dropped.
const MAINTENANCE: &str = "postgres";

/// Returns the databases that restores and copies of this name are building, or left.
///
/// # Errors
/// Connection errors and whatever the server answers.
pub async fn unfinished_databases(target: &Database) -> Result<Vec<String>> {
    const QUERY: &str =
        "SELECT datname::text FROM pg_catalog.pg_database WHERE datname ~ $1 ORDER BY datname";
    names(target, QUERY, &leftover_pattern(target.name())).await
}

/// Drops a database of this server with the sessions in it. A missing one is no error.
///
/// # Errors
/// Connection errors and whatever the server answers.
pub async fn drop_database(server: &Database, name: &str) -> Result<()> {
    let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote_identifier(name));
    execute(&server.with_name(MAINTENANCE), &drop).await
}

async fn names(server: &Database, query: &str, parameter: &str) -> Result<Vec<String>> {
    let session = Session::open_read_only(&server.with_name(MAINTENANCE), "databases").await?;
    let rows = session.rows("listing the databases", query, &[&parameter]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A database on a server in use that is dropped with this value, and what a restore of it left.
///
/// The database need not exist yet: a restore may create it. After a SIGKILL it stays, and
/// [`TemporaryDatabase::left_over`] finds it by its name.
pub struct TemporaryDatabase {
    database: Database,
    is_kept: bool,
}

impl TemporaryDatabase {
    /// Takes responsibility for a database whose name belongs to this run alone.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, is_kept: false }
    }

    /// Returns the databases of a server whose names begin with `prefix` and that no session is
    /// in: those of earlier runs that were killed.
    ///
    /// # Errors
    /// Connection errors and whatever the server answers.
    pub async fn left_over(server: &Database, prefix: &str) -> Result<Vec<String>> {
        const QUERY: &str = "
            SELECT datname::text FROM pg_catalog.pg_database AS d
             WHERE pg_catalog.starts_with(datname::text, $1)
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.datid = d.oid)
             ORDER BY datname";
        names(server, QUERY, prefix).await
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Keeps the database when this value is dropped.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Drops the database now, and what a restore of it left under other names.
    ///
    /// # Errors
    /// Connection errors and whatever the server answers; the database is then tried once more when
    /// this value is dropped.
    pub async fn remove(mut self) -> Result<()> {
        remove(&self.database).await?;
        self.keep();
        Ok(())
    }
}

async fn remove(database: &Database) -> Result<()> {
    drop_database(database, database.name()).await?;
    for left in unfinished_databases(database).await? {
        drop_database(database, &left).await?;
    }
    Ok(())
}

impl fmt::Debug for TemporaryDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TemporaryDatabase({})", self.database)
    }
}

impl Drop for TemporaryDatabase {
    /// Works without the caller's runtime, which may be ending because of a signal.
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let database = self.database.clone();
        let removing = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            if let Ok(Err(error)) = runtime.map(|runtime| runtime.block_on(remove(&database))) {
                tracing::error!(%error, %database, "the temporary database could not be dropped");
            }
        });
        // A panic there was reported by its own thread.
        let _ = removing.join();
    }
}
