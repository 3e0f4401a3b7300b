//! Copy a database from server to server.

use std::time::Instant;

use journal::evidence::{self, CopySource};
use pgsnap::{Copied, CopyOptions, CopyPlan, Database, Restored};
use serde::Serialize;

use super::{Ops, Report, phases};
use crate::failure::name_flags;
use crate::human;
use crate::replacement;
use crate::site::Site;

/// Which database to copy, where to, and how.
#[derive(Debug, Clone)]
pub struct CopyOrder {
    /// The site's name or connection URL to copy.
    pub from: String,
    /// The site's name or connection URL to copy to.
    pub to: String,
    /// The name of the copy; without one, that of the target's site or URL.
    pub database: Option<String>,
    /// The way to copy.
    pub options: CopyOptions,
}

impl CopyOrder {
    /// Copies between these sites or URLs, under the name of the target's.
    #[must_use]
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { from: from.into(), to: to.into(), database: None, options: CopyOptions::default() }
    }
}

/// The plan of a copy that was not carried out.
#[derive(Debug, Clone, Serialize)]
pub struct CopyPlanReport {
    /// The site that would be copied.
    pub from: String,
    /// The site that would be copied to.
    pub to: String,
    /// False: nothing was changed.
    pub executed: bool,
    /// The extent of the copy, the changes at the target, and the obstacles there.
    pub plan: CopyPlan,
}

impl Report for CopyPlanReport {
    const SCHEMA: &'static str = "hubctl.copy.v1";
}

impl CopyPlanReport {
    /// Returns true if the target shows no obstacle.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.plan.target.obstacles.is_empty()
    }
}

/// A database that was copied.
#[derive(Debug, Clone, Serialize)]
pub struct CopyReport {
    /// The site that was copied.
    pub from: String,
    /// The site that was copied to.
    pub to: String,
    /// True: the copy has taken its place.
    pub executed: bool,
    /// The database that was copied, as of its snapshot.
    pub source: CopySource,
    /// The changes at the target.
    pub restored: Restored,
}

impl Report for CopyReport {
    const SCHEMA: &'static str = "hubctl.copy.v1";
}

/// Plans a copy: looks at both servers and changes nothing.
///
/// # Errors
/// Those of [`pgsnap::plan_copy`]; an unknown site. An obstacle is no error: the plan names it.
pub async fn plan_copy(ops: &Ops, order: CopyOrder) -> anyhow::Result<CopyPlanReport> {
    let job = Job::new(ops, order).await?;
    let source = job.source().await?;
    let mut plan = pgsnap::plan_copy(&source, &job.target, &job.options).await?;
    name_flags(&mut plan.target.obstacles);
    Ok(CopyPlanReport { from: job.from.label, to: job.to.label, executed: false, plan })
}

/// Copies a database, with no file in between.
///
/// All rows are of one moment. They are loaded into a new database while they are read, compared
/// with the source row by row, and only then renamed into place; a database that was there before
/// is kept under another name.
///
/// # Errors
/// Those of [`pgsnap::copy`]; an unknown site; a journal that cannot be opened.
pub async fn copy(ops: &Ops, order: CopyOrder) -> anyhow::Result<CopyReport> {
    let job = Job::new(ops, order).await?;
    let act = ops.act(format!("{} to {}", job.from.label, job.to.label))?;
    let begun = Instant::now();
    let copied = act.end(job.copy().await, |copied| job.evidence(copied))?;
    job.tell(&copied, begun);
    Ok(CopyReport {
        source: source(&copied),
        from: job.from.label,
        to: job.to.label,
        executed: true,
        restored: copied.restored,
    })
}

/// One copy.
struct Job<'a> {
    ops: &'a Ops,
    from: Site,
    to: Site,
    /// The target's site under the name of the copy.
    target: Database,
    options: CopyOptions,
}

impl<'a> Job<'a> {
    async fn new(ops: &'a Ops, order: CopyOrder) -> anyhow::Result<Self> {
        let from = Site::resolve(ops.settings(), &order.from).await?;
        let to = Site::resolve(ops.settings(), &order.to).await?;
        let name = order.database.as_deref().unwrap_or(to.database.name());
        let target = to.database.with_name(name);
        Ok(Self { ops, target, from, to, options: order.options })
    }

    /// The database to copy, behind its fence if the site is frozen.
    async fn source(&self) -> anyhow::Result<Database> {
        let (settings, console) = (self.ops.settings(), &**self.ops.console());
        Ok(self.from.clone().readable(settings, console).await?.database)
    }

    async fn copy(&self) -> anyhow::Result<Copied> {
        let source = self.source().await?;
        let progress = self.ops.progress(phases::COPY);
        self.ops.unfinished().begin(&self.target);
        let copied = pgsnap::copy(&source, &self.target, &self.options, &progress).await;
        self.ops.unfinished().end();
        Ok(copied?)
    }

    fn evidence(&self, copied: &Copied) -> evidence::Copy {
        let restored = &copied.restored;
        evidence::Copy {
            from: self.from.label.clone(),
            source: source(copied),
            site: self.to.label.clone(),
            database: restored.database.clone(),
            kept: restored.kept.clone(),
            tables: restored.tables as u64,
            rows: restored.rows,
            digest_found: restored.census.as_ref().map(|census| census.digest().to_string()),
            verdict: restored.comparison.as_ref().map(|_| "equal".to_owned()),
            phases: replacement::phases(restored),
        }
    }

    fn tell(&self, copied: &Copied, begun: Instant) {
        let restored = &copied.restored;
        self.ops.say(format_args!(
            "{}, {} copied and found equal to the source of {} in {}",
            human::plural(restored.tables as u64, "table"),
            human::plural(restored.rows, "row"),
            human::time(&copied.taken_at),
            human::duration(begun.elapsed())
        ));
        replacement::tell(restored, &**self.ops.console());
    }
}

fn source(copied: &Copied) -> CopySource {
    let source = &copied.source;
    CopySource {
        database: source.database.clone(),
        database_oid: source.database_oid,
        server_version: source.server_version.clone(),
        system_identifier: source.system_identifier.clone(),
        taken_at: copied.taken_at.clone(),
        lsn: source.lsn.clone(),
        bytes: copied.census.bytes(),
        digest: copied.census.digest().to_string(),
    }
}
