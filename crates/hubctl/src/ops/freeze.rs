//! Freeze a site: put a fence around its database, and thaw it again.

mod thaw;

use std::path::Path;

use anyhow::Context as _;
use journal::evidence::{self, Strength};
use pgsnap::{
    FenceKind, FenceOptions, FencePlan, FenceRecord, Fenced, Obstacle, QuietReading, SessionInfo,
};
use serde::Serialize;

pub(super) use self::thaw::take_fence_down;
pub use self::thaw::{ThawOrder, ThawPlanReport, ThawReport, plan_thaw, thaw};
use super::{Ops, Report};
use crate::fences::FenceFiles;
use crate::human;
use crate::site::Site;

/// Which site to freeze, and how.
#[derive(Debug, Clone)]
pub struct FreezeOrder {
    /// The site's name or connection URL.
    pub site: String,
    /// The strength of the fence, and the limit for sessions to end.
    pub options: FenceOptions,
}

impl FreezeOrder {
    /// Freezes this site for readers and writers.
    #[must_use]
    pub fn new(site: impl Into<String>) -> Self {
        Self { site: site.into(), options: FenceOptions::default() }
    }

    fn kind(&self) -> FenceKind {
        if self.options.allow_reads { FenceKind::Soft } else { FenceKind::Hard }
    }
}

/// A fence around the database of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fence {
    /// Its id.
    pub id: String,
    /// `hard`, or `soft` if readers go on.
    pub kind: FenceKind,
    /// The time of its plan, in RFC 3339.
    pub planned_at: String,
    /// The OID of the database.
    pub database_oid: u32,
    /// The name of the database behind the fence.
    pub behind: String,
}

impl Fence {
    pub(super) fn of(record: &FenceRecord) -> Self {
        Self {
            id: record.id.clone(),
            kind: record.kind,
            planned_at: record.planned_at.clone(),
            database_oid: record.database_oid,
            behind: record.fenced_name().to_owned(),
        }
    }
}

/// The plan of a fence that was not put up.
#[derive(Debug, Clone, Serialize)]
pub struct FreezePlanReport {
    /// The site.
    pub site: String,
    /// The database, as `user@host:port/name`.
    pub database: String,
    /// False: nothing was changed.
    pub executed: bool,
    /// The strength of the fence.
    pub kind: FenceKind,
    /// The fence that already stands, or was begun.
    pub standing: Option<Fence>,
    /// The file that the record would be written to.
    pub record: String,
    /// The sessions that would be ended.
    pub sessions: Vec<SessionInfo>,
    /// The roles whose own read-only default would be set as well.
    pub read_only_roles: Vec<String>,
    /// Reasons to refuse the fence.
    pub obstacles: Vec<Obstacle>,
    /// Limits of the fence, and facts to know before it.
    pub warnings: Vec<String>,
}

impl Report for FreezePlanReport {
    const SCHEMA: &'static str = "hubctl.freeze.v1";
}

impl FreezePlanReport {
    /// Returns true if nothing is in the way.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        let is_other = |fence: &Fence| fence.kind != self.kind;
        self.obstacles.is_empty() && !self.standing.as_ref().is_some_and(is_other)
    }
}

/// A site that is frozen.
#[derive(Debug, Clone, Serialize)]
pub struct FreezeReport {
    /// The site.
    pub site: String,
    /// The database, as `user@host:port/name`.
    pub database: String,
    /// True: the fence stands.
    pub executed: bool,
    /// The fence.
    pub fence: Fence,
    /// The file of the record, which takes the fence down.
    pub record: String,
    /// The sessions that were ended.
    pub ended: Vec<SessionInfo>,
    /// True if the fence stood already, or an earlier run had begun it.
    pub resumed: bool,
    /// The first reading behind the fence, which proofs of quiet begin with.
    pub reading: QuietReading,
}

impl Report for FreezeReport {
    const SCHEMA: &'static str = "hubctl.freeze.v1";
}

/// Plans a freeze: looks at the server and changes nothing.
///
/// # Errors
/// Those of [`pgsnap::plan_fence`]; an unknown site. An obstacle is no error: the plan names it.
pub async fn plan_freeze(ops: &Ops, order: FreezeOrder) -> anyhow::Result<FreezePlanReport> {
    let job = Job::new(ops, order).await?;
    let mut report = FreezePlanReport {
        site: job.site.label.clone(),
        database: job.site.database.to_string(),
        executed: false,
        kind: job.order.kind(),
        standing: job.files.find(&job.site.database).await?.as_ref().map(Fence::of),
        record: job.files.record().display().to_string(),
        sessions: Vec::new(),
        read_only_roles: Vec::new(),
        obstacles: Vec::new(),
        warnings: Vec::new(),
    };
    if report.standing.is_none() {
        let plan = pgsnap::plan_fence(&job.site.database, &job.order.options).await?;
        let FencePlan { sessions, read_only_roles, obstacles, warnings, .. } = plan;
        let read_only_roles = read_only_roles.into_iter().map(|role| role.name).collect();
        report = FreezePlanReport { sessions, read_only_roles, obstacles, warnings, ..report };
    }
    Ok(report)
}

/// Freezes a site, and returns when the fence stands.
///
/// The record of the former state is on the disk beside the journal, and the journal says that the
/// freeze was started, before anything changes. An interrupted freeze is finished by the next one,
/// or taken down by [`thaw`]; a site that is frozen already stays as it is.
///
/// # Errors
/// Those of [`pgsnap::fence`]; an unknown site; a journal that cannot be opened.
pub async fn freeze(ops: &Ops, order: FreezeOrder) -> anyhow::Result<FreezeReport> {
    let job = Job::new(ops, order).await?;
    let act = ops.act(&job.site.label)?;
    act.started(&job.begun())?;
    let frozen = act.end(job.freeze().await, |frozen| job.evidence(frozen))?;
    job.tell(&frozen.fenced);
    Ok(FreezeReport {
        site: job.site.label.clone(),
        database: job.site.database.to_string(),
        executed: true,
        fence: Fence::of(&frozen.fenced.record),
        record: job.files.record().display().to_string(),
        ended: frozen.fenced.ended,
        resumed: frozen.fenced.resumed,
        reading: frozen.reading,
    })
}

/// A fence that stands, and the first reading behind it.
struct Frozen {
    fenced: Fenced,
    reading: QuietReading,
}

/// One freeze.
struct Job<'a> {
    ops: &'a Ops,
    site: Site,
    files: FenceFiles,
    order: FreezeOrder,
}

impl<'a> Job<'a> {
    async fn new(ops: &'a Ops, order: FreezeOrder) -> anyhow::Result<Self> {
        let site = Site::resolve(ops.settings(), &order.site).await?;
        let files = FenceFiles::of(ops.settings(), &site.label);
        Ok(Self { ops, site, files, order })
    }

    async fn freeze(&self) -> anyhow::Result<Frozen> {
        let lock = self.files.lock()?;
        let record = self.files.record();
        // A fence that stood before this run is not this run's to take down.
        let is_new = self.files.find(&self.site.database).await?.is_none();
        if is_new {
            self.files.retire()?;
        }
        self.ops.unfinished().begin_fence(&self.site.database, is_new.then_some(record), lock);
        let frozen = self.fence(record).await;
        self.ops.unfinished().end();
        frozen
    }

    async fn fence(&self, record: &Path) -> anyhow::Result<Frozen> {
        let database = &self.site.database;
        let fenced = pgsnap::fence(database, record, &self.order.options).await;
        let fenced = fenced.map_err(|error| self.files.naming(error))?;
        let reading = self.first_reading(&fenced).await.with_context(|| {
            format!("{} is frozen, and the first reading behind the fence failed", self.site.label)
        })?;
        Ok(Frozen { fenced, reading })
    }

    /// The earliest reading behind this fence: the one that is kept, or else one of now.
    async fn first_reading(&self, fenced: &Fenced) -> anyhow::Result<QuietReading> {
        let id = &fenced.record.id;
        if let Some(reading) = self.files.reading(id)? {
            return Ok(reading);
        }
        let reading = pgsnap::read_quiet(&fenced.database(&self.site.database)).await?;
        self.files.save_reading(id, &reading)?;
        Ok(reading)
    }

    fn begun(&self) -> evidence::Freeze {
        evidence::Freeze {
            database: self.site.database.name().to_owned(),
            strength: strength(self.order.kind()),
            record: self.files.record().display().to_string(),
            fence: None,
            behind: None,
            ended: None,
            resumed: None,
        }
    }

    fn evidence(&self, frozen: &Frozen) -> evidence::Freeze {
        let fenced = &frozen.fenced;
        evidence::Freeze {
            fence: Some(fenced.record.id.clone()),
            behind: Some(fenced.record.fenced_name().to_owned()),
            ended: Some(fenced.ended.len() as u64),
            resumed: Some(fenced.resumed),
            ..self.begun()
        }
    }

    fn tell(&self, fenced: &Fenced) {
        let (label, behind) = (&self.site.label, fenced.record.fenced_name());
        let ended = human::plural(fenced.ended.len() as u64, "session");
        match fenced.record.kind {
            FenceKind::Hard => {
                self.ops.say(format_args!("{label} is frozen as {behind}; {ended} ended"));
            }
            _ => self.ops.say(format_args!("{label} is read-only by default; {ended} ended")),
        }
    }
}

pub(super) fn strength(kind: FenceKind) -> Strength {
    match kind {
        FenceKind::Soft => Strength::Soft,
        _ => Strength::Hard,
    }
}
