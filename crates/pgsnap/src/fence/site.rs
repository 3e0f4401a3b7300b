//! The server of a database that is fenced or handed over, from a session outside of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::database::Database;
use crate::error::{Error, Result};
use crate::fence::record::{FenceRecord, RoleName};
use crate::fence::state::Present;
use crate::fence::statements::RecordPlace;
use crate::session::Session;

/// A session in another database of the server: one inside would stand in its own way.
pub(crate) struct Site {
    pub(crate) session: Session,
    pub(crate) database: Database,
    pub(crate) role: RoleName,
    pub(crate) is_superuser: bool,
    pub(crate) creates_databases: bool,
    pub(crate) signals_others: bool,
    pub(crate) is_standby: bool,
    pub(crate) system_identifier: Option<String>,
}

/// A fence that stands, or one that was begun.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) record: FenceRecord,
    pub(crate) present: Present,
}

/// Every wait ends, also one for a synchronous standby: the server then says that it has committed.
pub(crate) const LIMITS: &str = "SET lock_timeout = '10s'; SET statement_timeout = '60s'";

/// Nothing is called done that a crash of the server could take back.
const DURABLE: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'on', false)
     WHERE pg_catalog.current_setting('synchronous_commit') = 'off'";

/// The pause between two looks at what others do.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// Connects to database `postgres`, or to `template1` where that one was dropped or is itself the
/// one that is asked about.
pub(crate) async fn maintenance(database: &Database, purpose: &str) -> Result<Session> {
    const FIRST: &str = "postgres";
    const SECOND: &str = "template1";
    let open = async |name: &str| Session::open(&database.with_name(name), purpose).await;
    if database.name() == FIRST {
        return open(SECOND).await;
    }
    match open(FIRST).await {
        Err(error) if error.sqlstate() == Some("3D000") => open(SECOND).await,
        other => other,
    }
}

impl Site {
    /// Connects to another database of the server.
    pub(crate) async fn connect(database: &Database, purpose: &str) -> Result<Self> {
        let session = maintenance(database, purpose).await?;
        session.execute("the session settings", LIMITS).await?;
        session.execute("the session settings", DURABLE).await?;
        const QUERY: &str = "
            SELECT r.oid, r.rolname::text, r.rolsuper, r.rolsuper OR r.rolcreatedb,
                   r.rolsuper OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'), pg_catalog.pg_is_in_recovery(),
                   CASE WHEN pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
                        THEN (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) END
              FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
        let row = session.row("asking for this role's rights", QUERY, &[]).await?;
        Ok(Self {
            role: RoleName { oid: row.get(0), name: row.get(1) },
            is_superuser: row.get(2),
            creates_databases: row.get(3),
            signals_others: row.get(4),
            is_standby: row.get(5),
            system_identifier: row.get(6),
            session,
            database: database.clone(),
        })
    }

    /// The place where this role can leave a record.
    pub(crate) fn place(&self) -> RecordPlace {
        if self.is_superuser { RecordPlace::Setting } else { RecordPlace::Comment }
    }

    /// Makes sure that only one run fences a database of this name, unfences it or hands it over.
    /// The lock ends with the session; the server may take a moment to notice that another one is
    /// gone.
    pub(crate) async fn lock(&self, deadline: Instant) -> Result<()> {
        const QUERY: &str = "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('pgsnap fence ' || $1, 0))";
        let name = self.database.name();
        loop {
            let row = self.session.row("taking the fence lock", QUERY, &[&name]).await?;
            if row.get(0) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::FenceRunning { database: name.to_owned() });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Gives the lock back at the end of a run.
    pub(crate) async fn unlock<T>(&self, outcome: Result<T>) -> Result<T> {
        const SQL: &str = "SELECT pg_catalog.pg_advisory_unlock_all()";
        // Without a connection there is no lock, soon.
        let _ = self.session.execute("the end of the fence lock", SQL).await;
        outcome
    }

    /// The OID of the database of this name.
    pub(crate) async fn oid(&self, name: &str) -> Result<Option<u32>> {
        const QUERY: &str = "SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = $1";
        let rows = self.session.rows("looking for the database", QUERY, &[&name]).await?;
        Ok(rows.first().map(|row| row.get(0)))
    }

    /// The present names of all roles.
    pub(crate) async fn roles(&self) -> Result<BTreeMap<u32, String>> {
        const QUERY: &str = "SELECT r.oid, r.rolname::text FROM pg_catalog.pg_roles r";
        let rows = self.session.rows("reading the roles", QUERY, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The fences on this server of databases of this name, found without any file: a database that
    /// has its name still, and others that a fence has renamed.
    pub(crate) async fn standing(&self, name: &str) -> Result<Vec<Standing>> {
        const QUERY: &str = "
            SELECT d.oid FROM pg_catalog.pg_database d
             WHERE EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS c(setting)
                            WHERE s.setdatabase = d.oid AND s.setrole = 0 AND c.setting LIKE 'hubctl.fence=%')
                OR pg_catalog.shobj_description(d.oid, 'pg_database') ~ '(^|\\n)hubctl\\.fence='
             ORDER BY d.datname = $1 DESC, d.datname";
        let rows = self.session.rows("looking for a fence", QUERY, &[&name]).await?;
        let mut standing = Vec::new();
        for row in &rows {
            let oid: u32 = row.get(0);
            let Some(present) = Present::read(&self.session, oid).await? else {
                continue;
            };
            let (settings, comment) = (present.state.own_settings(), &present.state.comment);
            match FenceRecord::find(settings, comment.as_deref(), oid) {
                Ok(Some(record)) if record.database == name && record.fits(&present.name) => {
                    standing.push(Standing { record, present });
                }
                // That of another database is not asked about.
                Err(error) if present.name == name => return Err(error),
                _ => {}
            }
        }
        Ok(standing)
    }

    /// Runs statements in one transaction, each waiting at most until the deadline.
    pub(crate) async fn transaction(
        &self,
        context: &str,
        statements: &[String],
        deadline: Instant,
    ) -> Result<()> {
        self.begin(context, deadline).await?;
        let sql = format!("{};\nCOMMIT", statements.join(";\n"));
        self.end(self.session.execute(context, &sql).await).await
    }

    /// Begins a transaction that can write, whatever the defaults are.
    pub(crate) async fn begin(&self, context: &str, deadline: Instant) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
        let sql = format!("BEGIN READ WRITE; SET LOCAL lock_timeout = {left}");
        self.session.execute(context, &sql).await
    }

    /// Rolls back what failed.
    pub(crate) async fn end<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            let _ = self.session.execute("the end of the attempt", "ROLLBACK").await;
        }
        outcome
    }
}
