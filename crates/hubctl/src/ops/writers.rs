//! Watch who writes to a site.

use pgsnap::{WriterOptions, Writers};
use serde::Serialize;

use super::{Ops, Report};
use crate::human;
use crate::site::Site;

/// Which site to watch, and for how long.
#[derive(Debug, Clone)]
pub struct WritersOrder {
    /// The site's name or connection URL.
    pub site: String,
    /// The time to watch, and whether writers are made to wait.
    pub options: WriterOptions,
}

/// The writers of a site.
#[derive(Debug, Clone, Serialize)]
pub struct WritersReport {
    /// The site.
    pub site: String,
    /// The time that was watched, in seconds.
    pub seconds: f64,
    /// The writers, and the tables that changed.
    #[serde(flatten)]
    pub writers: Writers,
}

impl Report for WritersReport {
    const SCHEMA: &'static str = "hubctl.writers.v1";
}

/// Watches for some time who writes to a site, and changes nothing.
///
/// # Errors
/// Those of [`pgsnap::writers`]; an unknown site.
pub async fn writers(ops: &Ops, order: WritersOrder) -> anyhow::Result<WritersReport> {
    let site = Site::resolve(ops.settings(), &order.site).await?;
    let window = order.options.window;
    ops.say(format_args!("watching {} for {}", site.label, human::duration(window)));
    let writers = pgsnap::writers(&site.database, &order.options).await?;
    Ok(WritersReport { site: site.label, seconds: window.as_secs_f64(), writers })
}
