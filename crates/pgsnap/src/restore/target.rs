//! The server a restore goes to: what is there, what is missing, and who else is at work.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::manifest::Manifest;
use crate::name::{quote_identifier, quote_literal};
use crate::restore::RestoreOptions;
use crate::restore::swap::{kept_name, left_over_stem, leftover_pattern, restoring_name};
use crate::session::Session;

/// What stands at the wanted name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TargetState {
    /// No database has this name.
    Absent,
    /// A database has this name.
    Present {
        /// Its size in bytes.
        bytes: i64,
        /// Sessions connected to it, ours left out.
        sessions: i64,
    },
}

/// What a restore would do, and what stands in its way.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RestorePlan {
    /// The server, as `user@host:port`.
    pub server: String,
    /// The database the backup would become.
    pub database: String,
    /// The name it is built under.
    pub restoring: String,
    /// The name the present database would be kept under, if there is one.
    pub keeps: Option<String>,
    /// What stands at the wanted name.
    pub state: TargetState,
    /// Left-overs of earlier restores that would be dropped.
    pub leftovers: Vec<String>,
    /// Roles that would be created, without login.
    pub creates_roles: Vec<String>,
    /// Obstacles. A restore refuses while there is one.
    pub problems: Vec<String>,
    /// What to do about them.
    pub remedies: Vec<String>,
}

impl RestorePlan {
    pub(crate) fn require_clear(&self) -> Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Error::Preflight {
            problems: self.problems.clone(),
            remedies: self.remedies.clone(),
        })
    }

    fn obstacle(&mut self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(problem.into());
        self.remedies.push(remedy.into());
    }
}

/// A session in a database that is there anyway, from which others are created, renamed and dropped.
pub(crate) struct Target {
    pub(crate) session: Session,
    pub(crate) name: String,
    facts: Facts,
    label: String,
    id: String,
}

impl Target {
    /// Connects to database `postgres`, or to `template1` where that was dropped.
    pub(crate) async fn connect(database: &Database) -> Result<Self> {
        let session = match Session::open(&database.with_name("postgres"), "restore").await {
            Err(error) if error.sqlstate() == Some("3D000") => {
                Session::open(&database.with_name("template1"), "restore").await?
            }
            other => other?,
        };
        let facts = Facts::read(&session).await?;
        let id: String = session.row("asking for the time", "SELECT pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS') || pg_catalog.substr(pg_catalog.md5(pg_catalog.random()::text), 1, 4)", &[]).await?.get(0);
        let label = format!(
            "{}@{}:{}",
            database.user(),
            database.host(),
            database.port()
        );
        Ok(Self {
            session,
            name: database.name().to_owned(),
            facts,
            label,
            id,
        })
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
            .row(
                "taking the restore lock",
                QUERY,
                &[&left_over_stem(&self.name)],
            )
            .await?
            .get(0);
        if free {
            Ok(())
        } else {
            Err(Error::RestoreRunning {
                database: self.name.clone(),
            })
        }
    }

    pub(crate) async fn plan(
        &self,
        manifest: &Manifest,
        options: &RestoreOptions,
    ) -> Result<RestorePlan> {
        let state = self.state().await?;
        let exists = state.exists();
        let mut plan = RestorePlan {
            server: self.label.clone(),
            database: self.name.clone(),
            restoring: restoring_name(&self.name, &self.id),
            keeps: exists.then(|| kept_name(&self.name, &self.id)),
            state,
            leftovers: self.leftovers().await?,
            creates_roles: Vec::new(),
            problems: Vec::new(),
            remedies: Vec::new(),
        };
        self.check_version(manifest, &mut plan);
        self.check_rights(&mut plan).await?;
        self.check_roles(manifest, options, &mut plan).await?;
        self.check_extensions(manifest, &mut plan).await?;
        self.check_tablespaces(manifest, options, &mut plan).await?;
        if options.tables.is_none() {
            self.check_owner(manifest, &mut plan).await?;
        }
        if ["postgres", "template0", "template1"].contains(&self.name.as_str()) {
            plan.obstacle(
                format!(
                    "database {} belongs to the server itself and cannot be replaced",
                    self.name
                ),
                "restore under another name with --database",
            );
        }
        if exists && options.tables.is_some() {
            plan.obstacle(
                format!("database {} exists, and a restore of single tables makes a database of its own", self.name),
                "name another one with --database",
            );
        } else if let TargetState::Present { sessions, .. } = plan.state
            && sessions > 0
        {
            plan.obstacle(
                format!("{sessions} session(s) are connected to database {}, which the restore would replace", self.name),
                "stop the service that uses it, or restore under another name with --database",
            );
        }
        Ok(plan)
    }

    fn check_version(&self, manifest: &Manifest, plan: &mut RestorePlan) {
        let (from, to) = (manifest.source.server_major(), self.facts.server_major());
        if to < from {
            plan.obstacle(
                format!("the server is version {to}, older than the backup's {from}"),
                format!("restore into PostgreSQL {from} or newer"),
            );
        }
    }

    async fn check_rights(&self, plan: &mut RestorePlan) -> Result<()> {
        const QUERY: &str = "SELECT rolcreatedb OR rolsuper, pg_catalog.pg_is_in_recovery() FROM pg_catalog.pg_roles WHERE rolname = current_user";
        let row = self
            .session
            .row("asking for this role's rights", QUERY, &[])
            .await?;
        if row.get(1) {
            plan.obstacle(
                "the server is a standby and takes no writes",
                "restore into the primary",
            );
        }
        if !row.get::<_, bool>(0) {
            plan.obstacle(
                "this role may not create databases",
                "grant it with ALTER ROLE … CREATEDB, or restore with `age -d | gunzip | psql` into an empty database",
            );
        }
        Ok(())
    }

    async fn check_roles(
        &self,
        manifest: &Manifest,
        options: &RestoreOptions,
        plan: &mut RestorePlan,
    ) -> Result<()> {
        let rows = self
            .session
            .rows(
                "reading the roles",
                "SELECT rolname FROM pg_catalog.pg_roles",
                &[],
            )
            .await?;
        let present: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let missing: Vec<String> = manifest
            .source
            .roles
            .iter()
            .filter(|role| !present.contains(*role))
            .cloned()
            .collect();
        if missing.is_empty() {
        } else if options.create_roles {
            plan.creates_roles = missing;
        } else {
            let create: Vec<String> = missing
                .iter()
                .map(|role| format!("CREATE ROLE {};", quote_identifier(role)))
                .collect();
            plan.obstacle(
                format!("the server lacks the role(s) {} that own objects or hold privileges in the backup", missing.join(", ")),
                format!("create them: {}", create.join(" ")),
            );
        }
        Ok(())
    }

    async fn check_owner(&self, manifest: &Manifest, plan: &mut RestorePlan) -> Result<()> {
        const QUERY: &str = "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 AND NOT pg_catalog.pg_has_role(oid, 'MEMBER')";
        let owner = &manifest.source.owner;
        if !self
            .session
            .rows("asking for this role's rights", QUERY, &[owner])
            .await?
            .is_empty()
        {
            plan.obstacle(
                format!("this role may not make {owner} the owner of the database"),
                format!(
                    "restore as a superuser, or GRANT {} to this role",
                    quote_identifier(owner)
                ),
            );
        }
        Ok(())
    }

    async fn check_tablespaces(
        &self,
        manifest: &Manifest,
        options: &RestoreOptions,
        plan: &mut RestorePlan,
    ) -> Result<()> {
        const QUERY: &str = "SELECT spcname FROM pg_catalog.pg_tablespace";
        let rows = self
            .session
            .rows("reading the tablespaces", QUERY, &[])
            .await?;
        let present: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let missing: Vec<String> = manifest
            .source
            .tablespaces
            .iter()
            .filter(|name| !present.contains(*name))
            .cloned()
            .collect();
        if !missing.is_empty() && !options.create_roles {
            plan.obstacle(
                format!("the server lacks the tablespace(s) {}", missing.join(", ")),
                "create them with CREATE TABLESPACE",
            );
        }
        Ok(())
    }

    async fn check_extensions(&self, manifest: &Manifest, plan: &mut RestorePlan) -> Result<()> {
        let rows = self
            .session
            .rows(
                "reading the extensions",
                "SELECT name::text FROM pg_catalog.pg_available_extensions",
                &[],
            )
            .await?;
        let present: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let wanted = manifest
            .census
            .extensions
            .iter()
            .map(|extension| &extension.name);
        let missing: Vec<String> = wanted
            .filter(|name| !present.contains(*name))
            .cloned()
            .collect();
        if !missing.is_empty() {
            plan.obstacle(
                format!("the server lacks the extension(s) {}", missing.join(", ")),
                "install the packages that hold them on the server",
            );
        }
        Ok(())
    }

    /// What stands at the wanted name.
    pub(crate) async fn state(&self) -> Result<TargetState> {
        const QUERY: &str = "
            SELECT CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) ELSE 0 END,
                   (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid AND a.pid <> pg_catalog.pg_backend_pid()
                      -- Other users' sessions hide all but these columns; background workers have no user.
                      AND a.usesysid IS NOT NULL)
              FROM pg_catalog.pg_database d WHERE d.datname = $1";
        let rows = self
            .session
            .rows("looking for the database", QUERY, &[&self.name])
            .await?;
        Ok(rows
            .first()
            .map_or(TargetState::Absent, |row| TargetState::Present {
                bytes: row.get(0),
                sessions: row.get(1),
            }))
    }

    /// The refusal to replace a database that is in use.
    pub(crate) fn in_use(&self) -> Error {
        Error::Preflight {
            problems: vec![format!(
                "sessions are connected to database {}, which the restore would replace",
                self.name
            )],
            remedies: vec![
                "stop the service that uses it, or restore under another name with --database"
                    .into(),
            ],
        }
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
    async fn leftovers(&self) -> Result<Vec<String>> {
        const QUERY: &str = "
            SELECT d.datname FROM pg_catalog.pg_database d
             WHERE d.datname ~ $1
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)
             ORDER BY 1";
        let rows = self
            .session
            .rows(
                "looking for left-overs",
                QUERY,
                &[&leftover_pattern(&self.name)],
            )
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
        let sql = format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            quote_identifier(name)
        );
        let mut attempt = 1;
        loop {
            match self
                .session
                .execute("dropping the unfinished database", &sql)
                .await
            {
                Err(Error::Server { .. }) if attempt < ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                other => return other,
            }
            attempt += 1;
        }
    }

    /// Creates roles that are missing, without login: enough to own objects and hold privileges.
    pub(crate) async fn create_roles(&self, roles: &[String]) -> Result<()> {
        for role in roles {
            let exists = self
                .session
                .rows(
                    "reading the roles",
                    "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1",
                    &[role],
                )
                .await?;
            if exists.is_empty() {
                self.session
                    .execute(
                        "creating a role",
                        &format!("CREATE ROLE {} NOLOGIN", quote_identifier(role)),
                    )
                    .await?;
            }
        }
        Ok(())
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
                let option = if locale.provider == "builtin" {
                    "BUILTIN_LOCALE"
                } else {
                    "ICU_LOCALE"
                };
                sql.push_str(&format!(" {option} {}", quote_literal(value)));
            }
            if let Some(rules) = &locale.rules {
                sql.push_str(&format!(" ICU_RULES {}", quote_literal(rules)));
            }
        }
        self.create(name, &sql).await
    }

    /// Creates a database that nobody else may enter while it is being filled.
    async fn create(&self, name: &str, sql: &str) -> Result<()> {
        self.session.execute("creating the database", sql).await?;
        let private = format!(
            "REVOKE CONNECT ON DATABASE {} FROM PUBLIC",
            quote_identifier(name)
        );
        self.session
            .execute("the privileges of the database", &private)
            .await
    }
}
