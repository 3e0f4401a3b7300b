//! Everything that a delta cannot keep exact, found before the freeze and said at once.

use super::{DeltaOptions, schema};
use crate::catalog;
use crate::encoding::Encoding;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::restore::Obstacle;
use crate::session::Session;
use crate::user_code::UserCode;

/// Refuses with all obstacles at once.
pub(super) fn require_none(obstacles: Vec<Obstacle>) -> Result<()> {
    if obstacles.is_empty() { Ok(()) } else { Err(Error::Preflight { obstacles }) }
}

/// The obstacle that makes all others meaningless.
pub(super) fn same_database() -> Obstacle {
    let problem = "the source and the base are the same database";
    Obstacle::new(problem, "name a copy of the source as the base")
}

/// The obstacles in the base: whatever would change rows behind the delta, or refuse them.
pub(super) async fn of_base(session: &Session) -> Result<Vec<Obstacle>> {
    const OFFLINE: &str = "copy the whole source while it is frozen";
    let facts = Facts::read(session).await?;
    let mut obstacles = Vec::new();
    if facts.in_recovery {
        let problem = "the server of the base is a standby and takes no writes";
        obstacles.push(Obstacle::new(problem, "name its primary"));
    }
    if !may_replicate(session).await? {
        obstacles.push(Obstacle::new(
            "this role may not set session_replication_role, so triggers and foreign keys of the base would fire",
            format!(
                "connect as a superuser, GRANT SET ON PARAMETER session_replication_role to this role (PostgreSQL 15 and \
                 newer), or {OFFLINE}"
            ),
        ));
    }
    for (query, problem, remedy) in QUERIES {
        let found = names(session, query).await?;
        if !found.is_empty() {
            obstacles.push(Obstacle::new(format!("{problem}: {}", found.join(", ")), *remedy));
        }
    }
    let code = UserCode::indexed_tables(session).await?;
    if !code.is_empty() {
        let tables: Vec<String> = code.iter().map(ToString::to_string).collect();
        let problem = format!(
            "functions of the database, which may read other tables, are called when rows are written to {}",
            tables.join(", ")
        );
        obstacles.push(Obstacle::new(problem, OFFLINE));
    }
    let tables = catalog::tables(session, &[]).await?;
    let parts = tables.iter().flat_map(|table| &table.parts);
    let foreign: Vec<String> =
        parts.filter(|part| !part.heap).map(|part| part.name.to_string()).collect();
    if !foreign.is_empty() {
        let problem = format!("the access method of {} is not heap", foreign.join(", "));
        obstacles.push(Obstacle::new(problem, OFFLINE));
    }
    Ok(obstacles)
}

/// The obstacles that show once both sides are known.
pub(super) fn of_both(source: &Facts, base: &Facts, options: &DeltaOptions) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let (from, into) = (source.server_major(), base.server_major());
    if from != into && options.copied_schema.is_none() {
        let reason = format!("the servers are of versions {from} and {into}");
        obstacles.push(schema::not_comparable(&reason));
    }
    if source.in_recovery {
        let problem = "the source is a standby, which has no contents of unlogged tables";
        obstacles.push(Obstacle::new(problem, "name its primary"));
    }
    if source.encoding != base.encoding {
        let problem = format!(
            "the source is encoded in {}, and the base in {}",
            source.encoding, base.encoding
        );
        obstacles.push(Obstacle::new(problem, "make the base by a copy of the source"));
    }
    if Encoding::of_name(&source.encoding).is_some() {
        let problem =
            format!("text in {} may change on its way to UTF-8 and back", source.encoding);
        obstacles.push(Obstacle::new(problem, "copy the whole source while it is frozen"));
    }
    obstacles
}

async fn names(session: &Session, query: &str) -> Result<Vec<String>> {
    let rows = session.rows("looking for what is in the way of a delta", query, &[]).await?;
    rows.iter().map(|row| catalog::text(row, 0, "the name of an object")).collect()
}

/// Tries it, since a role may have been granted the privilege in several ways.
async fn may_replicate(session: &Session) -> Result<bool> {
    const CONTEXT: &str = "asking for the session_replication_role";
    match session.execute(CONTEXT, super::change::REPLICA).await {
        Ok(()) => {
            session.execute(CONTEXT, "RESET session_replication_role").await?;
            Ok(true)
        }
        Err(error) if error.sqlstate() == Some("42501") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Queries of names, what they are, and the remedy.
const QUERIES: &[(&str, &str, &str)] = &[
    (
        "SELECT DISTINCT pg_catalog.format('%I ON %I.%I', t.tgname, n.nspname, c.relname)
           FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE t.tgenabled IN ('A', 'R') AND c.relkind IN ('r', 'p') ORDER BY 1",
        "triggers of the base fire even for replicated rows (ENABLE ALWAYS or REPLICA)",
        "copy the whole source while it is frozen",
    ),
    (
        "SELECT DISTINCT pg_catalog.format('%I ON %I.%I', r.rulename, n.nspname, c.relname)
           FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE r.ev_enabled IN ('A', 'R') AND c.relkind IN ('r', 'p') ORDER BY 1",
        "rules of the base apply even to replicated rows (ENABLE ALWAYS or REPLICA)",
        "copy the whole source while it is frozen",
    ),
    (
        "SELECT e.evtname::text FROM pg_catalog.pg_event_trigger e WHERE e.evtenabled IN ('A', 'R') ORDER BY 1",
        "event triggers of the base fire even for replication (ENABLE ALWAYS or REPLICA)",
        "copy the whole source while it is frozen",
    ),
    (
        // The server refuses a DELETE that subscribers could not follow.
        "SELECT DISTINCT c.oid::pg_catalog.regclass::pg_catalog.text
           FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_tables t ON t.pubname = p.pubname
           JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
           JOIN pg_catalog.pg_class r ON r.relname = t.tablename AND r.relnamespace = n.oid
           JOIN pg_catalog.pg_class c ON c.oid = r.oid OR c.oid IN (SELECT l.relid FROM pg_catalog.pg_partition_tree(r.oid) AS l)
          WHERE p.pubdelete AND c.relkind = 'r'
            AND (c.relreplident = 'n'
                 OR c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
          ORDER BY 1",
        "rows cannot be deleted from published tables without a replica identity",
        "give them a REPLICA IDENTITY at the source and copy it anew, or copy the whole source while it is frozen",
    ),
    (
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('r', 'S') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
            AND NOT CASE c.relkind
                    WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') AND pg_catalog.has_sequence_privilege(c.oid, 'UPDATE')
                    ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
                         AND pg_catalog.has_table_privilege(c.oid, 'DELETE') END
         ORDER BY 1",
        "this role may not write to tables or sequences of the base",
        "connect as their owner or as a superuser",
    ),
    (
        "SELECT pg_catalog.current_database()::text
          WHERE NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY')",
        "this role may not create temporary tables in the base",
        "GRANT TEMPORARY ON DATABASE to this role",
    ),
    (
        "SELECT s.name FROM pg_catalog.pg_settings s WHERE s.name = 'track_counts' AND s.setting = 'off'",
        "the server does not count the rows that a transaction writes",
        "set track_counts = on",
    ),
];
