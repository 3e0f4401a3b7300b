//! A restore into an empty database that is there, by a role that may not create one: nothing can
//! be swapped, so what was made is dropped again if the restore fails.

use std::fmt;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::name::quote_identifier;
use crate::restore::swap::comment_statement;
use crate::session::Session;

/// An object that somebody made in a database, as the server names it.
pub(crate) struct Object {
    kind: String,
    identity: String,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.identity)
    }
}

impl Object {
    fn drop_statement(&self) -> String {
        let kind = match self.kind.as_str() {
            "composite type" => "TYPE",
            "function" | "procedure" | "aggregate" => "ROUTINE",
            "statistics object" => "STATISTICS",
            "foreign-data wrapper" => "FOREIGN DATA WRAPPER",
            kind => kind,
        };
        format!("DROP {kind} IF EXISTS {} CASCADE", self.identity)
    }
}

/// Extensions that are there already, by OID: they were made for us, and stay.
async fn extensions(session: &Session) -> Result<Vec<u32>> {
    let rows = session
        .rows("reading the extensions", "SELECT oid FROM pg_catalog.pg_extension", &[])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Returns the objects of the database that a new one does not have. Extensions that are kept do
/// not count, nor their objects, nor the schemas they are in; with `None` that is all extensions.
pub(crate) async fn objects(
    session: &Session,
    kept_extensions: Option<&[u32]>,
) -> Result<Vec<Object>> {
    let all = "
        SELECT 'pg_catalog.pg_event_trigger'::regclass, oid, 1 FROM pg_catalog.pg_event_trigger
        UNION ALL SELECT 'pg_catalog.pg_publication'::regclass, oid, 1 FROM pg_catalog.pg_publication
        UNION ALL SELECT 'pg_catalog.pg_namespace'::regclass, oid, 2 FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_'
        UNION ALL SELECT 'pg_catalog.pg_class'::regclass, oid, 3 FROM pg_catalog.pg_class
            WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND relpersistence <> 't'
        UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, oid, 4 FROM pg_catalog.pg_proc
        UNION ALL SELECT 'pg_catalog.pg_type'::regclass, oid, 5 FROM pg_catalog.pg_type WHERE typrelid = 0 AND typelem = 0
        UNION ALL SELECT 'pg_catalog.pg_operator'::regclass, oid, 4 FROM pg_catalog.pg_operator
        UNION ALL SELECT 'pg_catalog.pg_opclass'::regclass, oid, 4 FROM pg_catalog.pg_opclass
        UNION ALL SELECT 'pg_catalog.pg_opfamily'::regclass, oid, 4 FROM pg_catalog.pg_opfamily
        UNION ALL SELECT 'pg_catalog.pg_collation'::regclass, oid, 5 FROM pg_catalog.pg_collation
        UNION ALL SELECT 'pg_catalog.pg_conversion'::regclass, oid, 4 FROM pg_catalog.pg_conversion
        UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::regclass, oid, 4 FROM pg_catalog.pg_statistic_ext
        UNION ALL SELECT 'pg_catalog.pg_ts_config'::regclass, oid, 4 FROM pg_catalog.pg_ts_config
        UNION ALL SELECT 'pg_catalog.pg_ts_dict'::regclass, oid, 5 FROM pg_catalog.pg_ts_dict
        UNION ALL SELECT 'pg_catalog.pg_ts_parser'::regclass, oid, 6 FROM pg_catalog.pg_ts_parser
        UNION ALL SELECT 'pg_catalog.pg_ts_template'::regclass, oid, 6 FROM pg_catalog.pg_ts_template
        UNION ALL SELECT 'pg_catalog.pg_cast'::regclass, oid, 4 FROM pg_catalog.pg_cast
        UNION ALL SELECT 'pg_catalog.pg_foreign_server'::regclass, oid, 6 FROM pg_catalog.pg_foreign_server
        UNION ALL SELECT 'pg_catalog.pg_foreign_data_wrapper'::regclass, oid, 7 FROM pg_catalog.pg_foreign_data_wrapper
        UNION ALL SELECT 'pg_catalog.pg_am'::regclass, oid, 7 FROM pg_catalog.pg_am
        UNION ALL SELECT 'pg_catalog.pg_language'::regclass, oid, 7 FROM pg_catalog.pg_language";
    let (extensions, kept) = match kept_extensions {
        None => ("", "true".to_owned()),
        Some(kept) => {
            let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
            (
                " UNION ALL SELECT 'pg_catalog.pg_extension'::regclass, oid, 8 FROM pg_catalog.pg_extension",
                format!("e.oid = ANY ('{{{}}}'::oid[])", kept.join(", ")),
            )
        }
    };
    // Objects with smaller OIDs were made by initdb.
    let query = format!(
        "SELECT i.type, i.identity
           FROM ({all}{extensions}) AS o(class, oid, place), LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i
          WHERE o.oid >= 16384 AND i.identity IS NOT NULL
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE {kept}
                  AND (o.class = 'pg_catalog.pg_extension'::regclass AND o.oid = e.oid
                       OR o.class = 'pg_catalog.pg_namespace'::regclass AND o.oid = e.extnamespace))
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype IN ('e', 'i'))
          ORDER BY o.place, o.oid"
    );
    let mut found: Vec<Object> = session
        .rows("looking into the database", &query, &[])
        .await?
        .iter()
        .map(|row| Object { kind: row.get(0), identity: row.get(1) })
        .collect();
    let large_objects: i64 = session
        .row(
            "looking into the database",
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata",
            &[],
        )
        .await?
        .get(0);
    if large_objects > 0 {
        found.push(Object { kind: "large objects".into(), identity: format!("({large_objects})") });
    }
    Ok(found)
}

/// Drops everything that a failed restore made in a database that was empty before. Returns what
/// could not be dropped.
async fn clear(session: &Session, kept_extensions: &[u32]) -> Result<Vec<String>> {
    const SUBSCRIPTIONS: &str = "SELECT pg_catalog.quote_ident(subname) FROM pg_catalog.pg_subscription
        WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";
    const BATCH: &str = "SELECT pg_catalog.count(pg_catalog.lo_unlink(oid)) FROM
        (SELECT oid FROM pg_catalog.pg_largeobject_metadata LIMIT 500) AS m";
    const CONTEXT: &str = "dropping what the restore had made";
    for row in session.rows(CONTEXT, SUBSCRIPTIONS, &[]).await? {
        let name: String = row.get(0);
        // Without this it would ask the publisher to drop a slot that may not exist.
        let detach = format!(
            "ALTER SUBSCRIPTION {name} DISABLE; ALTER SUBSCRIPTION {name} SET (slot_name = NONE); DROP SUBSCRIPTION {name}"
        );
        let _ = session.execute(CONTEXT, &detach).await;
    }
    // Objects may only go together with those that need them, which CASCADE sees to.
    for object in objects(session, Some(kept_extensions)).await? {
        if object.kind != "large objects" {
            let _ = session.execute(CONTEXT, &object.drop_statement()).await;
        }
    }
    while let Ok(row) = session.row(CONTEXT, BATCH, &[]).await {
        if row.get::<_, i64>(0) == 0 {
            break;
        }
    }
    let left = objects(session, Some(kept_extensions)).await?;
    Ok(left.iter().map(ToString::to_string).collect())
}

/// Marks a database that is being filled, so that whoever finds it after a crash knows what is to
/// be dropped. The comment is the only thing of a database that its owner can write and that says
/// nothing else.
pub(crate) struct Mark {
    pub(crate) kept_extensions: Vec<u32>,
    /// The comment that was there before.
    comment: Option<String>,
}

const MARK: &str = "An unfinished restore by pgsnap, to be dropped; extensions that stay: ";
const BEFORE: &str = "; comment before: ";

impl Mark {
    /// Marks the database this session is in. Only its owner may; to others nothing is promised
    /// after a crash.
    pub(crate) async fn set(session: &Session, database: &str) -> Result<Self> {
        let mark = Self {
            kept_extensions: extensions(session).await?,
            comment: comment(session, database).await?,
        };
        let extensions: Vec<String> =
            mark.kept_extensions.iter().map(ToString::to_string).collect();
        let mut text = format!("{MARK}{}", extensions.join(","));
        if let Some(comment) = &mark.comment {
            text.push_str(BEFORE);
            text.push_str(comment);
        }
        match session.execute("marking the database", &comment_statement(database, &text)).await {
            Err(error) if error.sqlstate() == Some("42501") => {}
            other => other?,
        }
        Ok(mark)
    }

    /// The mark that a restore left which did not end. Any session of the server can look.
    pub(crate) async fn find(session: &Session, database: &str) -> Result<Option<Self>> {
        Ok(comment(session, database).await?.and_then(|text| Self::parse(&text)))
    }

    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(MARK)?;
        let (extensions, comment) = match rest.split_once(BEFORE) {
            Some((extensions, comment)) => (extensions, Some(comment.to_owned())),
            None => (rest, None),
        };
        let oids = extensions.split(',').filter(|oid| !oid.is_empty());
        Some(Self {
            kept_extensions: oids.map(str::parse).collect::<std::result::Result<_, _>>().ok()?,
            comment,
        })
    }

    /// Puts the comment back that was there before.
    pub(crate) async fn remove(&self, session: &Session, database: &str) -> Result<()> {
        let statement = match &self.comment {
            Some(comment) => comment_statement(database, comment),
            None => format!("COMMENT ON DATABASE {} IS NULL", quote_identifier(database)),
        };
        match session.execute("removing the mark", &statement).await {
            Err(error) if error.sqlstate() == Some("42501") => Ok(()),
            other => other,
        }
    }

    /// Drops what an unfinished restore made, and its mark. Returns what could not be dropped.
    pub(crate) async fn clear(&self, session: &Session, database: &str) -> Result<Vec<String>> {
        let left = clear(session, &self.kept_extensions).await?;
        if left.is_empty() {
            self.remove(session, database).await?;
        }
        Ok(left)
    }
}

async fn comment(session: &Session, database: &str) -> Result<Option<String>> {
    const QUERY: &str = "SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database WHERE datname = $1";
    let rows = session.rows("reading the comment", QUERY, &[&database]).await?;
    Ok(rows.first().and_then(|row| row.get(0)))
}

/// Ends the sessions of a restore that failed: one that is still rolling back holds locks.
async fn end_workers(session: &Session, keep: i32) -> Result<()> {
    const QUERY: &str = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
        WHERE datname = pg_catalog.current_database() AND usename = current_user AND application_name ~ '^pgsnap '
          AND pid NOT IN (pg_catalog.pg_backend_pid(), $1)";
    session.rows("ending the workers", QUERY, &[&keep]).await.map(drop)
}

/// The error of a restore that failed in place, after everything it made was dropped. `keep` is the
/// session that holds the restore lock.
pub(crate) async fn failed(database: &Database, mark: &Mark, keep: i32, error: Error) -> Error {
    let cleared = async {
        let session = Session::open(database, "clean-up").await?;
        end_workers(&session, keep).await?;
        mark.clear(&session, database.name()).await
    };
    Error::InPlace {
        database: database.name().to_owned(),
        left: cleared.await.unwrap_or_else(|error| vec![format!("everything ({error})")]),
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_nothing_else_is_one() {
        let mark =
            Mark::parse(&format!("{MARK}13,16400{BEFORE}the hub; comment before: x")).unwrap();
        assert_eq!(mark.kept_extensions, [13, 16400]);
        assert_eq!(mark.comment.as_deref(), Some("the hub; comment before: x"));
        assert!(Mark::parse("the hub").is_none());
        assert!(Mark::parse(&format!("{MARK}x")).is_none());
    }
}
