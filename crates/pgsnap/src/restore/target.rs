//! The server a restore goes to: what is there, what is missing, and who else is at work.

use std::time::Duration;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::manifest::Manifest;
use crate::name::{quote_identifier, quote_literal};
use crate::restore::in_place::Mark;
use crate::restore::plan::{TargetState, refusal};
use crate::restore::swap::{left_over_stem, leftover_pattern};
use crate::session::Session;

/// A session in a database that is there anyway, from which others are created, renamed and
/// dropped.
pub(crate) struct Target {
    pub(crate) session: Session,
    pub(crate) name: String,
    pub(crate) database: Database,
    pub(crate) facts: Facts,
    pub(crate) rights: Rights,
    id: String,
}

/// The rights of the restoring role.
pub(crate) struct Rights {
    pub(crate) is_superuser: bool,
    pub(crate) creates_databases: bool,
    pub(crate) creates_roles: bool,
}

impl Rights {
    async fn read(session: &Session) -> Result<Self> {
        const QUERY: &str = "SELECT rolsuper, rolsuper OR rolcreatedb, rolsuper OR rolcreaterole
            FROM pg_catalog.pg_roles WHERE rolname = current_user";
        let row = session.row("asking for this role's rights", QUERY, &[]).await?;
        Ok(Self {
            is_superuser: row.get(0),
            creates_databases: row.get(1),
            creates_roles: row.get(2),
        })
    }
}

impl Target {
    /// Connects to database `postgres`, to `template1` where that was dropped, or to the database
    /// itself where this role may enter no other.
    pub(crate) async fn connect(database: &Database) -> Result<Self> {
        let session = match Session::open(&database.with_name("postgres"), "restore").await {
            Err(error) if error.sqlstate() == Some("3D000") => {
                Session::open(&database.with_name("template1"), "restore").await?
            }
            // Refused by pg_hba.conf, or without the privilege CONNECT.
            Err(error) if matches!(error.sqlstate(), Some("28000" | "42501")) => {
                let itself = Session::open(database, "restore").await;
                itself.map_err(|_| error)?
            }
            other => other?,
        };
        let facts = Facts::read(&session).await?;
        let id: String = session.row("asking for the time", "SELECT pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS') || pg_catalog.substr(pg_catalog.md5(pg_catalog.random()::text), 1, 4)", &[]).await?.get(0);
        Ok(Self {
            rights: Rights::read(&session).await?,
            session,
            name: database.name().to_owned(),
            database: database.clone(),
            facts,
            id,
        })
    }

    /// The server, as `user@host:port`.
    pub(crate) fn label(&self) -> String {
        let Self { database, .. } = self;
        format!("{}@{}:{}", database.user(), database.host(), database.port())
    }

    /// The process of this session on the server.
    pub(crate) async fn backend(&self) -> Result<i32> {
        let query = "SELECT pg_catalog.pg_backend_pid()";
        let row = self.session.row("asking for the session", query, &[]).await?;
        Ok(row.get(0))
    }

    /// Drops what an unfinished restore made in the database itself, if that was marked. The
    /// restore lock must be held.
    pub(crate) async fn clear_unfinished(&self) -> Result<Vec<String>> {
        let Some(mark) = Mark::find(&self.session, &self.name).await? else {
            return Ok(Vec::new());
        };
        let session = Session::open(&self.database, "clean-up").await?;
        mark.clear(&session, &self.name).await?;
        Ok(vec![format!("objects in {}", self.name)])
    }

    /// Identifies this restore in the names of its databases.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Makes sure that only one restore of this name, or of another with the same left-overs, is
    /// under way. The lock ends with the session.
    pub(crate) async fn lock(&self) -> Result<()> {
        const QUERY: &str = "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('pgsnap restore ' || $1, 0))";
        let free: bool = self
            .session
            .row("taking the restore lock", QUERY, &[&left_over_stem(&self.name)])
            .await?
            .get(0);
        if free { Ok(()) } else { Err(Error::RestoreRunning { database: self.name.clone() }) }
    }

    /// Gives the lock back at the end of a run: the server may take a moment to notice that a
    /// session is gone, and whoever tries again at once would be told that a restore is under way.
    pub(crate) async fn unlock<T>(&self, outcome: Result<T>) -> Result<T> {
        const SQL: &str = "SELECT pg_catalog.pg_advisory_unlock_all()";
        // Without a connection there is no lock, soon.
        let _ = self.session.execute("the end of the restore lock", SQL).await;
        outcome
    }

    /// Returns the state of the wanted name. A session that was just closed is visible for a moment
    /// longer, so sessions are looked at again before they are called an obstacle.
    pub(crate) async fn state(&self) -> Result<TargetState> {
        const LOOKS: u32 = 10;
        const PAUSE: Duration = Duration::from_millis(100);
        for _ in 1..LOOKS {
            match self.state_now().await? {
                TargetState::Present { sessions: 1.., .. } => tokio::time::sleep(PAUSE).await,
                free => return Ok(free),
            }
        }
        self.state_now().await
    }

    async fn state_now(&self) -> Result<TargetState> {
        const QUERY: &str = "
            SELECT CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) ELSE 0 END,
                   (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid AND a.pid <> pg_catalog.pg_backend_pid()
                      -- Other users' sessions hide all but these columns; background workers have no user.
                      AND a.usesysid IS NOT NULL)
              FROM pg_catalog.pg_database d WHERE d.datname = $1";
        let rows = self.session.rows("looking for the database", QUERY, &[&self.name]).await?;
        Ok(rows.first().map_or(TargetState::Absent, |row| TargetState::Present {
            bytes: row.get(0),
            sessions: row.get(1),
        }))
    }

    /// The refusal to replace a database that is in use.
    pub(crate) fn in_use(&self) -> Error {
        refusal(
            format!(
                "sessions are connected to database {}, which the restore would replace",
                self.name
            ),
            "stop the service that uses it, or restore under another name",
        )
    }

    /// Creates an empty UTF-8 database in the server's own collation.
    pub(crate) async fn create_empty_database(&self, name: &str) -> Result<()> {
        let sql = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'",
            quote_identifier(name)
        );
        self.session.execute("creating the database", &sql).await
    }

    /// Databases that earlier restores of this name left behind: nobody is connected to them.
    pub(crate) async fn leftovers(&self) -> Result<Vec<String>> {
        const QUERY: &str = "
            SELECT d.datname FROM pg_catalog.pg_database d
             WHERE d.datname ~ $1
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)
             ORDER BY 1";
        let rows = self
            .session
            .rows("looking for left-overs", QUERY, &[&leftover_pattern(&self.name)])
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Drops left-overs; the restore lock must be held, so that none belongs to a run that has
    /// created but not yet entered its database.
    pub(crate) async fn drop_leftovers(&self) -> Result<Vec<String>> {
        let mut dropped = Vec::new();
        for name in self.leftovers().await? {
            self.drop_database(&name).await?;
            dropped.push(name);
        }
        Ok(dropped)
    }

    pub(crate) async fn drop_database(&self, name: &str) -> Result<()> {
        const ATTEMPTS: u32 = 10;
        // FORCE ends our own workers, whose sockets may not be closed yet; one that is still rolling back may
        // hold what the server needs for the drop.
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote_identifier(name));
        let mut attempt = 1;
        loop {
            match self.session.execute("dropping the unfinished database", &sql).await {
                Err(Error::Server { .. }) if attempt < ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                other => return other,
            }
            attempt += 1;
        }
    }

    /// Creates the empty database with the backup's encoding and collation.
    pub(crate) async fn create_database(&self, name: &str, manifest: &Manifest) -> Result<()> {
        let (source, locale) = (&manifest.source, &manifest.source.locale);
        let mut sql = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            quote_identifier(name),
            quote_literal(&source.encoding),
            quote_literal(&locale.collate),
            quote_literal(&locale.ctype),
        );
        if !["libc", "icu", "builtin"].contains(&locale.provider.as_str()) {
            return Err(Error::damaged(format!(
                "the manifest names the unknown locale provider {}",
                locale.provider
            )));
        }
        if self.facts.server_major() >= 15 {
            sql.push_str(&format!(" LOCALE_PROVIDER {}", locale.provider));
            if let Some(value) = &locale.locale {
                let option =
                    if locale.provider == "builtin" { "BUILTIN_LOCALE" } else { "ICU_LOCALE" };
                sql.push_str(&format!(" {option} {}", quote_literal(value)));
            }
            if let Some(rules) = &locale.rules {
                sql.push_str(&format!(" ICU_RULES {}", quote_literal(rules)));
            }
        }
        self.create(name, &sql).await
    }

    /// Creates a database that nobody else may enter while it is being filled.
    pub(crate) async fn create(&self, name: &str, sql: &str) -> Result<()> {
        self.session.execute("creating the database", sql).await?;
        let private = format!("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", quote_identifier(name));
        self.session.execute("the privileges of the database", &private).await
    }
}
