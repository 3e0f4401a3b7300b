//! Definitions that nobody can lock, and whether they are still those of the snapshot.
//!
//! Rows and catalogues are read under one snapshot, but what prints them looks at the newest
//! catalogue: labels of enums (`enum_out`), attributes of composite types (`record_out`), names in
//! expressions, and bodies of functions (`pg_get_function_sqlbody`). Locks keep tables as they are;
//! views, functions and types have none that a dump could take. A label that is renamed while rows
//! are read, or a function that a view calls between the snapshot and `pg_dump`, would make a dump
//! of two points in time, which may not even restore. So both are looked at again afterwards.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use crate::catalog::text;
use crate::database::Database;
use crate::ddl::Ddl;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::name::{quote_identifier, quote_literal};
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::tools::PgDump;

/// Labels and attributes: what the text of a row is made of.
const ROW_TEXT: &str = "
SELECT 'type ' || t.typname, 'pg_enum', e.oid::bigint, 0, e.xmin::text
  FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid JOIN ours ON ours.oid = t.typnamespace
UNION ALL
SELECT 'type ' || c.relname, 'pg_attribute', a.attrelid::bigint, a.attnum::int, a.xmin::text
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN ours ON ours.oid = c.relnamespace
 WHERE c.relkind = 'c' AND a.attnum > 0
UNION ALL
SELECT 'type ' || c.relname, 'number of attributes', c.oid::bigint, 0, c.relnatts::text
  FROM pg_catalog.pg_class c JOIN ours ON ours.oid = c.relnamespace WHERE c.relkind = 'c'";

/// The rows from which the server prints for `pg_dump`. Of relations and types only the names
/// count: a REFRESH or GRANT also writes their rows.
const PRINTED: &str = "
UNION ALL
SELECT 'schema ' || n.nspname, 'pg_namespace', n.oid::bigint, 0, n.nspname::text
  FROM pg_catalog.pg_namespace n JOIN ours ON ours.oid = n.oid
UNION ALL
SELECT 'relation ' || c.relname, 'pg_class', c.oid::bigint, 0, c.relname || ' ' || c.relnamespace
  FROM pg_catalog.pg_class c JOIN ours ON ours.oid = c.relnamespace WHERE c.relkind IN ('v', 'm', 'c', 'S', 'f')
UNION ALL
SELECT 'function ' || p.proname, 'pg_proc', p.oid::bigint, 0, p.xmin::text
  FROM pg_catalog.pg_proc p JOIN ours ON ours.oid = p.pronamespace
UNION ALL
SELECT 'type ' || t.typname, 'pg_type', t.oid::bigint, 0, t.typname || ' ' || t.typnamespace
  FROM pg_catalog.pg_type t JOIN ours ON ours.oid = t.typnamespace WHERE t.typtype <> 'c' AND t.typelem = 0
UNION ALL
SELECT 'statistics object ' || s.stxname, 'pg_statistic_ext', s.oid::bigint, 0, s.xmin::text
  FROM pg_catalog.pg_statistic_ext s JOIN ours ON ours.oid = s.stxnamespace";

/// The origin and the columns of the rows of foreign tables. Nothing locks foreign tables.
const FOREIGN: &str = "
UNION ALL
SELECT 'foreign server ' || s.srvname, 'pg_foreign_server', s.oid::bigint, 0, s.xmin::text FROM pg_catalog.pg_foreign_server s
UNION ALL
SELECT 'foreign table ' || c.relname, 'pg_foreign_table', c.oid::bigint, 0, f.xmin::text
  FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_class c ON c.oid = f.ftrelid JOIN ours ON ours.oid = c.relnamespace
UNION ALL
SELECT 'foreign table ' || c.relname, 'pg_attribute', a.attrelid::bigint, a.attnum::int, a.xmin::text
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN ours ON ours.oid = c.relnamespace
 WHERE c.relkind = 'f' AND a.attnum > 0";

const OURS: &str = "
WITH ours AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')";

/// Which definitions have to be the same still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything that `pg_dump` has printed.
    Schema,
    /// Definitions on which the text of rows depends.
    Rows,
    /// The same, where rows of foreign tables are among them.
    ForeignRows,
}

/// Asks for the DDL, and whether it is that of the snapshot.
///
/// # Errors
/// [`Error::ChangedMeanwhile`], and whatever `pg_dump` says.
pub(crate) async fn read_ddl(
    source: &Database,
    tool: &PgDump,
    snapshot: &Snapshot,
    lock_timeout: Duration,
) -> Result<Ddl> {
    let ddl = Ddl::read(source, tool, snapshot, lock_timeout).await;
    unchanged(ddl, snapshot, source, Scope::Schema).await
}

/// Returns a result of definitions, if none of them has been changed or dropped since the snapshot.
///
/// # Errors
/// [`Error::ChangedMeanwhile`] names the definition, whatever else went wrong: a label that is gone
/// makes a target refuse rows, and a view that is gone makes `pg_dump` fail. The change is the news
/// then.
pub(crate) async fn unchanged<T>(
    made: Result<T>,
    snapshot: &Snapshot,
    source: &Database,
    scope: Scope,
) -> Result<T> {
    match changed(&snapshot.leader, source, scope).await {
        Ok(Some(what)) => Err(Error::ChangedMeanwhile { what }),
        Ok(None) => made,
        Err(error) => made.and(Err(error)),
    }
}

/// Definitions that were read before the tables were locked, with what shows that they have not
/// changed since.
///
/// `pg_dump` needs locks of its own. Where a writer locks a table exclusively again and again, it
/// gets them only while nobody else holds one: before the snapshot of the rows.
pub(crate) struct EarlyDdl {
    ddl: Ddl,
    state: CatalogueState,
}

impl EarlyDdl {
    /// Finds `pg_dump` and has it read them.
    pub(crate) async fn find(
        source: &Database,
        directories: &[PathBuf],
        lock_timeout: Duration,
    ) -> Result<Self> {
        let session = Session::open(source, "definitions").await?;
        let major = Facts::read(&session).await?.server_major();
        let tool = PgDump::find(major, directories).await?;
        Self::read(source, &tool, lock_timeout).await
    }

    async fn read(source: &Database, tool: &PgDump, lock_timeout: Duration) -> Result<Self> {
        let snapshot = Snapshot::of_catalogue(source, "definitions").await?;
        let state = CatalogueState::read(&snapshot.leader).await?;
        let ddl = Ddl::read(source, tool, &snapshot, lock_timeout).await?;
        snapshot.finish().await?;
        Ok(Self { ddl, state })
    }

    /// The DDL, if it is also that of this snapshot.
    ///
    /// # Errors
    /// [`Error::ChangedMeanwhile`].
    pub(crate) async fn into_ddl(self, snapshot: &Snapshot, source: &Database) -> Result<Ddl> {
        let state = CatalogueState::read(&snapshot.leader).await?;
        if let Some(catalogue) = state.difference(&self.state) {
            let what = format!("catalogue {catalogue}");
            return Err(Error::ChangedMeanwhile { what });
        }
        unchanged(Ok(self.ddl), snapshot, source, Scope::Schema).await
    }
}

/// The number and a hash of the row versions of every catalogue that definitions are made of.
#[derive(Debug, PartialEq, Eq)]
struct CatalogueState(BTreeMap<String, (i64, String)>);

impl CatalogueState {
    /// Left out is what a session with temporary tables, VACUUM, ANALYZE or TRUNCATE changes.
    async fn read(session: &Session) -> Result<Self> {
        /// Catalogues of this database that this role may read.
        const CATALOGUES: &str = "
            SELECT c.relname::text FROM pg_catalog.pg_class c
             WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND NOT c.relisshared
               AND c.relname <> ALL (ARRAY['pg_class', 'pg_statistic', 'pg_statistic_ext_data', 'pg_largeobject',
                                           'pg_largeobject_metadata', 'pg_subscription_rel'])
               AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
             ORDER BY 1";
        const RELATIONS: &str = "
            SELECT 'pg_class', pg_catalog.count(*), COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(
                       (pg_catalog.to_jsonb(c) - '{relfilenode,relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid,relhasindex}'::text[])::text, 0)), 0)::text
              FROM pg_catalog.pg_class c WHERE c.relpersistence <> 't' AND c.relkind <> 't'";
        const CONTEXT: &str = "reading the definitions";
        let names = session.rows(CONTEXT, CATALOGUES, &[]).await?;
        let mut query = RELATIONS.to_owned();
        for row in &names {
            let name: String = row.get(0);
            let condition = lasting(&name);
            query.push_str(&format!(
                " UNION ALL SELECT {}, pg_catalog.count(*), COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(t.xmin::text || t.ctid::text, 0)), 0)::text
                   FROM pg_catalog.{} t WHERE {condition}",
                quote_literal(&name),
                quote_identifier(&name)
            ));
        }
        let rows = session.rows(CONTEXT, &query, &[]).await?;
        let state = rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2))));
        Ok(Self(state.collect()))
    }

    /// The first catalogue that is not the same.
    fn difference(&self, other: &Self) -> Option<&str> {
        let mut catalogues = self.0.iter();
        let other_state = |name: &String| other.0.get(name);
        let changed = catalogues.find(|(name, state)| other_state(name) != Some(state));
        changed.map(|(name, _)| name.as_str())
    }
}

/// The rows of a catalogue that do not belong to a temporary relation.
fn lasting(catalogue: &str) -> String {
    const TEMPORARY: &str =
        "(SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relpersistence = 't')";
    const SCHEMAS: &str =
        "(SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname ~ '^pg_(toast_)?temp_')";
    let column = match catalogue {
        "pg_attribute" => "attrelid",
        "pg_attrdef" => "adrelid",
        "pg_constraint" => "conrelid",
        "pg_index" => "indrelid",
        "pg_inherits" => "inhrelid",
        "pg_rewrite" => "ev_class",
        "pg_sequence" => "seqrelid",
        "pg_trigger" => "tgrelid",
        "pg_type" => return format!("t.typnamespace NOT IN {SCHEMAS}"),
        "pg_namespace" => return "t.nspname !~ '^pg_(toast_)?temp_'".to_owned(),
        "pg_depend" => return "t.deptype IN ('e', 'x')".to_owned(),
        _ => return "true".to_owned(),
    };
    format!("t.{column} NOT IN {TEMPORARY}")
}

/// Looks for a definition of the leader's snapshot that has been changed or dropped since, and
/// names it.
///
/// Finds changed and dropped definitions. Added ones are not part of the snapshot and do no harm.
async fn changed(leader: &Session, database: &Database, scope: Scope) -> Result<Option<String>> {
    let query = match scope {
        Scope::Schema => format!("{OURS}{ROW_TEXT}{PRINTED}"),
        Scope::Rows => format!("{OURS}{ROW_TEXT}"),
        Scope::ForeignRows => format!("{OURS}{ROW_TEXT}{FOREIGN}"),
    };
    let before = read(leader, &query).await?;
    if before.is_empty() {
        return Ok(None);
    }
    let now = read(&Session::open_read_only(database, "definitions").await?, &query).await?;
    let change = before
        .iter()
        .find(|(key, (_, version))| now.get(key).is_none_or(|(_, current)| current != version));
    Ok(change.map(|(_, (name, _))| name.clone()))
}

/// Catalogue, OID and number within it.
type Key = (String, i64, i32);

/// The name to show and the version of each definition.
async fn read(session: &Session, query: &str) -> Result<HashMap<Key, (String, String)>> {
    let rows = session.rows("reading the definitions", query, &[]).await?;
    let entry = |row: &tokio_postgres::Row| {
        const WHAT: &str = "the name of a definition";
        let key = (row.get(1), row.get(2), row.get(3));
        Ok((key, (text(row, 0, WHAT)?, text(row, 4, WHAT)?)))
    };
    rows.iter().map(entry).collect()
}
