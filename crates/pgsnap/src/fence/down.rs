//! Taking a fence down: one transaction, computed from the catalogue, and a look at the result.

use std::path::Path;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::fence::record::{FenceKind, FenceRecord};
use crate::fence::sessions;
use crate::fence::site::{PAUSE, Site};
use crate::fence::state::Present;
use crate::fence::statements::take_down;
use crate::fence::{Unfenced, no_such};

impl Site {
    pub(crate) async fn unfence(&self, path: Option<&Path>, deadline: Instant) -> Result<Unfenced> {
        let Some(record) = self.find(path).await? else {
            return Ok(Unfenced { record: None, lost: Vec::new(), read_only: Vec::new() });
        };
        let lost = self.take_down(&record, deadline).await?;
        let read_only = match record.kind {
            FenceKind::Soft => sessions::inside(&self.session, record.database_oid).await?,
            FenceKind::Hard => Vec::new(),
        };
        Ok(Unfenced { record: Some(record), lost, read_only })
    }

    /// The fence around the database; `None` where none stands. The database must exist.
    pub(crate) async fn find(&self, path: Option<&Path>) -> Result<Option<FenceRecord>> {
        let file = path.map(FenceRecord::load).transpose()?.flatten();
        match self.record(file).await? {
            Some(record) => Ok(Some(record)),
            None if self.oid(self.database.name()).await?.is_some() => Ok(None),
            None => Err(no_such(&self.database)),
        }
    }

    /// The record that counts: the file's, the server's where there is no file.
    async fn record(&self, file: Option<FenceRecord>) -> Result<Option<FenceRecord>> {
        let Some(file) = file else {
            return Ok(self.choose(None).await?.map(|standing| standing.record));
        };
        self.require_own(&file)?;
        let Some(present) = Present::read(&self.session, file.database_oid).await? else {
            let reason = format!("the database that it is of ({}) is gone", file.database_oid);
            return Err(Error::FenceRecord { reason });
        };
        let settings = present.state.own_settings();
        let comment = present.state.comment.as_deref();
        match FenceRecord::find(settings, comment, file.database_oid)? {
            Some(other) if other.id != file.id => {
                let reason = format!("another fence stands around the database ({})", other.id);
                Err(Error::FenceRecord { reason })
            }
            Some(standing) => Ok(Some(standing)),
            // The mark was removed by hand, or the fence was never put up, or is down already.
            None if present.name == file.fenced_name() && file.frozen.is_some() => Ok(Some(file)),
            None if is_closed(&present, &file) => Ok(Some(file)),
            None => Ok(None),
        }
    }

    fn require_own(&self, file: &FenceRecord) -> Result<()> {
        let refused = |reason| Err(Error::FenceRecord { reason });
        if file.database != self.database.name() {
            return refused(format!("it is of database {}", file.database));
        }
        match (&file.system_identifier, &self.system_identifier) {
            (Some(there), Some(here)) if there != here => {
                refused(format!("it is of another server ({there}, this is {here})"))
            }
            _ => Ok(()),
        }
    }

    /// Restores the recorded properties. Returns those that are lost because their role was
    /// dropped.
    pub(crate) async fn take_down(
        &self,
        record: &FenceRecord,
        deadline: Instant,
    ) -> Result<Vec<String>> {
        let lost = loop {
            let error = match self.try_take_down(record, deadline).await {
                Ok(lost) => break lost,
                Err(error) => error,
            };
            // Object in use: readers behind the fence, such as a dump that ended just now.
            if error.sqlstate() != Some("55006") {
                return Err(error);
            }
            if Instant::now() >= deadline {
                return Err(self.still_inside(record).await?);
            }
            tokio::time::sleep(PAUSE).await;
        };
        let database = record.database.clone();
        let Some(now) = Present::read(&self.session, record.database_oid).await? else {
            let differences = vec!["it was dropped".to_owned()];
            return Err(Error::FenceDiffers { database, differences });
        };
        let mut differences = now.state.differences(&record.before);
        if now.name != record.database {
            differences.push(format!("its name is {}", now.name));
        }
        if differences.is_empty() || !lost.is_empty() {
            return Ok(lost);
        }
        Err(Error::FenceDiffers { database, differences })
    }

    async fn try_take_down(&self, record: &FenceRecord, deadline: Instant) -> Result<Vec<String>> {
        let context = "the end of the fence";
        let Some(now) = Present::read(&self.session, record.database_oid).await? else {
            return Err(no_such(&self.database));
        };
        let down = take_down(record, &now, &self.roles().await?)?;
        if !down.statements.is_empty() {
            self.transaction(context, &down.statements, deadline).await?;
        }
        Ok(down.lost)
    }

    async fn still_inside(&self, record: &FenceRecord) -> Result<Error> {
        let oid = record.database_oid;
        let entering = sessions::entering(&self.session, oid).await?;
        let inside = sessions::inside(&self.session, oid).await?;
        let name = record.fenced_name();
        let prepared = sessions::prepared(&self.session, name).await?;
        Ok(sessions::in_the_way(name, &inside, &entering, &prepared))
    }
}

/// Returns whether the properties of a database that has lost its record are still those of this
/// fence.
fn is_closed(present: &Present, record: &FenceRecord) -> bool {
    let now = &present.state;
    let is_read_only = now.setting(0, crate::fence::state::READ_ONLY) == Some("on");
    let is_shut =
        record.kind == FenceKind::Soft || record.admits.is_some() || now.connection_limit == 0;
    is_read_only && is_shut && !now.differences(&record.before).is_empty()
}
