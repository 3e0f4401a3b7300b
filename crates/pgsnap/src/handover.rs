//! The change of the primary: a prepared copy takes the real name in one transaction.
//!
//! # Roles
//! Each database of a service may carry a [`Marker`]: the number of its claim (the epoch), its role
//! and its site. The one with the highest epoch and the role `primary` is where the service writes.
//! A marker names the database that it was written for, so one that came along with a copy is
//! recognised as stale. [`identify`] reads the markers without entering a database.
//!
//! # Order of steps
//! 1. Fence the old primary ([`fence`](crate::fence)).
//! 2. Make and prove a copy under the name of [`prepared_name`], on the server of the new primary,
//!    by a restore or a copy to that name, or with [`clone_database`] on the same server. Give it
//!    the limit, privileges and settings that the service needs: the handover changes only its name
//!    and marker.
//! 3. [`hand_over`]. Before its commit the old primary may be unfenced; after it, never.
//! 4. [`retire`] the old primary, behind its fence.
//!
//! # Guarantees
//! * The commit point is one transaction of the shared catalogue: the database of the name becomes
//!   `NAME__before_RUN`, the prepared one becomes `NAME`, and the marker stands on it. All happens
//!   or nothing does.
//! * After a crash, a kill or a cut connection, [`find_handover`] tells whether it happened. Its
//!   answer is final: the transaction holds an advisory lock, which is waited for, and the server
//!   ends a session whose client vanished within 15 s.
//! * `COMMIT` is on the disk of the server before it counts as done, whatever `synchronous_commit`
//!   says. A standby that is promoted may still lack it, as it may lack rows.
//!
//! # Limits
//! A role that is no superuser must own both databases and have CREATEDB. A database that
//! `pg_upgrade` made has another system identifier, so its marker is stale.
//!
//! Tested on PostgreSQL 14, 15, 16, 17 and 18.

mod cloning;
mod commit;
mod identity;
mod retirement;

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::fence::{PAUSE, Site, in_the_way, inside, prepared};
use crate::marker::{Marker, MarkerRole};
use crate::name::quote_identifier;
use crate::restore::{refusal, suffixed};

pub use cloning::clone_database;
pub use identity::{Identity, LocatedDatabase};

/// A prepared database.
pub(crate) const NEXT: &str = "__next_";

/// Names the sessions of this module to the server.
const PURPOSE: &str = "handover";

/// The limit for a lock or for sessions, where the caller names none.
const LIMIT: Duration = Duration::from_secs(30);

/// The time above a limit within which a server answers that answers at all: renames wait for 5 s
/// each, and the server's own limits end a statement after 20 s.
const MARGIN: Duration = Duration::from_secs(30);

/// Limits of a session that holds the lock. A client that vanished frees it soon, so that others
/// can ask whether it has committed.
const LIMITS: &str = "SET statement_timeout = '20s'; SET idle_session_timeout = '15s';
    SET idle_in_transaction_session_timeout = '15s'";

/// The limit for dropping the files of a large database.
const DROPPING: Duration = Duration::from_secs(600);

/// An order to hand a service over to a prepared database.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Handover {
    /// The run that prepared the database: 14 digits and 4 hexadecimal digits.
    pub run: String,
    /// The site of the new primary.
    pub site: String,
    /// The epoch of the new primary, which must be higher than any before.
    pub epoch: u64,
    /// The limit for sessions to leave both databases. They are not ended.
    pub timeout: Duration,
}

impl Handover {
    /// An order of this run.
    pub fn new(
        run: impl Into<String>,
        site: impl Into<String>,
        epoch: u64,
        timeout: Duration,
    ) -> Self {
        Self { run: run.into(), site: site.into(), epoch, timeout }
    }
}

/// The result of a handover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HandedOver {
    /// The marker of the new primary.
    pub marker: Marker,
    /// The present name of the database that had the name before, if there was one and it exists.
    pub kept: Option<String>,
}

/// The answer of the server to the question whether a run has handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HandoverState {
    /// The transaction was committed.
    Done(HandedOver),
    /// The transaction was not committed, and never will be by the attempts so far.
    NotDone {
        /// The prepared database exists.
        prepared: bool,
    },
}

/// The name under which a run prepares a database: `NAME__next_RUN`, with `NAME` cut so that all
/// has at most 63 bytes.
#[must_use]
pub fn prepared_name(name: &str, run: &str) -> String {
    suffixed(name, NEXT, run)
}

/// Reads the markers of the databases of this name, and of those that fences, restores and
/// handovers derived from it. Enters none of them and changes nothing.
///
/// # Errors
/// Connection errors and whatever the server answers. [`Error::Marker`] for a marker of another
/// version.
pub async fn identify(database: &Database) -> Result<Identity> {
    let identity = async { Site::connect(database, PURPOSE).await?.identify().await };
    within(database, LIMIT + MARGIN, identity).await
}

/// Makes the prepared database of a run the primary, in one transaction.
///
/// The database of the name, if there is one, is kept as `NAME__before_RUN`. Limit, privileges and
/// settings of the prepared database stay as they are. The call may be repeated: a run that has
/// handed over returns the same result again.
///
/// # Errors
/// [`Error::CannotHandOver`] lists all obstacles: no prepared database, a database of the service
/// that is marked with the same or a higher epoch, a fence around the name. [`Error::StillInUse`]
/// names the sessions that did not leave in time. After both, and after errors of the server,
/// nothing has changed. [`Error::HandoverUnknown`] where the answer to the commit did not arrive:
/// ask [`find_handover`]. [`Error::FenceRunning`] while another run works on the same database.
pub async fn hand_over(target: &Database, order: &Handover) -> Result<HandedOver> {
    require_run(&order.run)?;
    let (deadline, limit) = (Instant::now() + order.timeout, order.timeout + MARGIN);
    let site = within(target, limit, locked(target, deadline)).await?;
    let work = async {
        let handed_over = site.hand_over(order, deadline).await;
        site.unlock(handed_over).await
    };
    within(target, limit, work).await.map_err(|error| match error {
        // It is not known how far it came.
        Error::ConnectTimeout { .. } => site.unknown(&order.run, error),
        error => error,
    })
}

/// Asks the server whether a run has handed over. Waits up to 30 s for an attempt that is still
/// under way, so that the answer is final.
///
/// # Errors
/// Errors mean that the question could not be asked, and neither yes nor no:
/// [`Error::FenceRunning`] while an attempt is under way; [`Error::Marker`] where a later run has
/// replaced the markers, or the server is a standby; connection errors.
pub async fn find_handover(target: &Database, run: &str) -> Result<HandoverState> {
    require_run(run)?;
    let work = async {
        let site = locked(target, Instant::now() + LIMIT).await?;
        let state = async { site.state_of(&site.identify().await?, run) };
        site.unlock(state.await).await
    };
    within(target, LIMIT + MARGIN, work).await
}

/// Marks the old primary as retired, behind its fence, which is found as in
/// [`find_fence`](crate::find_fence).
///
/// `database` has the real name, `record` is the file that the fence wrote. Of `marker`, the epoch,
/// the site and the run are written. The call may be repeated. Taking the fence down leaves the
/// marker.
///
/// # Errors
/// [`Error::CannotRetire`] where no fence stands around the database, or it has a marker with the
/// same or a higher epoch. [`Error::FenceRecord`], [`Error::FenceRunning`], errors of the server.
pub async fn retire(database: &Database, record: Option<&Path>, marker: Marker) -> Result<()> {
    let marker = Marker { role: MarkerRole::Retired, ..marker };
    let work = async {
        let deadline = Instant::now() + LIMIT;
        let site = locked(database, deadline).await?;
        let retired = site.retire(record, marker, deadline).await;
        site.unlock(retired).await
    };
    within(database, LIMIT + MARGIN, work).await
}

/// Drops the prepared database of a run, with the sessions in it. Returns false where there is
/// none. No other database is ever dropped.
///
/// # Errors
/// [`Error::Preflight`] where that database is marked as primary. [`Error::StillInUse`] names what
/// kept it from being dropped for 30 s. [`Error::FenceRunning`], errors of the server.
pub async fn drop_prepared(target: &Database, run: &str) -> Result<bool> {
    require_run(run)?;
    let work = async {
        let deadline = Instant::now() + LIMIT;
        let site = locked(target, deadline).await?;
        let dropped = site.drop_prepared(run, deadline).await;
        site.unlock(dropped).await
    };
    within(target, LIMIT + DROPPING + MARGIN, work).await
}

impl Site {
    async fn drop_prepared(&self, run: &str, deadline: Instant) -> Result<bool> {
        let name = prepared_name(self.database.name(), run);
        let identity = self.identify().await?;
        let Some(located) = identity.named(&name) else {
            return Ok(false);
        };
        if located.own_marker().is_some_and(|own| own.role == MarkerRole::Primary) {
            let problem = format!("database {name} is marked as primary");
            return Err(refusal(problem, "find out how it came by this name"));
        }
        let patience = format!("SET statement_timeout = {}", DROPPING.as_millis());
        self.session.execute("the session settings", &patience).await?;
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote_identifier(&name));
        loop {
            match self.session.execute("dropping the prepared database", &sql).await {
                Ok(()) => return Ok(true),
                // Object in use: a session that is ending, a prepared transaction, a slot.
                Err(error) if error.sqlstate() != Some("55006") => return Err(error),
                Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    let inside = inside(&self.session, located.oid).await?;
                    let prepared = prepared(&self.session, &name).await?;
                    let is_named = !(inside.is_empty() && prepared.is_empty());
                    return Err(match is_named {
                        true => in_the_way(&name, &inside, &[], &prepared),
                        false => error,
                    });
                }
            }
        }
    }
}

/// A session that holds the lock of this name: nothing else hands it over or fences it meanwhile.
async fn locked(database: &Database, deadline: Instant) -> Result<Site> {
    let site = Site::connect(database, PURPOSE).await?;
    site.session.execute("the session settings", LIMITS).await?;
    site.lock(deadline).await?;
    Ok(site)
}

/// The identifier of a run becomes a part of names.
fn require_run(run: &str) -> Result<()> {
    const DIGITS: usize = 14;
    let is_stamp = |(at, byte): (usize, u8)| match at < DIGITS {
        true => byte.is_ascii_digit(),
        false => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    };
    if run.len() == DIGITS + 4 && run.bytes().enumerate().all(is_stamp) {
        return Ok(());
    }
    Err(Error::InvalidRun { run: run.to_owned() })
}

/// Ends a wait for a server that says nothing any more: a network may swallow its answers.
async fn within<T>(
    database: &Database,
    limit: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(Error::ConnectTimeout { target: database.to_string(), seconds: limit.as_secs() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prepared_name_fits_and_ends_with_its_run() {
        let run = "20261121161200ab12";
        assert_eq!(prepared_name("hub", run), "hub__next_20261121161200ab12");
        let long = prepared_name(&"ä".repeat(40), run);
        assert!(long.len() <= 63 && long.ends_with("__next_20261121161200ab12"), "{long}");
        // Refused later, and no panic here.
        assert!(prepared_name("hub", &"1".repeat(80)).contains("__next_1"));
    }

    #[test]
    fn only_the_identifier_of_a_run_becomes_part_of_a_name() {
        assert!(require_run("20261121161200ab12").is_ok());
        for run in ["", "20261121161200ab1", "20261121161200AB12", "2026112116120xab12", "ä", "\0"]
        {
            let error = require_run(run).unwrap_err();
            assert_eq!(error.class(), crate::ErrorClass::Usage, "{run}");
        }
        assert!(require_run("20261121161200ab12; --").is_err());
    }
}
