//! Show sites: what the configuration says, and what the servers say.

use pgsnap::Marker;
use serde::Serialize;

use super::live::Live;
use super::{SiteIdentity, SitesOrder};
use crate::failure::Failure;
use crate::hook::{Answer, Hooked};
use crate::ops::{Fence, Ops, Report};
use crate::settings::{Settings, SiteSettings, WriterTable};
use crate::writer;

/// The sites that were asked for.
#[derive(Debug, Clone, Serialize)]
pub struct SiteShowReport {
    /// The sites.
    pub sites: Vec<ShownSite>,
}

impl Report for SiteShowReport {
    const SCHEMA: &'static str = "hubctl.site.v1";
}

impl SiteShowReport {
    /// Returns true if every server and every writer could be asked.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let is_known = |writer: &ShownWriter| writer.error.is_none();
        self.sites.iter().all(|site| site.error.is_none() && site.writers.iter().all(is_known))
    }
}

/// A site as the configuration describes it, and as its server does.
#[derive(Debug, Clone, Serialize)]
pub struct ShownSite {
    /// The site.
    pub site: String,
    /// The database, as `user@host:port/name`; null if its address cannot be understood.
    pub database: Option<String>,
    /// The address of the service.
    pub api: Option<String>,
    /// The server and the database that it is pinned to.
    pub pinned: Option<SiteIdentity>,
    /// The server and the database that it leads to.
    pub live: Option<SiteIdentity>,
    /// The version of the server.
    pub server_version: Option<String>,
    /// True if the server is a standby.
    pub standby: bool,
    /// The fence around the database.
    pub fence: Option<Fence>,
    /// The claim of the database about who is primary.
    pub marker: Option<Marker>,
    /// Databases of earlier moves and restores: former primaries, and prepared copies.
    pub kept: Vec<String>,
    /// The programs that write there.
    pub writers: Vec<ShownWriter>,
    /// The reason why the server could not be asked.
    pub error: Option<String>,
}

/// A program that writes to the database of a site, or holds writes back.
#[derive(Debug, Clone, Serialize)]
pub struct ShownWriter {
    /// Its name.
    pub name: String,
    /// True if it is stopped, false if it runs; null if it is an outbox or could not be asked.
    pub stopped: Option<bool>,
    /// The number of writes in its outbox; null if it has none or could not be asked.
    pub pending: Option<u64>,
    /// The reason why it could not be asked.
    pub error: Option<String>,
}

/// Shows what the configuration says of sites and what their servers say, side by side.
///
/// A server that cannot be asked is a part of the report and no error.
///
/// # Errors
/// A site that is not configured.
pub async fn show_sites(ops: &Ops, order: SitesOrder) -> anyhow::Result<SiteShowReport> {
    let settings = ops.settings();
    let mut sites = Vec::new();
    for name in order.names(settings)? {
        sites.extend(shown(settings, name).await);
    }
    Ok(SiteShowReport { sites })
}

async fn shown(settings: &Settings, name: String) -> Option<ShownSite> {
    let configured = settings.sites.get(&name)?;
    let site =
        ShownSite { writers: writers(&name, configured).await, ..ShownSite::of(&name, configured) };
    Some(match Live::ask(settings, &name).await {
        Ok(live) => ShownSite {
            database: Some(live.site.database.to_string()),
            live: live.own().ok(),
            server_version: Some(live.identity.server_version.clone()),
            standby: live.identity.is_standby,
            fence: live.fence.as_ref().map(Fence::of),
            marker: live.located().and_then(|located| located.own_marker()).cloned(),
            kept: live.kept(),
            ..site
        },
        Err(error) => ShownSite { error: Some(Failure::of(&error).sentence()), ..site },
    })
}

impl ShownSite {
    /// The part that the configuration knows.
    fn of(name: &str, configured: &SiteSettings) -> Self {
        Self {
            site: name.to_owned(),
            database: None,
            api: configured.api.clone(),
            pinned: configured.identity.as_ref().map(SiteIdentity::from),
            live: None,
            server_version: None,
            standby: false,
            fence: None,
            marker: None,
            kept: Vec::new(),
            writers: Vec::new(),
            error: None,
        }
    }
}

/// Asks the writers of a site with their own commands.
async fn writers(site: &str, configured: &SiteSettings) -> Vec<ShownWriter> {
    let mut shown = Vec::new();
    for writer in &configured.writers {
        shown.push(asked(writer, &Hooked { site, run: "show" }).await);
    }
    shown
}

async fn asked(writer: &WriterTable, of: &Hooked<'_>) -> ShownWriter {
    let name = writer.name.clone();
    let mut shown = ShownWriter { name, stopped: None, pending: None, error: None };
    if writer.stopped.is_some() {
        match writer::is_stopped(writer, of).await {
            Answer::Yes => shown.stopped = Some(true),
            Answer::No => shown.stopped = Some(false),
            Answer::Unknown(reason) => shown.error = Some(reason),
        }
    }
    if writer.pending.is_some() {
        match writer::pending(writer, of).await {
            Ok(count) => shown.pending = Some(count),
            Err(error) => shown.error = Some(Failure::of(&error).sentence()),
        }
    }
    shown
}
