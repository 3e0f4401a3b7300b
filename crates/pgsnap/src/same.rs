//! A test of two connections: do they lead to one database?

use crate::database::Database;
use crate::error::Result;
use crate::random::random_digits;
use crate::session::Session;

/// Returns whether these are the very same database, whatever their addresses say.
///
/// # Errors
/// Where one of them cannot be asked.
pub async fn is_same_database(a: &Database, b: &Database) -> Result<bool> {
    let here = Session::open(a, "compare").await?;
    let there = Session::open(b, "compare").await?;
    is_seen_at(&here, &there, b.name()).await
}

/// Returns whether the database of a session is database `name` of the server of another session.
/// Addresses and identifiers lie: tunnels have other ports, and copied servers have the same
/// identifier. So a lock taken here is looked for there.
pub(crate) async fn is_seen_at(session: &Session, there: &Session, name: &str) -> Result<bool> {
    const CONTEXT: &str = "telling two databases apart";
    const LOCK: &str = "SELECT pg_catalog.pg_advisory_lock_shared($1)";
    const SEEN: &str = "
        SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND d.datname = $2
              AND l.classid::pg_catalog.int8 << 32 | l.objid::pg_catalog.int8 = $1)";
    let digits = random_digits()?;
    let key = i64::from_str_radix(&digits[..15], 16).expect("sixty bits of hexadecimal digits");
    session.row(CONTEXT, LOCK, &[&key]).await?;
    let row = there.row(CONTEXT, SEEN, &[&key, &name]).await?;
    Ok(row.get(0))
}
