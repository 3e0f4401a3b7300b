//! A prepared database made from another one of the same server, file by file.

use std::time::Instant;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::facts::Facts;
use crate::fence::{PAUSE, in_the_way, inside, prepared};
use crate::handover::{LIMIT, prepared_name, require_run};
use crate::manifest::Source;
use crate::name::quote_identifier;
use crate::restore::{Edits, RestoreOptions, Target, apply_to_new, refusal, restoring_name};
use crate::session::Session;

/// Makes the prepared database of a run from a database of the same server, such as the old primary
/// behind its fence.
///
/// The server copies the files, and this program the owner, limit, privileges, settings and comment
/// that the template had before its fence. What the server refuses to this role is logged: a role
/// that is no superuser may not set everything. The template keeps everything, and must be empty of
/// sessions for the time of the copy, which has no limit.
///
/// An unfinished copy is named `NAME__restoring_RUN`, and is dropped by the next restore, copy or
/// clone of this name, or by [`drop_leftovers`](crate::drop_leftovers).
///
/// # Errors
/// [`Error::Preflight`] where the prepared database exists, or the template does not.
/// [`Error::StillInUse`] names the sessions that did not leave the template within 30 s.
/// [`Error::RestoreRunning`], errors of the server.
pub async fn clone_database(target: &Database, template: &str, run: &str) -> Result<Database> {
    require_run(run)?;
    let server = Target::connect(target).await?;
    let clone = target.with_name(&prepared_name(target.name(), run));
    let cloned = async {
        server.lock().await?;
        server.drop_leftovers().await?;
        let origin = server.origin(template, clone.name()).await?;
        let unfinished = restoring_name(target.name(), run);
        match server.clone_as(&unfinished, template, &origin, clone.name()).await {
            Ok(()) => Ok(clone),
            Err(error) => {
                let _ = server.drop_database(&unfinished).await;
                Err(error)
            }
        }
    };
    server.unlock(cloned.await).await
}

impl Target {
    /// The properties that the template had before its fence.
    async fn origin(&self, template: &str, clone: &str) -> Result<Source> {
        const QUERY: &str =
            "SELECT d.datname::text FROM pg_catalog.pg_database d WHERE d.datname = ANY ($1)";
        let names = [template, clone];
        let rows = self.session.rows("looking for the database", QUERY, &[&&names[..]]).await?;
        let present: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        if present.contains(&clone) {
            return Err(refusal(format!("database {clone} exists"), "drop it first, or use it"));
        }
        if !present.contains(&template) {
            return Err(refusal(format!("there is no database {template}"), "check its name"));
        }
        let session = Session::open_read_only(&self.database.with_name(template), "clone").await?;
        Ok(Facts::read(&session).await?.into_source())
    }

    async fn clone_as(
        &self,
        unfinished: &str,
        template: &str,
        origin: &Source,
        clone: &str,
    ) -> Result<()> {
        self.copy_files(unfinished, template).await?;
        let edits = Edits::of(&RestoreOptions::default());
        for note in apply_to_new(&self.session, unfinished, origin, &edits).await? {
            tracing::warn!(%note, database = clone, "a property of the template was not set");
        }
        let (from, to) = (quote_identifier(unfinished), quote_identifier(clone));
        let rename = format!("ALTER DATABASE {from} RENAME TO {to}");
        self.session.execute("naming the clone", &rename).await
    }

    /// Copies the files of the template once nobody is in it.
    async fn copy_files(&self, name: &str, template: &str) -> Result<()> {
        // Version 15 would write the whole database into the write-ahead log.
        let strategy = if self.facts.server_major() < 15 { "" } else { " STRATEGY file_copy" };
        let (quoted, from) = (quote_identifier(name), quote_identifier(template));
        let sql = format!("CREATE DATABASE {quoted} TEMPLATE {from}{strategy}");
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.create(name, &sql).await {
                Err(error) if error.sqlstate() != Some("55006") => return Err(error),
                Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(self.occupied(template).await.unwrap_or(error)),
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn occupied(&self, template: &str) -> Option<Error> {
        const QUERY: &str = "SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = $1";
        let row = self.session.row("looking for the database", QUERY, &[&template]).await.ok()?;
        let inside = inside(&self.session, row.get(0)).await.ok()?;
        let prepared = prepared(&self.session, template).await.ok()?;
        let is_named = !(inside.is_empty() && prepared.is_empty());
        is_named.then(|| in_the_way(template, &inside, &[], &prepared))
    }
}
