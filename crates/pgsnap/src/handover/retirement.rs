//! The end of a primary: its marker says behind its fence that the service has moved on.

use std::path::Path;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::fence::{Present, Site};
use crate::handover::LocatedDatabase;
use crate::marker::{Marker, MarkerRole};
use crate::restore::Obstacle;

impl Site {
    pub(crate) async fn retire(
        &self,
        record: Option<&Path>,
        marker: Marker,
        deadline: Instant,
    ) -> Result<()> {
        let identity = self.identify().await?;
        let is_retired = |located: &LocatedDatabase| {
            located.own_marker().is_some_and(|own| own.is_claim_of(&marker))
        };
        let Some(oid) = self.fenced(record).await? else {
            if identity.all().any(is_retired) {
                return Ok(());
            }
            return Err(self.cannot_retire("no fence stands around it", "fence it first"));
        };
        let present = identity.all().find(|located| located.oid == oid);
        if present.is_some_and(is_retired) {
            return Ok(());
        }
        let own = present.and_then(LocatedDatabase::own_marker);
        if let Some(own) = own.filter(|own| own.epoch >= marker.epoch) {
            let problem = format!("it is {} with epoch {} already", own.role, own.epoch);
            return Err(self.cannot_retire(problem, "find out which site is primary"));
        }
        self.mark(oid, marker, deadline).await
    }

    /// The number of the database behind the fence. Beside it, another one may have its name: that
    /// of the new primary on the same server.
    async fn fenced(&self, record: Option<&Path>) -> Result<Option<u32>> {
        if record.is_some() {
            return Ok(self.find(record).await?.map(|record| record.database_oid));
        }
        let standing = self.standing(self.database.name()).await?;
        match standing.as_slice() {
            [] => Ok(None),
            [fence] => Ok(Some(fence.record.database_oid)),
            several => {
                let names: Vec<&str> =
                    several.iter().map(|fence| fence.present.name.as_str()).collect();
                let reason = format!("several fenced databases have it: {}", names.join(", "));
                Err(Error::FenceRecord { reason })
            }
        }
    }

    async fn mark(&self, oid: u32, marker: Marker, deadline: Instant) -> Result<()> {
        let marker = self.written(marker, oid).await?;
        let Some(Present { name, state }) = Present::read(&self.session, oid).await? else {
            return Err(self.cannot_retire("it was dropped", "look at the server's databases"));
        };
        let statements = marker.write(&name, self.place(), state.comment.as_deref());
        self.transaction("the marker", &statements, deadline).await
    }

    fn cannot_retire(&self, problem: impl Into<String>, remedy: &str) -> Error {
        let database = self.database.name().to_owned();
        Error::CannotRetire { database, obstacles: vec![Obstacle::new(problem, remedy)] }
    }
}

impl Marker {
    /// Returns whether the marker is what this run would write, at whatever time.
    fn is_claim_of(&self, wanted: &Self) -> bool {
        self.role == MarkerRole::Retired
            && (self.epoch, &self.run, &self.site) == (wanted.epoch, &wanted.run, &wanted.site)
    }
}
