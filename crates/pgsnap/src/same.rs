//! Whether two connections lead to one database.

use crate::database::Database;
use crate::error::Result;
use crate::random::random_digits;
use crate::session::Session;

/// Whether these are the very same database, whatever their addresses say: tunnels have other ports, and copied servers
/// have the same identifier. So a lock taken at one is looked for at the other.
///
/// # Errors
/// Where one of them cannot be asked.
pub async fn is_same_database(a: &Database, b: &Database) -> Result<bool> {
    const CONTEXT: &str = "telling two databases apart";
    const LOCK: &str = "SELECT pg_catalog.pg_advisory_lock_shared($1)";
    const SEEN: &str = "
        SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND d.datname = pg_catalog.current_database()
              AND l.classid::pg_catalog.int8 << 32 | l.objid::pg_catalog.int8 = $1)";
    let (a, b) = (
        Session::open(a, "compare").await?,
        Session::open(b, "compare").await?,
    );
    let digits = random_digits()?;
    let key = i64::from_str_radix(&digits[..15], 16).expect("sixty bits of hexadecimal digits");
    a.row(CONTEXT, LOCK, &[&key]).await?;
    let row = b.row(CONTEXT, SEEN, &[&key]).await?;
    Ok(row.get(0))
}
