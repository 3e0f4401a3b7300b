//! Rehearse a move: back up a site, and restore the backup at another one that is not the primary.

use std::time::{Duration, Instant};

use pgsnap::MarkerRole;
use serde::Serialize;

use super::{
    BackupOrder, BackupReport, CopyOrder, CopyPlanReport, Ops, Report, RestoreOrder, RestoreReport,
    backup, plan_copy, restore,
};
use crate::failure::Refusal;
use crate::fences::FenceFiles;
use crate::human;
use crate::site::Site;

/// Which sites to rehearse with.
#[derive(Debug, Clone)]
pub struct MigrateOrder {
    /// The site's name or connection URL to back up.
    pub from: String,
    /// The site's name or connection URL to restore at.
    pub to: String,
}

/// A rehearsal: the target holds what the source held at the time of the backup.
#[derive(Debug, Clone, Serialize)]
pub struct MigrateReport {
    /// The site that was backed up.
    pub from: String,
    /// The site that the backup was restored at.
    pub to: String,
    /// True: the restored database has taken its place.
    pub executed: bool,
    /// The backup.
    pub backup: BackupReport,
    /// The restored database, which equals the backup row by row.
    pub restored: RestoreReport,
    /// The time of both, in seconds.
    pub seconds: f64,
}

impl Report for MigrateReport {
    const SCHEMA: &'static str = "hubctl.migrate.v1";
}

/// Plans a rehearsal: looks at both servers and changes nothing.
///
/// # Errors
/// Those of [`plan_copy`]; a target that is the primary, or frozen.
pub async fn plan_migrate(ops: &Ops, order: MigrateOrder) -> anyhow::Result<CopyPlanReport> {
    let to = Site::resolve(ops.settings(), &order.to).await?;
    require_spare(ops, &to).await?;
    plan_copy(ops, CopyOrder::new(order.from, order.to)).await
}

/// Backs up a site and restores the backup at another one, as a move would.
///
/// The source is only read. It may be repeated: the database of the last rehearsal is kept under
/// another name until `hubctl clean` drops it.
///
/// # Errors
/// Those of [`backup`] and [`restore`]; a target that is the primary, or frozen.
pub async fn migrate(ops: &Ops, order: MigrateOrder) -> anyhow::Result<MigrateReport> {
    // No move may begin or commit at the target meanwhile.
    let to = Site::resolve(ops.settings(), &order.to).await?;
    let _claim = pgsnap::Claim::take(&to.database).await?;
    require_spare(ops, &to).await?;
    let begun = Instant::now();
    let source = Some(order.from.clone());
    let taken = backup(ops, BackupOrder { source, ..BackupOrder::default() }).await?;
    let mut restoring = RestoreOrder::to(&order.to);
    restoring.entry.clone_from(&taken.id);
    let restored = restore(ops, restoring).await?;
    let seconds = begun.elapsed().as_secs_f64();
    ops.say(format_args!(
        "{} holds what {} held at {}; it took {}",
        order.to,
        order.from,
        human::time(&taken.taken_at),
        human::duration(Duration::from_secs_f64(seconds)),
    ));
    Ok(MigrateReport {
        from: order.from,
        to: order.to,
        executed: true,
        backup: taken,
        restored,
        seconds,
    })
}

/// Refuses a target whose database must not be replaced.
async fn require_spare(ops: &Ops, site: &Site) -> anyhow::Result<()> {
    let label = &site.label;
    let files = FenceFiles::of(ops.settings(), label);
    if let Some(fence) = files.find_any(&site.database).await? {
        return Err(Refusal::no(format!("{label} is frozen by fence {}", fence.id))
            .hint("a rehearsal needs a target without a fence: thaw it, or name another site")
            .into());
    }
    let identity = pgsnap::identify(&site.database).await?;
    let marker = identity.database.as_ref().and_then(pgsnap::LocatedDatabase::own_marker);
    match marker {
        Some(marker) if marker.role == MarkerRole::Primary => {
            let fact = format!("{label} is the primary of epoch {}", marker.epoch);
            Err(Refusal::no(fact)
                .hint("a rehearsal replaces its target: exchange the sites")
                .into())
        }
        Some(_) => Ok(()),
        // Before the first move nothing but the configuration says which site is in use.
        None if ops.settings().cutover.from.as_deref() == Some(label.as_str()) => {
            Err(Refusal::no(format!("{label} is the site that [cutover] moves from"))
                .hint("a rehearsal replaces its target: exchange the sites")
                .into())
        }
        None => Ok(()),
    }
}
