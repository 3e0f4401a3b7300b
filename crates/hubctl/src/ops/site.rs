//! Sites: what the configuration says of them, and what their servers say.

mod check;
mod live;
mod pin;
mod show;

use std::fmt;

use serde::Serialize;

pub use self::check::{
    CheckedPair, CheckedSite, SiteCheckReport, SiteFinding, SiteVerdict, check_sites,
};
pub(super) use self::live::Live;
pub use self::pin::{PinOrder, PinReport, pin_site, plan_pin};
pub use self::show::{ShownSite, ShownWriter, SiteShowReport, show_sites};
use crate::failure::Refusal;
use crate::settings::{IdentityTable, Settings};
use crate::site;

/// The sites to ask.
#[derive(Debug, Clone, Default)]
pub struct SitesOrder {
    /// The name of a configured site; without one, all of them.
    pub site: Option<String>,
}

impl SitesOrder {
    /// The names of the sites, in the order of the configuration.
    fn names(self, settings: &Settings) -> anyhow::Result<Vec<String>> {
        if let Some(name) = self.site {
            site::configured(settings, &name)?;
            return Ok(vec![name]);
        }
        if settings.sites.is_empty() {
            let hint = "add [sites.NAME] to hubctl.toml";
            return Err(Refusal::usage("no site is configured").hint(hint).into());
        }
        Ok(settings.sites.keys().cloned().collect())
    }
}

/// The server and the database that a site is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteIdentity {
    /// The system identifier of the server, which its physical copies have as well.
    pub system_identifier: String,
    /// The OID of the database, which a move or a restore changes; null before the first one.
    pub database_oid: Option<u32>,
}

impl fmt::Display for SiteIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system {}", self.system_identifier)?;
        match self.database_oid {
            Some(oid) => write!(f, ", database {oid}"),
            None => Ok(()),
        }
    }
}

impl From<&IdentityTable> for SiteIdentity {
    fn from(table: &IdentityTable) -> Self {
        let IdentityTable { system_identifier, database_oid } = table.clone();
        Self { system_identifier, database_oid }
    }
}

impl From<SiteIdentity> for IdentityTable {
    fn from(identity: SiteIdentity) -> Self {
        let SiteIdentity { system_identifier, database_oid } = identity;
        Self { system_identifier, database_oid }
    }
}
