//! Everything that can be known to be in the way of a restore, found before anything is made and
//! said at once.

mod extensions;
mod locale;
mod roles;
mod settings;
mod space;

use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::restore::plan::{Method, RestorePlan, TargetState};
use crate::restore::selection::Selection;
use crate::restore::swap::{kept_name, restoring_name};
use crate::restore::target::Target;
use crate::restore::{Extent, RestoreOptions, data_only, foreign_rows, in_place};
use crate::session::Session;

/// One look at the target.
struct Preflight<'a> {
    server: &'a Target,
    manifest: &'a Manifest,
    selection: &'a Selection,
    options: &'a RestoreOptions,
    /// A session in the database itself, where the restore would go into it.
    inside: Option<Session>,
    plan: RestorePlan,
}

impl Target {
    /// Looks at everything and changes nothing.
    pub(crate) async fn plan(
        &self,
        manifest: &Manifest,
        selection: &Selection,
        options: &RestoreOptions,
    ) -> Result<RestorePlan> {
        let state = self.state().await?;
        let method = self.method(&state, options);
        let is_swap = method == Method::Swap;
        let inside = match (is_swap, &state) {
            (false, TargetState::Present { .. }) => {
                Some(Session::open(&self.database, "restore").await?)
            }
            _ => None,
        };
        let id = self.id();
        let plan = RestorePlan {
            server: self.label(),
            method,
            database: self.name.clone(),
            restoring: if is_swap { restoring_name(&self.name, id) } else { self.name.clone() },
            keeps: (is_swap && state.exists()).then(|| kept_name(&self.name, id)),
            state,
            leftovers: self.leftovers().await?,
            creates_roles: Vec::new(),
            obstacles: Vec::new(),
            warnings: Vec::new(),
            unchecked: Vec::new(),
        };
        let mut preflight = Preflight { server: self, manifest, selection, options, inside, plan };
        preflight.check().await?;
        Ok(preflight.plan)
    }

    fn method(&self, state: &TargetState, options: &RestoreOptions) -> Method {
        let cannot_swap = state.exists() && !self.rights.creates_databases;
        if options.extent == Extent::DataOnly {
            Method::IntoTables
        } else if options.into_existing || cannot_swap {
            Method::InPlace
        } else {
            Method::Swap
        }
    }
}

impl Preflight<'_> {
    async fn check(&mut self) -> Result<()> {
        self.check_server().await?;
        self.check_foreign_data();
        if self.plan.method == Method::IntoTables {
            self.check_encoding().await?;
            return self.check_tables().await;
        }
        self.check_roles().await?;
        self.check_owners().await?;
        self.check_superuser();
        self.check_extensions().await?;
        self.check_tablespaces().await?;
        self.check_locale().await?;
        self.check_settings().await?;
        self.check_space().await?;
        match self.plan.method {
            Method::InPlace => self.check_place().await?,
            _ => self.check_name(),
        }
        self.check_sessions();
        Ok(())
    }

    async fn check_server(&mut self) -> Result<()> {
        let facts = &self.server.facts;
        let (from, to) = (self.manifest.source.server_major(), facts.server_major());
        if to < from {
            self.plan.obstacle(
                format!("the server is version {to}, older than the backup's {from}"),
                format!("restore into PostgreSQL {from} or newer; older ones may not know its DDL"),
            );
        }
        if facts.in_recovery {
            self.plan.obstacle(
                "the server is a standby and takes no writes",
                "restore into the primary",
            );
        }
        if self.plan.method == Method::Swap && !self.server.rights.creates_databases {
            self.plan.obstacle(
                "this role may not create databases",
                "grant it with ALTER ROLE … CREATEDB, or have an empty database created and restore into it",
            );
        }
        Ok(())
    }

    /// Reports the fate of the rows of foreign tables. Whether the foreign tables are empty shows
    /// once their definitions exist.
    fn check_foreign_data(&mut self) {
        let left_out = foreign_rows::left_out(self.manifest, self.selection);
        let written = foreign_rows::written(self.manifest, self.selection);
        self.plan.warnings.extend(left_out.into_iter().chain(written));
    }

    /// Tablespaces that are used, and whether this role may use them.
    async fn check_tablespaces(&mut self) -> Result<()> {
        const QUERY: &str = "
            SELECT u.name, t.oid IS NULL, COALESCE(pg_catalog.has_tablespace_privilege(t.oid, 'CREATE'), false)
              FROM pg_catalog.unnest($1::text[]) AS u(name) LEFT JOIN pg_catalog.pg_tablespace t ON t.spcname = u.name";
        if !self.options.tablespaces {
            return Ok(());
        }
        let wanted = &self.manifest.source.tablespaces;
        let rows = self.server.session.rows("reading the tablespaces", QUERY, &[wanted]).await?;
        let names = |keep: &dyn Fn(bool, bool) -> bool| -> Vec<String> {
            let kept = rows.iter().filter(|row| keep(row.get(1), row.get(2)));
            kept.map(|row| row.get(0)).collect()
        };
        let missing = names(&|is_missing, _| is_missing);
        let forbidden = names(&|is_missing, is_allowed| !is_missing && !is_allowed);
        if !missing.is_empty() {
            self.plan.obstacle(
                format!("the server lacks the tablespace(s) {}", missing.join(", ")),
                "create them with CREATE TABLESPACE, or restore without `tablespaces`",
            );
        }
        if !forbidden.is_empty() {
            self.plan.obstacle(
                format!(
                    "this role may not create anything in the tablespace(s) {}",
                    forbidden.join(", ")
                ),
                "GRANT CREATE ON TABLESPACE to this role, or restore without `tablespaces`",
            );
        }
        Ok(())
    }

    /// Checks that the name can be given to a new database.
    fn check_name(&mut self) {
        let name = &self.plan.database;
        if ["postgres", "template0", "template1"].contains(&name.as_str()) {
            let problem =
                format!("database {name} belongs to the server itself and cannot be replaced");
            self.plan.obstacle(problem, "restore under another name");
        }
        if self.plan.state.exists() && !self.selection.is_whole() {
            let problem = format!(
                "database {} exists, and a restore of a part makes a database of its own",
                self.plan.database
            );
            self.plan.obstacle(problem, "name another database");
        }
    }

    /// Checks that a restore can go into the existing database.
    async fn check_place(&mut self) -> Result<()> {
        let Some(inside) = &self.inside else {
            let name = &self.plan.database;
            let problem = format!("there is no database {name} to restore into");
            let remedy = format!("have it created: CREATE DATABASE {name} TEMPLATE template0");
            self.plan.obstacle(problem, remedy);
            return Ok(());
        };
        let found = in_place::objects(inside, None).await?;
        if !found.is_empty() {
            const SHOWN: usize = 3;
            let shown: Vec<String> = found.iter().take(SHOWN).map(ToString::to_string).collect();
            let problem = format!(
                "database {} is not empty ({} objects: {}{})",
                self.plan.database,
                found.len(),
                shown.join(", "),
                if found.len() > SHOWN { ", …" } else { "" }
            );
            self.plan.obstacle(
                problem,
                "empty it, or restore as a role that may create databases: then the present one is kept under another name",
            );
        }
        Ok(())
    }

    /// Checks that rows alone find their tables, with the same columns and empty.
    async fn check_tables(&mut self) -> Result<()> {
        let Some(inside) = &self.inside else {
            let problem = format!("there is no database {} to load rows into", self.plan.database);
            self.plan.obstacle(
                problem,
                "create its schema first, for example with `Extent::SchemaOnly`",
            );
            return Ok(());
        };
        let mut expected = self.manifest.census.clone();
        expected.tables.retain(|table| self.selection.holds_table(table));
        let filled = match data_only::targets(inside, &expected).await {
            Ok(tables) => data_only::filled(inside, &tables).await?,
            Err(Error::Preflight { obstacles }) => {
                self.plan.obstacles.extend(obstacles);
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        if !filled.is_empty() {
            self.plan.obstacle(
                format!("rows are already in {}", filled.join(", ")),
                "empty these tables first, or restore everything under another name",
            );
        }
        Ok(())
    }

    fn check_sessions(&mut self) {
        // Our own session in it is not somebody else's.
        let own = i64::from(self.inside.is_some());
        let TargetState::Present { sessions, .. } = self.plan.state else {
            return;
        };
        let others = sessions - own;
        if others > 0 && (self.plan.method != Method::Swap || self.selection.is_whole()) {
            let verb = if self.plan.method == Method::Swap { "replace" } else { "fill" };
            let problem = format!(
                "{others} session(s) are connected to database {}, which the restore would {verb}",
                self.plan.database
            );
            self.plan
                .obstacle(problem, "stop the service that uses it, or restore under another name");
        }
    }
}
