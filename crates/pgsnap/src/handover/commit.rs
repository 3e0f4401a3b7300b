//! The commit point: one transaction of the shared catalogue that makes a prepared database the
//! primary.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::fence::{FROZEN, PAUSE, Present, Site, entering, in_the_way, inside, prepared};
use crate::handover::{
    HandedOver, Handover, HandoverState, Identity, LocatedDatabase, prepared_name,
};
use crate::marker::{Marker, MarkerRole};
use crate::name::quote_identifier;
use crate::restore::{Obstacle, kept_name, own_pattern};

/// The limit for the end of a failed transaction.
const ROLLING_BACK: Duration = Duration::from_secs(5);

/// A database by its present name and its number.
struct Place {
    name: String,
    oid: u32,
}

/// A handover that nothing stands in the way of.
struct Plan {
    /// The prepared database.
    prepared: Place,
    /// The database of the name, and the name it is kept under.
    replaced: Option<(Place, String)>,
    /// Without the time.
    marker: Marker,
}

/// The state of both databases before an attempt.
struct Occupation {
    /// A rename may succeed. Processes without a role may be autovacuum, which it ends by itself.
    is_clear: bool,
    /// Names all sessions and prepared transactions.
    error: Option<Error>,
}

impl Site {
    pub(crate) async fn hand_over(
        &self,
        order: &Handover,
        deadline: Instant,
    ) -> Result<HandedOver> {
        let identity = self.identify().await?;
        if let HandoverState::Done(done) = self.state_of(&identity, &order.run)? {
            return self.repeated(done, order);
        }
        let plan = self.plan_handover(&identity, order).await?;
        loop {
            let Occupation { is_clear, error } = self.occupation(&plan).await?;
            if is_clear && let Some(marker) = self.try_hand_over(&plan, deadline).await? {
                let kept = plan.replaced.map(|(_, kept)| kept);
                return Ok(HandedOver { marker, kept });
            }
            if Instant::now() >= deadline {
                return Err(error.unwrap_or_else(|| self.hidden_sessions()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn hidden_sessions(&self) -> Error {
        let by =
            vec!["a process that has ended meanwhile, or that this role cannot see".to_owned()];
        Error::StillInUse { database: self.database.name().to_owned(), by }
    }

    /// The state of a run, which is final under the lock: nothing of the run is on its way then.
    pub(crate) fn state_of(&self, identity: &Identity, run: &str) -> Result<HandoverState> {
        let unknown = |reason: String| Err(Error::Marker { reason });
        if identity.is_standby {
            return unknown("the server is a standby, which may not have them yet".to_owned());
        }
        let markers = || identity.all().filter_map(|located| located.own_marker());
        let is_done = |marker: &&Marker| marker.run == run && marker.role == MarkerRole::Primary;
        if let Some(marker) = markers().find(is_done) {
            let kept = kept_name(self.database.name(), run);
            let kept = identity.named(&kept).map(|kept| kept.name.clone());
            return Ok(HandoverState::Done(HandedOver { marker: marker.clone(), kept }));
        }
        let prepared = identity.named(&prepared_name(self.database.name(), run)).is_some();
        // A later claim may have replaced that of this run.
        match markers().find(|marker| marker.run.as_str() > run) {
            Some(later) if !prepared => unknown(format!(
                "run {} made a later claim, which may have replaced that of run {run}",
                later.run.escape_debug()
            )),
            _ => Ok(HandoverState::NotDone { prepared }),
        }
    }

    /// A run that has handed over already may be repeated, with the same order.
    fn repeated(&self, done: HandedOver, order: &Handover) -> Result<HandedOver> {
        if (done.marker.epoch, &done.marker.site) == (order.epoch, &order.site) {
            return Ok(done);
        }
        let Marker { epoch, site, .. } = &done.marker;
        let site = site.escape_debug();
        let problem = format!("this run handed it over already, to site {site} with epoch {epoch}");
        Err(self.refused(vec![Obstacle::new(problem, "begin another run")]))
    }

    async fn plan_handover(&self, identity: &Identity, order: &Handover) -> Result<Plan> {
        let name = self.database.name();
        let from = prepared_name(name, &order.run);
        let mut obstacles = self.obstacles(identity, order.epoch, &from);
        if self.standing(name).await?.iter().any(|fence| fence.present.name == name) {
            let problem = format!("a fence stands around {name}");
            obstacles.push(Obstacle::new(problem, "take the fence down first"));
        }
        let (Some(prepared), true) = (identity.named(&from), obstacles.is_empty()) else {
            return Err(self.refused(obstacles));
        };
        let kept = kept_name(name, &order.run);
        let replaced = identity.database.as_ref();
        Ok(Plan {
            prepared: Place { name: from, oid: prepared.oid },
            replaced: replaced.map(|old| (Place { name: name.to_owned(), oid: old.oid }, kept)),
            marker: Marker::new(order.epoch, MarkerRole::Primary, &order.site, &order.run),
        })
    }

    /// The obstacles that rights and markers tell of.
    fn obstacles(&self, identity: &Identity, epoch: u64, from: &str) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        if !self.creates_databases {
            obstacles.push(Obstacle::new(
                "this role may not rename a database without CREATEDB",
                "grant it with ALTER ROLE … CREATEDB, or connect as a superuser",
            ));
        }
        if identity.named(from).is_none() {
            obstacles
                .push(Obstacle::new(format!("there is no database {from}"), "prepare it first"));
        }
        let name = self.database.name();
        // Among the databases whose names were cut, some may be of another service.
        let is_certain = own_pattern(name, FROZEN).is_some();
        let is_of_service =
            |located: &&LocatedDatabase| is_certain || [name, from].contains(&&*located.name);
        for located in identity.all().filter(is_of_service) {
            if let Some(marker) = located.own_marker().filter(|own| own.epoch >= epoch) {
                obstacles.push(Obstacle::new(
                    format!(
                        "{} is {} with epoch {}, and this order has epoch {epoch}",
                        located.name, marker.role, marker.epoch
                    ),
                    "find out which site is primary, and order a higher epoch",
                ));
            }
        }
        obstacles
    }

    /// The marker with the database it is for, and the time.
    pub(crate) async fn written(&self, marker: Marker, oid: u32) -> Result<Marker> {
        let system_identifier = self.system_identifier.clone();
        Ok(Marker { system_identifier, database_oid: oid, at: self.now().await?, ..marker })
    }

    fn refused(&self, obstacles: Vec<Obstacle>) -> Error {
        Error::CannotHandOver { database: self.database.name().to_owned(), obstacles }
    }

    /// Looks for what keeps the databases from being renamed.
    async fn occupation(&self, plan: &Plan) -> Result<Occupation> {
        let replaced = plan.replaced.as_ref().map(|(old, _)| old);
        let mut found = Occupation { is_clear: true, error: None };
        for Place { name, oid } in replaced.into_iter().chain([&plan.prepared]) {
            let entering = entering(&self.session, *oid).await?;
            let inside = inside(&self.session, *oid).await?;
            let prepared = prepared(&self.session, name).await?;
            let has_sessions = inside.iter().any(|session| session.role.is_some());
            found.is_clear &= !has_sessions && entering.is_empty() && prepared.is_empty();
            if !(entering.is_empty() && inside.is_empty() && prepared.is_empty()) {
                found.error = Some(in_the_way(name, &inside, &entering, &prepared));
                break;
            }
        }
        Ok(found)
    }

    /// Hands over in one transaction. Returns the marker, or nothing while a session is in one of
    /// the databases.
    async fn try_hand_over(&self, plan: &Plan, deadline: Instant) -> Result<Option<Marker>> {
        self.begin("the handover", deadline).await?;
        match self.end(self.rename_both(plan).await).await {
            Ok(()) => {}
            // Object in use; a lock that was not to be had in time.
            Err(error) if matches!(error.sqlstate(), Some("55006" | "55P03")) => return Ok(None),
            Err(error) => return Err(error),
        }
        let (marker, statements) = self.end(self.marking(plan).await).await?;
        let sql = format!("{};\nCOMMIT", statements.join(";\n"));
        match self.session.execute("the commit of the handover", &sql).await {
            Ok(()) => Ok(Some(marker)),
            // A session that can still roll back has not committed.
            Err(error) if self.rolls_back().await => Err(error),
            Err(error) => Err(self.unknown(&plan.marker.run, error)),
        }
    }

    async fn rename_both(&self, plan: &Plan) -> Result<()> {
        let rename = |from: &str, to: &str| {
            format!("ALTER DATABASE {} RENAME TO {};", quote_identifier(from), quote_identifier(to))
        };
        let old = plan.replaced.as_ref().map(|(old, kept)| rename(&old.name, kept));
        let new = rename(&plan.prepared.name, self.database.name());
        self.session.execute("the handover", &(old.unwrap_or_default() + &new)).await
    }

    /// The marker and the statements that set it, if the databases that were renamed are those of
    /// the plan. From the rename to the commit they are locked.
    async fn marking(&self, plan: &Plan) -> Result<(Marker, Vec<String>)> {
        let name = self.database.name();
        let kept = plan.replaced.as_ref().map(|(old, kept)| (kept.as_str(), old.oid));
        for (name, oid) in kept.into_iter().chain([(name, plan.prepared.oid)]) {
            if self.oid(name).await? != Some(oid) {
                let problem = format!("another database took the place of {name} meanwhile");
                let remedy = "find out who creates and renames databases here, and try again";
                return Err(self.refused(vec![Obstacle::new(problem, remedy)]));
            }
        }
        let present = Present::read(&self.session, plan.prepared.oid).await?;
        let comment = present.and_then(|present| present.state.comment);
        let marker = self.written(plan.marker.clone(), plan.prepared.oid).await?;
        let statements = marker.write(name, self.place(), comment.as_deref());
        Ok((marker, statements))
    }

    async fn rolls_back(&self) -> bool {
        let ended = self.session.execute("the end of the attempt", "ROLLBACK");
        matches!(tokio::time::timeout(ROLLING_BACK, ended).await, Ok(Ok(())))
    }

    pub(crate) fn unknown(&self, run: &str, source: Error) -> Error {
        let database = self.database.name().to_owned();
        Error::HandoverUnknown { database, run: run.to_owned(), source: Box::new(source) }
    }
}
