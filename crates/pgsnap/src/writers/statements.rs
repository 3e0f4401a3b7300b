//! Writing statements by role, as `pg_stat_statements` counts them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::name::quote_identifier;
use crate::session::Session;

/// Statements of one kind that a role ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StatementWrites {
    /// The role; none where it was dropped.
    pub role: Option<String>,
    /// The first word: `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `COPY` (of those that
    /// load rows) or `TRUNCATE`.
    pub verb: String,
    /// The number of times they ran.
    pub calls: i64,
    /// The rows that they were about.
    pub rows: i64,
}

/// Calls and rows by role and verb.
pub(super) type Counted = BTreeMap<(Option<String>, String), (i64, i64)>;

/// Reads the counters; `None` where there are none for this role. The text of a statement stays on
/// the server: it may hold values.
pub(super) async fn read(session: &Session) -> Result<Option<Counted>> {
    const SCHEMA: &str = "
        SELECT n.nspname::text FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
         WHERE e.extname = 'pg_stat_statements'";
    let context = "reading the counters of statements";
    let rows = session.rows(context, SCHEMA, &[]).await?;
    let Some(schema) = rows.first().map(|row| row.get::<_, String>(0)) else {
        return Ok(None);
    };
    let query = format!(
        "SELECT r.rolname::text, t.verb, sum(s.calls)::int8, sum(s.rows)::int8
           FROM {}.pg_stat_statements s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.userid,
                LATERAL (SELECT pg_catalog.upper(pg_catalog.substring(s.query, '^\\s*(\\w+)'))) AS t(verb)
          WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
            AND (t.verb IN ('INSERT', 'UPDATE', 'DELETE', 'MERGE', 'TRUNCATE')
                 OR t.verb = 'COPY' AND s.query ~* '\\sFROM\\s+(STDIN|PROGRAM|'')')
          GROUP BY 1, 2",
        quote_identifier(&schema)
    );
    match session.rows(context, &query, &[]).await {
        Ok(rows) => Ok(Some(
            rows.iter().map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3)))).collect(),
        )),
        // Not preloaded, or not for this role.
        Err(Error::Server { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The difference between two readings. Entries that the server evicted and counted anew count from
/// nothing.
pub(super) fn since(
    now: Option<Counted>,
    earlier: Option<Counted>,
) -> Option<Vec<StatementWrites>> {
    let (now, earlier) = (now?, earlier?);
    let writes = now.into_iter().filter_map(|((role, verb), (calls, rows))| {
        let key = (role, verb);
        let (calls_before, rows_before) =
            earlier.get(&key).copied().filter(|before| before.0 <= calls).unwrap_or_default();
        let (role, verb) = key;
        let writes =
            StatementWrites { role, verb, calls: calls - calls_before, rows: rows - rows_before };
        (writes.calls > 0).then_some(writes)
    });
    Some(writes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_added_is_told() {
        let key = |verb: &str| (Some("app".to_owned()), verb.to_owned());
        let before: Counted =
            [(key("INSERT"), (5, 50)), (key("DELETE"), (9, 9)), (key("COPY"), (1, 1))].into();
        let after: Counted =
            [(key("INSERT"), (7, 80)), (key("DELETE"), (2, 2)), (key("COPY"), (1, 1))].into();
        let found = since(Some(after.clone()), Some(before)).unwrap();
        let told: Vec<_> =
            found.iter().map(|writes| (writes.verb.as_str(), writes.calls, writes.rows)).collect();
        assert_eq!(told, [("DELETE", 2, 2), ("INSERT", 2, 30)]);
        assert_eq!(since(Some(after), None), None);
    }
}
