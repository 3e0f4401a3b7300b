//! Databases that restores and copies kept: listed, and dropped when somebody says so.

use crate::database::Database;
use crate::error::Result;
use crate::name::quote_identifier;
use crate::restore::plan::{TargetState, refusal};
use crate::restore::swap::{BEFORE, RESTORED, own_pattern};
use crate::restore::target::Target;

/// A database that a restore or copy kept beside the one of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptDatabase {
    /// Its name, such as `hub__before_20261121161200ab12`.
    pub name: String,
    /// The time in its name, in UTC, as `YYYYMMDDHHMMSS`.
    pub stamp: String,
    /// Its size; nothing where this role may not ask.
    pub bytes: Option<u64>,
    /// Sessions that are connected to it.
    pub sessions: u64,
}

impl Target {
    async fn kept(&self) -> Result<Vec<KeptDatabase>> {
        const QUERY: &str = "
            SELECT d.datname, pg_catalog.substring(d.datname::text, '([0-9]{14})[0-9a-f]{4}$'),
                   CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) END,
                   (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL)
              FROM pg_catalog.pg_database d WHERE d.datname ~ $1 OR d.datname ~ $2 ORDER BY 2, 1";
        let patterns = [BEFORE, RESTORED].map(|infix| own_pattern(&self.name, infix));
        let rows = self
            .session
            .rows("looking for kept databases", QUERY, &[&patterns[0], &patterns[1]])
            .await?;
        let number = |value: i64| u64::try_from(value).unwrap_or_default();
        let kept = rows.iter().map(|row| KeptDatabase {
            name: row.get(0),
            stamp: row.get(1),
            bytes: row.get::<_, Option<i64>>(2).map(number),
            sessions: number(row.get(3)),
        });
        Ok(kept.collect())
    }
}

/// Lists the databases that restores and copies of database `target.name()` kept, the oldest first:
/// those that it replaced, and finished copies that could not replace it. Nothing is listed for a
/// name of more than 32 bytes (30 for finished copies): PostgreSQL's limit cuts it in the names of
/// kept databases, which may then belong to another database.
///
/// # Errors
/// Errors of the server.
pub async fn kept_databases(target: &Database) -> Result<Vec<KeptDatabase>> {
    Target::connect(target).await?.kept().await
}

/// Drops kept databases of `target.name()`. Other names are left alone; a database in use is
/// refused by the server.
///
/// # Errors
/// [`Error::Preflight`](crate::Error::Preflight) where the database itself is absent, since a kept
/// one may be the only one left then, [`Error::RestoreRunning`](crate::Error::RestoreRunning), and
/// errors of the server.
pub async fn drop_kept(target: &Database, names: &[String]) -> Result<()> {
    let server = Target::connect(target).await?;
    let dropped = async {
        server.lock().await?;
        if server.state().await? == TargetState::Absent {
            return Err(refusal(
                format!(
                    "database {} does not exist, so a kept one may be the only copy",
                    target.name()
                ),
                "rename the right one (ALTER DATABASE … RENAME TO …), or drop it by hand",
            ));
        }
        for kept in server.kept().await? {
            if names.contains(&kept.name) {
                let sql = format!("DROP DATABASE {}", quote_identifier(&kept.name));
                let context = format!("the drop of {}", kept.name);
                server.session.execute(&context, &sql).await?;
            }
        }
        Ok(())
    };
    server.unlock(dropped.await).await
}
