//! Thaw a site: take the fence down, exactly.

use journal::evidence;
use pgsnap::{FenceRecord, LocatedDatabase, MarkerRole, SessionInfo, UnfenceOptions, Unfenced};
use serde::Serialize;

use super::{Fence, strength};
use crate::failure::Refusal;
use crate::fences::FenceFiles;
use crate::ops::cutover::{known_runs, open_journal};
use crate::ops::{Ops, Report};
use crate::site::Site;

/// Which site to thaw.
#[derive(Debug, Clone)]
pub struct ThawOrder {
    /// The site's name or connection URL.
    pub site: String,
    /// The limit for sessions behind the fence to leave.
    pub options: UnfenceOptions,
    /// The epoch with which another site became the primary, and which is given up. Without it, a
    /// retired primary stays frozen.
    pub abandon_epoch: Option<u64>,
}

impl ThawOrder {
    /// Thaws this site.
    #[must_use]
    pub fn new(site: impl Into<String>) -> Self {
        Self { site: site.into(), options: UnfenceOptions::default(), abandon_epoch: None }
    }
}

/// The fence that would be taken down.
#[derive(Debug, Clone, Serialize)]
pub struct ThawPlanReport {
    /// The site.
    pub site: String,
    /// The database, as `user@host:port/name`.
    pub database: String,
    /// False: nothing was changed.
    pub executed: bool,
    /// The fence; null if the site is not frozen.
    pub fence: Option<Fence>,
}

impl Report for ThawPlanReport {
    const SCHEMA: &'static str = "hubctl.thaw.v1";
}

/// A site that is not frozen any more.
#[derive(Debug, Clone, Serialize)]
pub struct ThawReport {
    /// The site.
    pub site: String,
    /// The database, as `user@host:port/name`.
    pub database: String,
    /// True: no fence stands.
    pub executed: bool,
    /// The fence that was taken down; null if the site was not frozen.
    pub fence: Option<Fence>,
    /// The file that keeps the record, if there was one.
    pub record: Option<String>,
    /// Parts of the former state that could not be brought back, because their role was dropped.
    pub lost: Vec<String>,
    /// Sessions that stay read-only until they reconnect.
    pub read_only: Vec<SessionInfo>,
}

impl Report for ThawReport {
    const SCHEMA: &'static str = "hubctl.thaw.v1";
}

/// Looks for the fence around a site, and changes nothing.
///
/// # Errors
/// Those of [`pgsnap::find_fence`]; an unknown site.
pub async fn plan_thaw(ops: &Ops, order: ThawOrder) -> anyhow::Result<ThawPlanReport> {
    let site = Site::resolve(ops.settings(), &order.site).await?;
    let files = FenceFiles::of(ops.settings(), &site.label);
    let found = require_own(ops, &site, &files, order.abandon_epoch).await?;
    let (database, fence) = (site.database.to_string(), found.as_ref().map(Fence::of));
    Ok(ThawPlanReport { site: site.label, database, executed: false, fence })
}

/// Thaws a site: everything that the fence changed is as it was before.
///
/// The record beside the journal is used, or the one on the server if that file is lost. It may be
/// repeated; a site that is not frozen stays as it is.
///
/// # Errors
/// Those of [`pgsnap::unfence`]; an unknown site; a journal that cannot be opened. A retired
/// primary, unless the order names the epoch that is given up.
pub async fn thaw(ops: &Ops, order: ThawOrder) -> anyhow::Result<ThawReport> {
    let site = Site::resolve(ops.settings(), &order.site).await?;
    // A move at work holds the claim.
    let _claim = pgsnap::Claim::take(&site.database).await?;
    let files = FenceFiles::of(ops.settings(), &site.label);
    require_own(ops, &site, &files, order.abandon_epoch).await?;
    lower(ops, site, &files, order.options).await
}

/// Finds the fence, and refuses one that must stay up.
async fn require_own(
    ops: &Ops,
    site: &Site,
    files: &FenceFiles,
    abandoned: Option<u64>,
) -> anyhow::Result<Option<FenceRecord>> {
    let found = files.find(&site.database).await?;
    if let Some(record) = &found {
        require_no_move(ops, &site.label, abandoned)?;
        require_not_retired(site, record, abandoned).await?;
    }
    Ok(found)
}

/// As [`thaw`], for a move that holds the claim and knows who the primary is.
pub(in crate::ops) async fn take_fence_down(
    ops: &Ops,
    order: ThawOrder,
) -> anyhow::Result<ThawReport> {
    let site = Site::resolve(ops.settings(), &order.site).await?;
    let files = FenceFiles::of(ops.settings(), &site.label);
    lower(ops, site, &files, order.options).await
}

async fn lower(
    ops: &Ops,
    site: Site,
    files: &FenceFiles,
    options: UnfenceOptions,
) -> anyhow::Result<ThawReport> {
    let lock = files.lock()?;
    let found = files.find(&site.database).await;
    ops.unfinished().begin_fence(&site.database, None, lock);
    let thawed = take_down(ops, site, files, found, options).await;
    ops.unfinished().end();
    thawed
}

/// Refuses to open a site that an unfinished move froze, or that the journal knows to be
/// succeeded by another one.
fn require_no_move(ops: &Ops, label: &str, abandoned: Option<u64>) -> anyhow::Result<()> {
    let runs = known_runs(&open_journal(ops.settings())?)?;
    let Some(newest) = runs.last() else {
        return Ok(());
    };
    let is_part = newest.begun.from == label || newest.begun.to == label;
    if is_part && !newest.run.is_ended() {
        let fact = format!("cutover {} has not ended", newest.begun.run);
        return Err(Refusal::no(fact)
            .hint("`hubctl rollback --execute` takes it back, and starts the writers again")
            .into());
    }
    let committed = runs.iter().rev().filter(|known| known.is_committed());
    let mut moved = committed.filter(|known| known.begun.from == label || known.begun.to == label);
    match moved.next() {
        Some(last) if last.begun.from == label && abandoned != Some(last.begun.epoch) => {
            Err(retired(label, last.begun.epoch).into())
        }
        _ => Ok(()),
    }
}

fn retired(label: &str, epoch: u64) -> Refusal {
    Refusal::no(format!("{label} is retired: another site became the primary with epoch {epoch}"))
        .hint(format!(
            "go back with `hubctl rollback`, which brings the new rows along; if the new primary is lost for good, \
             `hubctl thaw {label} --abandon-epoch {epoch} --execute` gives up what was written there"
        ))
}

/// Refuses to open a database that another site has succeeded: then there would be two primaries.
async fn require_not_retired(
    site: &Site,
    record: &FenceRecord,
    abandoned: Option<u64>,
) -> anyhow::Result<()> {
    let identity = pgsnap::identify(&site.database).await?;
    let databases = identity.database.iter().chain(&identity.others);
    let behind = databases.filter(|database| database.oid == record.database_oid);
    let mark = behind
        .filter_map(LocatedDatabase::own_marker)
        .find(|marker| marker.role == MarkerRole::Retired && abandoned != Some(marker.epoch));
    let Some(marker) = mark else {
        return Ok(());
    };
    Err(retired(&site.label, marker.epoch).into())
}

async fn take_down(
    ops: &Ops,
    site: Site,
    files: &FenceFiles,
    found: anyhow::Result<Option<FenceRecord>>,
    options: UnfenceOptions,
) -> anyhow::Result<ThawReport> {
    let unfenced = match found? {
        Some(_) => unfence(ops, &site, files, options).await?,
        None => None,
    };
    let record = files.retire()?;
    match &unfenced {
        Some(_) => ops.say(format_args!("{} is thawed", site.label)),
        None => ops.say(format_args!("{} is not frozen", site.label)),
    }
    let (fence, lost, read_only) = match unfenced {
        Some(Unfenced { record, lost, read_only, .. }) => {
            (record.as_ref().map(Fence::of), lost, read_only)
        }
        None => (None, Vec::new(), Vec::new()),
    };
    Ok(ThawReport {
        database: site.database.to_string(),
        site: site.label,
        executed: true,
        fence,
        record: record.map(|path| path.display().to_string()),
        lost,
        read_only,
    })
}

/// Takes the fence down; `None` if another run did so meanwhile.
async fn unfence(
    ops: &Ops,
    site: &Site,
    files: &FenceFiles,
    mut options: UnfenceOptions,
) -> anyhow::Result<Option<Unfenced>> {
    let act = ops.act(&site.label)?;
    options.record = Some(files.record().to_owned());
    let unfenced = pgsnap::unfence(&site.database, &options).await;
    let unfenced = unfenced.map_err(|error| files.naming(error));
    let unfenced = act.end(unfenced, |unfenced| evidence::Thaw {
        database: site.database.name().to_owned(),
        fence: unfenced.record.as_ref().map(|record| record.id.clone()),
        strength: unfenced.record.as_ref().map(|record| strength(record.kind)),
        lost: unfenced.lost.clone(),
    })?;
    for part in &unfenced.lost {
        ops.warn(format_args!("lost, because its role was dropped meanwhile: {part}"));
    }
    for session in &unfenced.read_only {
        ops.warn(format_args!("stays read-only until it reconnects: {session}"));
    }
    Ok(unfenced.record.is_some().then_some(unfenced))
}
