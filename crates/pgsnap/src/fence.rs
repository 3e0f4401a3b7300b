//! A fence around a database: it keeps every row as it is, and comes down without a trace.
//!
//! # Hard and soft
//! A **hard** fence ([`fence`] by default) sets the default of transactions to read-only, for the
//! database and for every role with its own value, sets the connection limit to 0, revokes CONNECT
//! from all roles, ends the sessions, and renames the database to `NAME__frozen_ID`. The rename is
//! the proof: PostgreSQL refuses it while a session or a prepared transaction is in the database.
//! From then on no client finds the database by its name, superusers included. Use
//! [`Fenced::database`] to read behind the fence.
//!
//! A **soft** fence ([`FenceOptions::allow_reads`]) sets the read-only defaults and ends the
//! sessions once, so that clients come back with these defaults. It stops well-behaved clients and
//! proves nothing: any client can begin a transaction that writes.
//! [`prove_quiet`](crate::prove_quiet) tells whether one did, and
//! [`hold_writes`](crate::hold_writes) makes writers wait for a while.
//!
//! # Guarantees
//! * The former state is on the disk before anything changes. The server also holds it as long as
//!   the fence stands: in a setting of the database, or in a line of its comment where this role is
//!   no superuser. Either is enough for [`unfence`].
//! * Everything but the rename is one transaction, and so is the way back. A process killed between
//!   any two statements leaves a database that [`unfence`] restores, or that [`fence`] goes on
//!   with.
//! * The way back is exact: connection limit, defaults, name and comment are as they were, and
//!   privileges are equal as a set. PostgreSQL's built-in privileges print as if they had been
//!   granted. Properties of roles that were dropped meanwhile are named.
//! * Dumps and copies of a fenced database have the properties that it had before.
//!
//! # Limits
//! Queued writes of clients stay with the clients. A client whose session ends in the middle of a
//! COMMIT cannot know the outcome, and may repeat the write later. Hot standbys serve readers until
//! they replay the rename. Enabled subscriptions and prepared transactions write without a session,
//! so the fence is refused while one exists.
//!
//! A role that is no superuser must own the database and have CREATEDB and `pg_signal_backend`. It
//! stays admitted itself, sets no connection limit, and cannot set the defaults of other roles; the
//! plan says so.
//!
//! Tested on PostgreSQL 14, 15, 16, 17 and 18.

mod down;
mod lifted;
mod plan;
mod record;
mod sessions;
mod site;
mod state;
mod statements;
mod up;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::restore::Obstacle;

pub(crate) use lifted::{LOCAL, Lifted, Properties};
pub use plan::FencePlan;
pub use record::{DatabaseState, FENCE_FORMAT, FenceKind, FenceRecord, Grant, RoleName, Settings};
pub(crate) use record::{FROZEN, RECORD};
pub use sessions::SessionInfo;
pub(crate) use sessions::{entering, in_the_way, inside, prepared};
pub(crate) use site::{LIMITS, PAUSE, Site, maintenance};
pub(crate) use state::Present;
pub(crate) use statements::RecordPlace;

/// Options of [`fence`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FenceOptions {
    /// Let readers go on with a soft fence, which proves nothing by itself. Default: no.
    pub allow_reads: bool,
    /// The limit for the sessions to end and the database to be renamed. After it, the fence is
    /// taken down again. Default: 30 s.
    pub timeout: Duration,
}

impl Default for FenceOptions {
    fn default() -> Self {
        Self { allow_reads: false, timeout: Duration::from_secs(30) }
    }
}

impl FenceOptions {
    fn kind(&self) -> FenceKind {
        if self.allow_reads { FenceKind::Soft } else { FenceKind::Hard }
    }
}

/// Options of [`unfence`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UnfenceOptions {
    /// The file that [`fence`] wrote. If it is missing, the record on the server is used.
    pub record: Option<PathBuf>,
    /// The limit for sessions to leave a renamed database. They are not ended. Default: 30 s.
    pub timeout: Duration,
}

impl Default for UnfenceOptions {
    fn default() -> Self {
        Self { record: None, timeout: Duration::from_secs(30) }
    }
}

/// A fence that stands.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Fenced {
    /// The state before, as it is in the file and on the server.
    pub record: FenceRecord,
    /// Sessions that were ended.
    pub ended: Vec<SessionInfo>,
    /// An earlier run had begun this fence.
    pub resumed: bool,
}

impl Fenced {
    /// Returns the database behind the fence: the same server, under its present name.
    #[must_use]
    pub fn database(&self, outside: &Database) -> Database {
        outside.with_name(self.record.fenced_name())
    }
}

/// The end of a fence.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Unfenced {
    /// The fence that was taken down; `None` where none stood.
    pub record: Option<FenceRecord>,
    /// Parts of the former state that could not be brought back, because their role was dropped.
    pub lost: Vec<String>,
    /// Sessions that began behind a soft fence and stay read-only until they reconnect.
    pub read_only: Vec<SessionInfo>,
}

/// Plans a fence: what it would do, and the obstacles. Changes nothing.
///
/// # Errors
/// Connection errors; [`Error::CannotFence`] where there is no such database. Other obstacles are
/// no errors here: see [`FencePlan::obstacles`].
pub async fn plan_fence(database: &Database, options: &FenceOptions) -> Result<FencePlan> {
    let site = Site::connect(database, PURPOSE).await?;
    let Some(mut plan) = site.plan_by_name(options.kind()).await? else {
        return Err(no_such(database));
    };
    let standing = site.standing(database.name()).await?;
    let of_this = |other: &&site::Standing| other.record.database_oid == plan.record.database_oid;
    if let Some(other) = standing.iter().find(of_this) {
        let problem = format!("the database is fenced already ({})", other.record.id);
        plan.obstacles.push(Obstacle::new(problem, "take that fence down first"));
    }
    Ok(plan)
}

/// Finds the fence around database `database.name()`, by its real name. Changes nothing.
///
/// A fence that was begun and not finished is found as well. `record` is the file that [`fence`]
/// wrote; if it is missing, the record on the server is used.
///
/// # Errors
/// Connection errors; [`Error::CannotFence`] where there is no such database;
/// [`Error::FenceRecord`] where the record is of something else or ambiguous.
pub async fn find_fence(database: &Database, record: Option<&Path>) -> Result<Option<FenceRecord>> {
    Site::connect(database, PURPOSE).await?.find(record).await
}

/// Fences database `database.name()`, and returns when the fence stands.
///
/// The former state is written to the file `record`, and is on the disk, before anything changes.
/// The call may be repeated, also after its process was killed: a fence that was begun is finished,
/// and one that stands is left as it is. A file of another fence is never replaced.
///
/// # Errors
/// [`Error::CannotFence`] lists all obstacles. [`Error::NotFenced`] where sessions did not leave in
/// time or the server refused a step; it says whether everything is as it was.
/// [`Error::FenceRecord`] where the file or the server holds the record of something else.
/// [`Error::FenceRunning`] while another run works on the same database.
pub async fn fence(database: &Database, record: &Path, options: &FenceOptions) -> Result<Fenced> {
    let deadline = Instant::now() + options.timeout;
    let site = Site::connect(database, PURPOSE).await?;
    site.lock(deadline).await?;
    let fenced = site.fence(record, options.kind(), deadline).await;
    site.unlock(fenced).await
}

/// Takes down the fence around database `database.name()`, by its real name.
///
/// The call may be repeated; without a fence it does nothing. The file of the record stays. If
/// another database took the name meanwhile, the server refuses the rename and nothing changes.
///
/// # Errors
/// [`Error::StillInUse`] names the sessions behind the fence that did not leave in time.
/// [`Error::FenceRecord`] where the record is missing or ambiguous. [`Error::FenceDiffers`] where
/// the database has another state afterwards than the record says. Errors of the server.
pub async fn unfence(database: &Database, options: &UnfenceOptions) -> Result<Unfenced> {
    let deadline = Instant::now() + options.timeout;
    let site = Site::connect(database, PURPOSE).await?;
    site.lock(deadline).await?;
    let unfenced = site.unfence(options.record.as_deref(), deadline).await;
    site.unlock(unfenced).await
}

/// Names the sessions of this module to the server.
const PURPOSE: &str = "fence";

fn no_such(database: &Database) -> Error {
    let name = database.name();
    Error::CannotFence {
        database: name.to_owned(),
        obstacles: vec![Obstacle::new(
            format!("there is no database {name} on the server, and none that a fence renamed"),
            "check the name of the database and the address of the server",
        )],
    }
}
