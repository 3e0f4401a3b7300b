//! A frozen site: its database has another name until it is thawed.

use std::borrow::Cow;

use pgsnap::{Database, FenceRecord};

use super::Site;
use crate::console::Console;
use crate::fences::FenceFiles;
use crate::settings::Settings;

impl Site {
    /// Returns the site with its database where it can be read, and says so if that is behind a
    /// fence: the server has no database of the real name then.
    pub(crate) async fn readable(
        self,
        settings: &Settings,
        console: &dyn Console,
    ) -> anyhow::Result<Self> {
        match pgsnap::query_scalar(&self.database, "SELECT 1").await {
            Err(error) if error.sqlstate() == Some("3D000") => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(self),
        }
        let files = FenceFiles::of(settings, &self.label);
        match pgsnap::find_fence(&self.database, Some(files.record())).await {
            Ok(Some(record)) => {
                let (label, behind) = (&self.label, record.fenced_name());
                console.say(format_args!("{label} is frozen; reading {behind}"));
                Ok(self.behind(record))
            }
            Err(error @ pgsnap::Error::FenceRecord { .. }) => Err(files.naming(error)),
            // There is no such database, as the operation will find and say.
            Ok(None) | Err(_) => Ok(self),
        }
    }

    /// Returns the site with its database behind this fence.
    pub(crate) fn behind(self, record: FenceRecord) -> Self {
        Self {
            database: self.database.with_name(record.fenced_name()),
            fence: Some(record),
            ..self
        }
    }

    /// The fence that the database is behind.
    pub(crate) fn fence(&self) -> Option<&FenceRecord> {
        self.fence.as_ref()
    }

    /// The real name of the database.
    pub(crate) fn name(&self) -> &str {
        self.fence.as_ref().map_or(self.database.name(), |record| &record.database)
    }

    /// The database by its real name, which clients and the server's other databases know.
    pub(crate) fn by_real_name(&self) -> Cow<'_, Database> {
        match &self.fence {
            None => Cow::Borrowed(&self.database),
            Some(record) => Cow::Owned(self.database.with_name(&record.database)),
        }
    }
}
