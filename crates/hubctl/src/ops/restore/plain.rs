//! Restore a plain dump: a backup without a manifest, which psql loads as it is.

use std::sync::Arc;

use journal::evidence;
use pgsnap::{Extent, OpenDump};
use serde::Serialize;

use super::{Job, Ops, phases};
use crate::failure::Refusal;
use crate::human;

/// The plan for a plain dump.
#[derive(Debug, Clone, Serialize)]
pub struct PlainDumpPlan {
    /// The database that it would become.
    pub database: String,
    /// The same database with its server, as `user@host:port/name`.
    #[serde(skip)]
    pub target: String,
}

/// A plain dump that was restored.
#[derive(Debug, Clone, Serialize)]
pub struct PlainDumpRestored {
    /// The database that now holds the dump.
    pub database: String,
    /// The name under which the previous database was kept.
    pub kept: Option<String>,
    /// The size of the SQL text that psql loaded, in bytes.
    pub bytes: u64,
    /// The tables in the restored database.
    pub tables: u64,
    /// The rows counted in the restored database.
    pub rows: u64,
    /// Claims about the restore that a plain dump cannot prove.
    pub unproven: Vec<String>,
}

impl PlainDumpRestored {
    pub(super) fn evidence(&self) -> evidence::Restore {
        evidence::Restore {
            site: None,
            database: self.database.clone(),
            kept: self.kept.clone(),
            bytes: Some(self.bytes),
            tables: self.tables,
            rows: self.rows,
            phases: None,
            unproven: Some(self.unproven.clone()),
        }
    }

    pub(super) fn tell(&self, ops: &Ops) {
        let rows = human::plural(self.rows, "row");
        ops.say(format_args!("restored; {rows} were counted afterwards"));
        for unproven in &self.unproven {
            ops.warn(format_args!("not proven: {unproven}"));
        }
    }
}

impl Job<'_> {
    pub(super) async fn plan_plain_dump(&self) -> anyhow::Result<PlainDumpPlan> {
        self.refuse_options()?;
        // An unreachable server shows up in the plan, and not only when the restore begins.
        pgsnap::query_scalar(&self.target.with_name("postgres"), "SELECT 1").await?;
        let (database, target) = (self.target.name().to_owned(), self.target.to_string());
        Ok(PlainDumpPlan { database, target })
    }

    pub(super) async fn restore_plain_dump(
        &self,
        dump: Arc<OpenDump>,
    ) -> anyhow::Result<PlainDumpRestored> {
        self.refuse_options()?;
        let progress = self.ops.progress(phases::RESTORE);
        self.ops.unfinished().begin(&self.target);
        let restored = pgsnap::restore_foreign(dump, &self.target, &self.options, &progress).await;
        self.ops.unfinished().end();
        let restored = restored?;
        Ok(PlainDumpRestored {
            tables: restored.census.tables.len() as u64,
            rows: restored.census.rows(),
            database: restored.database,
            kept: restored.kept,
            bytes: restored.bytes,
            unproven: restored.unproven,
        })
    }

    /// psql loads a plain dump as it is.
    fn refuse_options(&self) -> anyhow::Result<()> {
        let options = &self.options;
        let is_part = options.tables.is_some()
            || options.schemas.is_some()
            || options.extent != Extent::Everything;
        let is_changed = !options.owners
            || !options.privileges
            || !options.role_map.is_empty()
            || !options.tablespaces
            || !options.foreign_data.is_empty()
            || options.into_existing;
        let (problem, remedy) = match (is_part, is_changed) {
            (true, _) => (
                "a part cannot be taken out of a plain dump",
                "restore all of it under another name",
            ),
            (_, true) => (
                "a plain dump can only be restored as it is, into a database of its own",
                "leave --no-owner, --no-acl, --role-map, --no-tablespaces, --include-foreign-data and --into-existing out",
            ),
            _ => return Ok(()),
        };
        Err(Refusal::usage(problem).hint(remedy).into())
    }
}
