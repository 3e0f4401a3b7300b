//! A site as its server describes it.

use pgsnap::{Database, FenceRecord, Identity, LocatedDatabase};

use super::SiteIdentity;
use crate::fences::FenceFiles;
use crate::settings::Settings;
use crate::site::{Site, untold};

/// A site whose server was asked.
pub(in crate::ops) struct Live {
    pub(in crate::ops) site: Site,
    pub(in crate::ops) identity: Identity,
    /// The fence around the database.
    pub(in crate::ops) fence: Option<FenceRecord>,
}

impl Live {
    pub(in crate::ops) async fn ask(settings: &Settings, name: &str) -> anyhow::Result<Self> {
        let site = Site::resolve(settings, name).await?;
        let identity = pgsnap::identify(&site.database).await?;
        let fence = FenceFiles::of(settings, &site.label).find_any(&site.database).await?;
        Ok(Self { site, identity, fence })
    }

    /// The OID of the database, which a fence does not change.
    fn oid(&self) -> Option<u32> {
        let of_name = self.identity.database.as_ref().map(|located| located.oid);
        self.fence.as_ref().map(|record| record.database_oid).or(of_name)
    }

    /// The database by the name that it has now, with its marker.
    pub(in crate::ops) fn located(&self) -> Option<&LocatedDatabase> {
        let oid = self.oid()?;
        let mut all = self.identity.database.iter().chain(&self.identity.others);
        all.find(|located| located.oid == oid)
    }

    /// The other databases of its name: of earlier moves and restores.
    pub(in crate::ops) fn kept(&self) -> Vec<String> {
        let own = self.located().map(|located| located.oid);
        let others = self.identity.others.iter().filter(|other| Some(other.oid) != own);
        others.map(|other| other.name.clone()).collect()
    }

    /// The server and the database; an error if this role may not ask which server it is.
    pub(super) fn own(&self) -> anyhow::Result<SiteIdentity> {
        match &self.identity.system_identifier {
            Some(found) => {
                Ok(SiteIdentity { system_identifier: found.clone(), database_oid: self.oid() })
            }
            None => Err(untold(&self.site.label).into()),
        }
    }

    /// The database by the name that it has now.
    pub(super) fn database(&self) -> Database {
        let renamed = self.fence.as_ref().map(FenceRecord::fenced_name);
        self.site.database.with_name(renamed.unwrap_or(self.site.database.name()))
    }

    /// True if another database took the name while this one was behind its fence.
    pub(super) fn is_name_taken(&self) -> bool {
        let of_name = self.identity.database.as_ref().map(|located| located.oid);
        of_name.is_some() && of_name != self.oid()
    }
}
