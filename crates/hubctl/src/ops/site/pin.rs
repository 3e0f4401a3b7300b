//! Pin a site to its server and database, in the file of the configuration.

use serde::Serialize;

use super::SiteIdentity;
use super::live::Live;
use crate::failure::Refusal;
use crate::ops::{Ops, Report, blocking};
use crate::settings;
use crate::site;

/// Which site to pin.
#[derive(Debug, Clone)]
pub struct PinOrder {
    /// The name of a configured site.
    pub site: String,
    /// Replaces a pin that differs.
    pub replace: bool,
}

impl PinOrder {
    /// Pins this site, unless it is pinned to something else.
    #[must_use]
    pub fn new(site: impl Into<String>) -> Self {
        Self { site: site.into(), replace: false }
    }
}

/// A pin that was planned or written.
#[derive(Debug, Clone, Serialize)]
pub struct PinReport {
    /// The site.
    pub site: String,
    /// The database, as `user@host:port/name`.
    pub database: String,
    /// False: nothing was changed.
    pub executed: bool,
    /// The file of the configuration.
    pub file: String,
    /// The server and the database that the site is.
    pub identity: SiteIdentity,
    /// The pin before; null if there was none.
    pub before: Option<SiteIdentity>,
}

impl Report for PinReport {
    const SCHEMA: &'static str = "hubctl.site-pin.v1";
}

impl PinReport {
    /// Returns true if the site is pinned to this server and database already.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.before.as_ref() == Some(&self.identity)
    }
}

/// Asks the server of a site which it is, and changes nothing.
///
/// # Errors
/// The site is pinned to something else and [`PinOrder::replace`] is not set; another site is
/// pinned to the same server and database; a site that is not configured; a server that cannot be
/// asked.
pub async fn plan_pin(ops: &Ops, order: PinOrder) -> anyhow::Result<PinReport> {
    let settings = ops.settings();
    let configured = site::configured(settings, &order.site)?;
    let Some(file) = &settings.file else {
        return Err(Refusal::usage("no configuration file was read").into());
    };
    let live = Live::ask(settings, &order.site).await?;
    let report = PinReport {
        database: live.site.database.to_string(),
        executed: false,
        file: file.display().to_string(),
        identity: live.own()?,
        before: configured.identity.as_ref().map(SiteIdentity::from),
        site: order.site,
    };
    if live.is_name_taken() {
        return Err(taken(&report.site, live.site.database.name()).into());
    }
    require_alone(ops, &report)?;
    match &report.before {
        Some(before) if !report.is_current() && !order.replace => {
            let PinReport { site, identity, .. } = &report;
            Err(Refusal::no(format!("{site} is pinned to {before}, and this is {identity}"))
                .hint(format!("if {site} was moved or restored, pin it with `hubctl site pin {site} --replace --execute`; otherwise check its address"))
                .into())
        }
        _ => Ok(report),
    }
}

/// Pins a site to the server and the database that it leads to now: writes them as `identity` into
/// its table of the configuration. Comments and order stay as they are.
///
/// # Errors
/// Those of [`plan_pin`]; a file that cannot be written.
pub async fn pin_site(ops: &Ops, order: PinOrder) -> anyhow::Result<PinReport> {
    let planned = plan_pin(ops, order).await?;
    let (file, site) = (planned.file.clone(), planned.site.clone());
    let identity = planned.identity.clone().into();
    blocking(move || settings::pin(file.as_ref(), &site, &identity)).await?;
    match planned.is_current() {
        true => ops.say(format_args!("{} was pinned already", planned.site)),
        false => ops.say(format_args!("{} is pinned to {}", planned.site, planned.identity)),
    }
    Ok(PinReport { executed: true, ..planned })
}

/// Refuses the identity of another site: two names of one database, or a physical copy of it.
fn require_alone(ops: &Ops, report: &PinReport) -> anyhow::Result<()> {
    let PinReport { site, identity, .. } = report;
    let is_twin = |pinned: &SiteIdentity| pinned == identity && identity.database_oid.is_some();
    let twin = ops.settings().sites.iter().find(|(name, other)| {
        *name != site && other.identity.as_ref().is_some_and(|it| is_twin(&it.into()))
    });
    match twin {
        Some((other, _)) => {
            let fact = format!("{other} is pinned to {identity} as well");
            Err(Refusal::no(fact)
                .hint(format!(
                    "both lead to one database, or to a physical copy of it: `hubctl site check` tells which; check the address of {site}"
                ))
                .into())
        }
        None => Ok(()),
    }
}

/// The refusal for a frozen site whose name belongs to another database now.
pub(super) fn taken(site: &str, name: &str) -> Refusal {
    Refusal::no(format!("{site} is frozen, and another database took the name {name} meanwhile"))
        .hint("rename or drop that one, or retire the frozen one")
}
