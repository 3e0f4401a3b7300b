//! Restore a backup into a database.

mod plain;

use std::time::Instant;

use backup::{Entry, Identities, Vault};
use journal::evidence;
use pgsnap::{Archive, Database, Extent, RestoreOptions, RestorePlan, Restored};
use serde::Serialize;

pub use self::plain::{PlainDumpPlan, PlainDumpRestored};
use super::{Ops, Report, phases};
use crate::failure::name_flags;
use crate::human;
use crate::keys;
use crate::replacement;
use crate::site::Site;
use crate::store::{self, Contents};

/// Which backup to restore, where to, and how.
#[derive(Debug, Clone)]
pub struct RestoreOrder {
    /// The backup's id, its path, or `latest`; of a target, `TARGET:BACKUP`.
    pub entry: String,
    /// The site's name or connection URL to restore to.
    pub to: String,
    /// The name of the restored database; without one, that of the site or URL. A part of a
    /// backup never takes that name: it gets one of its own.
    pub database: Option<String>,
    /// The part to restore, and how.
    pub options: RestoreOptions,
}

impl RestoreOrder {
    /// Restores all of the newest verified backup to this site or URL.
    #[must_use]
    pub fn to(to: impl Into<String>) -> Self {
        Self {
            entry: store::LATEST.to_owned(),
            to: to.into(),
            database: None,
            options: RestoreOptions::default(),
        }
    }

    /// The name of the restored database: a part does not take the place of the whole.
    fn target_name(&self, database: &Database, id: &str) -> String {
        let options = &self.options;
        let part = match options.extent {
            _ if options.into_existing => None,
            Extent::DataOnly => None,
            _ if options.tables.is_some() => Some("tables"),
            Extent::SchemaOnly => Some("schema"),
            _ => options.schemas.as_ref().map(|_| "schema"),
        };
        match (&self.database, part) {
            (Some(name), _) => name.clone(),
            (None, None) => database.name().to_owned(),
            (None, Some(part)) => format!("{}__{part}_{}", database.name(), id.to_lowercase()),
        }
    }
}

/// The plan of a restore that was not carried out.
#[derive(Debug, Clone, Serialize)]
pub struct RestorePlanReport {
    /// The backup's id.
    pub entry: String,
    /// False: nothing was changed.
    pub executed: bool,
    /// The plan, which depends on the kind of the backup.
    #[serde(flatten)]
    pub planned: PlannedRestore,
}

impl Report for RestorePlanReport {
    const SCHEMA: &'static str = "hubctl.restore.v1";
}

impl RestorePlanReport {
    /// Returns true if the server shows no obstacle.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        match &self.planned {
            PlannedRestore::Plan(planned) => planned.plan.obstacles.is_empty(),
            PlannedRestore::PlainDump(_) => true,
        }
    }
}

/// The plan for one kind of backup.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedRestore {
    /// Of an archive.
    Plan(Box<PlannedArchive>),
    /// Of a plain dump.
    PlainDump(PlainDumpPlan),
}

/// The plan for an archive.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedArchive {
    /// The changes on the server, and the obstacles.
    #[serde(flatten)]
    pub plan: RestorePlan,
    /// The database that was backed up.
    #[serde(skip)]
    pub source: String,
    /// The moment of the snapshot, in RFC 3339.
    #[serde(skip)]
    pub taken_at: String,
    /// The tables that would be restored.
    #[serde(skip)]
    pub tables: u64,
    /// The rows that would be restored.
    #[serde(skip)]
    pub rows: u64,
}

/// A backup that was restored.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreReport {
    /// The backup's id.
    pub entry: String,
    /// True: the database was restored.
    pub executed: bool,
    /// The result, which depends on the kind of the backup.
    #[serde(flatten)]
    pub outcome: RestoreOutcome,
}

impl Report for RestoreReport {
    const SCHEMA: &'static str = "hubctl.restore.v1";
}

impl RestoreReport {
    /// The name of the restored database.
    #[must_use]
    pub fn database(&self) -> &str {
        match &self.outcome {
            RestoreOutcome::Restored(restored) => &restored.database,
            RestoreOutcome::PlainDump(restored) => &restored.database,
        }
    }
}

/// The result for one kind of backup.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreOutcome {
    /// Of an archive: every row equals the manifest.
    Restored(Box<Restored>),
    /// Of a plain dump, which has no manifest to compare with.
    PlainDump(PlainDumpRestored),
}

/// Plans a restore: looks at the target and changes nothing.
///
/// # Errors
/// Those of [`pgsnap::plan_restore`] and of the vault; a `latest` backup that is known to be
/// damaged; options that a plain dump cannot be restored with. An obstacle is no error: the plan
/// names it.
pub async fn plan_restore(ops: &Ops, order: RestoreOrder) -> anyhow::Result<RestorePlanReport> {
    let job = Job::new(ops, order).await?;
    let planned = match job.contents().await? {
        Contents::Archive(archive) => PlannedRestore::Plan(Box::new(job.plan(&archive).await?)),
        Contents::PlainDump(_) => PlannedRestore::PlainDump(job.plan_plain_dump().await?),
    };
    Ok(RestorePlanReport { entry: job.entry.id().to_owned(), executed: false, planned })
}

/// Restores a backup.
///
/// It is loaded into a new database, compared with its manifest row by row, and only then renamed
/// into place; a database that was there before is kept under another name.
///
/// # Errors
/// Those of [`plan_restore`], [`pgsnap::restore`] and [`pgsnap::restore_foreign`]; a journal that
/// cannot be opened.
pub async fn restore(ops: &Ops, order: RestoreOrder) -> anyhow::Result<RestoreReport> {
    let job = Job::new(ops, order).await?;
    let subject = format!("{}-{}", job.vault.service(), job.entry.id());
    let act = ops.act(subject)?.about(job.entry.path());
    let begun = Instant::now();
    let outcome = act.end(job.restore().await, |outcome| job.evidence(outcome))?;
    job.tell(&outcome, begun);
    Ok(RestoreReport { entry: job.entry.id().to_owned(), executed: true, outcome })
}

/// One restore.
struct Job<'a> {
    ops: &'a Ops,
    site: Site,
    vault: Vault,
    entry: Entry,
    identities: Identities,
    target: Database,
    options: RestoreOptions,
}

impl<'a> Job<'a> {
    async fn new(ops: &'a Ops, order: RestoreOrder) -> anyhow::Result<Self> {
        let (settings, console) = (ops.settings(), ops.console());
        let site = Site::resolve(settings, &order.to).await?;
        let identities = keys::opening(settings, console)?;
        let (vault, entry) = store::find_good_entry(settings, &order.entry, &**console)?;
        let identities = keys::for_entry(&identities, &entry, &**console);
        let name = order.target_name(&site.database, entry.id());
        let target = site.database.with_name(&name);
        Ok(Self { ops, site, vault, entry, identities, target, options: order.options })
    }

    async fn contents(&self) -> anyhow::Result<Contents> {
        store::contents(self.vault.clone(), self.entry.clone(), self.identities.clone()).await
    }

    async fn plan(&self, archive: &Archive) -> anyhow::Result<PlannedArchive> {
        let mut plan = pgsnap::plan_restore(archive, &self.target, &self.options).await?;
        name_flags(&mut plan.obstacles);
        let manifest = archive.manifest();
        let (tables, rows) = chosen(archive, &self.options);
        Ok(PlannedArchive {
            plan,
            source: manifest.source.database.clone(),
            taken_at: manifest.taken_at.clone(),
            tables,
            rows,
        })
    }

    async fn restore(&self) -> anyhow::Result<RestoreOutcome> {
        match self.contents().await? {
            Contents::Archive(archive) => {
                let progress = self.ops.progress(phases::RESTORE);
                self.ops.unfinished().begin(&self.target);
                let restored =
                    pgsnap::restore(&archive, &self.target, &self.options, &progress).await;
                self.ops.unfinished().end();
                Ok(RestoreOutcome::Restored(Box::new(restored?)))
            }
            Contents::PlainDump(dump) => {
                Ok(RestoreOutcome::PlainDump(self.restore_plain_dump(dump).await?))
            }
        }
    }

    fn evidence(&self, outcome: &RestoreOutcome) -> evidence::Restore {
        match outcome {
            RestoreOutcome::Restored(restored) => evidence::Restore {
                site: Some(self.site.label.clone()),
                database: restored.database.clone(),
                kept: restored.kept.clone(),
                bytes: None,
                tables: restored.tables as u64,
                rows: restored.rows,
                phases: Some(replacement::phases(restored)),
                unproven: None,
            },
            RestoreOutcome::PlainDump(restored) => restored.evidence(),
        }
    }

    fn tell(&self, outcome: &RestoreOutcome, begun: Instant) {
        match outcome {
            RestoreOutcome::Restored(restored) => {
                self.ops.say(format_args!(
                    "{}, {} restored and found equal to the manifest in {}",
                    human::plural(restored.tables as u64, "table"),
                    human::plural(restored.rows, "row"),
                    human::duration(begun.elapsed())
                ));
                replacement::tell(restored, &**self.ops.console());
            }
            RestoreOutcome::PlainDump(restored) => restored.tell(self.ops),
        }
    }
}

/// The numbers of tables and rows that these options take out of an archive.
fn chosen(archive: &Archive, options: &RestoreOptions) -> (u64, u64) {
    let tables = archive.manifest().census.tables.iter().filter(|table| {
        let (name, server) = (&table.name, &table.foreign_server);
        options.tables.as_ref().is_none_or(|names| names.contains(name))
            && options.schemas.as_ref().is_none_or(|schemas| schemas.contains(&name.schema))
            && server.as_ref().is_none_or(|server| options.foreign_data.contains(server))
    });
    let has_rows = options.extent != Extent::SchemaOnly;
    tables.fold((0, 0), |(tables, rows), table| {
        (tables + 1, rows + if has_rows { table.rows } else { 0 })
    })
}
