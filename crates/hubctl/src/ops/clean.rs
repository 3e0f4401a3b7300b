//! Drop the databases that restores and copies kept.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use journal::evidence;
use pgsnap::KeptDatabase;
use serde::Serialize;

use super::{Ops, Report};
use crate::failure::Refusal;
use crate::human::{self, age};
use crate::site::Site;

/// The site whose kept databases are dropped, and which of them.
#[derive(Debug, Clone, Default)]
pub struct CleanOrder {
    /// The site's name or connection URL.
    pub site: String,
    /// Only those that were kept at least this long ago.
    pub older_than: Option<Duration>,
}

/// The kept databases that would be dropped.
#[derive(Debug, Clone)]
pub struct CleanPlan {
    site: Site,
    report: CleanReport,
}

impl CleanPlan {
    /// The kept databases; nothing was dropped.
    #[must_use]
    pub fn report(&self) -> &CleanReport {
        &self.report
    }

    /// Refuses to drop databases with sessions.
    ///
    /// # Errors
    /// Sessions are connected to one of them.
    pub fn require_unused(&self) -> anyhow::Result<()> {
        let used = self.report.databases.iter().filter(|kept| kept.sessions > 0);
        let used: Vec<&str> = used.map(|kept| kept.name.as_str()).collect();
        if used.is_empty() {
            return Ok(());
        }
        Err(Refusal::no(format!("sessions are connected to {}", used.join(", ")))
            .hint("end these sessions first; nothing was dropped")
            .into())
    }
}

/// Kept databases that were listed or dropped.
#[derive(Debug, Clone, Serialize)]
pub struct CleanReport {
    /// The database whose predecessors they are.
    pub database: String,
    /// True if they were dropped.
    pub executed: bool,
    /// The kept databases.
    pub databases: Vec<Kept>,
}

impl Report for CleanReport {
    const SCHEMA: &'static str = "hubctl.clean.v1";
}

/// A database that a restore or a copy kept.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// The time in its name, in RFC 3339.
    pub kept_at: Option<String>,
    /// Its size in bytes, where this role may ask.
    pub bytes: Option<u64>,
    /// The sessions that are connected to it.
    pub sessions: u64,
    /// The time since it was kept, if its name holds a usable time of the past.
    #[serde(skip)]
    pub age: Option<Duration>,
}

impl Kept {
    fn of(kept: &KeptDatabase, now: Timestamp) -> Self {
        let kept_at = kept_at(kept);
        Self {
            name: kept.name.clone(),
            kept_at: kept_at.map(|at| at.to_string()),
            bytes: kept.bytes,
            sessions: kept.sessions,
            age: kept_at.and_then(|at| age(at, now)),
        }
    }

    /// Without a usable time in its name its age is unknown.
    fn is_older_than(&self, least: Option<Duration>) -> bool {
        least.is_none_or(|least| self.age.is_some_and(|age| age >= least))
    }
}

/// The time in a kept database's name.
fn kept_at(kept: &KeptDatabase) -> Option<Timestamp> {
    let at = DateTime::strptime("%Y%m%d%H%M%S", &kept.stamp).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Lists the databases that restores and copies to a site kept.
///
/// # Errors
/// Those of [`pgsnap::kept_databases`]; an unknown site.
pub async fn plan_clean(ops: &Ops, order: CleanOrder) -> anyhow::Result<CleanPlan> {
    let site = Site::resolve(ops.settings(), &order.site).await?;
    let now = ops.now();
    let kept = pgsnap::kept_databases(&site.database).await?;
    let mut databases: Vec<Kept> = kept.iter().map(|kept| Kept::of(kept, now)).collect();
    databases.retain(|kept| kept.is_older_than(order.older_than));
    let database = site.database.name().to_owned();
    Ok(CleanPlan { site, report: CleanReport { database, executed: false, databases } })
}

/// Drops the databases of a plan, and no others: those that a person has seen.
///
/// # Errors
/// Those of [`CleanPlan::require_unused`] and [`pgsnap::drop_kept`]; a journal that cannot be
/// opened.
pub async fn clean(ops: &Ops, plan: CleanPlan) -> anyhow::Result<CleanReport> {
    plan.require_unused()?;
    let CleanPlan { site, report } = plan;
    if report.databases.is_empty() {
        return Ok(report);
    }
    let names: Vec<String> = report.databases.iter().map(|kept| kept.name.clone()).collect();
    let act = ops.act(&site.label)?;
    let dropped = pgsnap::drop_kept(&site.database, &names).await;
    act.end(dropped.map_err(anyhow::Error::from), |()| evidence::Clean {
        database: report.database.clone(),
        dropped: names,
    })?;
    Ok(CleanReport { executed: true, ..report })
}

/// Sums kept databases up: `3 databases, 1.2 GB, the oldest kept 12 d ago`.
pub(crate) fn kept_summary(kept: &[KeptDatabase], now: Timestamp) -> String {
    let kept: Vec<Kept> = kept.iter().map(|kept| Kept::of(kept, now)).collect();
    let bytes = kept.iter().filter_map(|kept| kept.bytes).sum();
    let mut text =
        format!("{}, {}", human::plural(kept.len() as u64, "database"), human::bytes(bytes));
    if let Some(oldest) = kept.iter().filter_map(|kept| kept.age).max() {
        text += &format!(", the oldest kept {} ago", human::duration(oldest));
    }
    text
}
