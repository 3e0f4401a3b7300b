//! Where the service is: by the journal, by the databases, and by its clients.

mod judgement;
mod moves;
mod places;

use jiff::Timestamp;
use serde::Serialize;

use self::judgement::Judgement;
use super::{Fence, Ops, Report};
use crate::settings::Settings;

/// The state of the service and of its moves.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// True if everything that was asked names one primary, false if not; null if something could
    /// not be asked and nothing else is wrong.
    pub agreed: Option<bool>,
    /// The site that is the primary; null if that is not known.
    pub primary: Option<String>,
    /// The primary by the journal: the target of the newest cutover that passed its commit point.
    pub by_journal: Option<String>,
    /// The primary by the databases themselves.
    pub by_databases: Option<String>,
    /// The site that answers at the clients' address.
    pub by_clients: Option<String>,
    /// The newest cutover of the journal.
    pub run: Option<StatusRun>,
    /// The sites.
    pub sites: Vec<StatusSite>,
    /// The disagreements.
    pub problems: Vec<String>,
    /// The questions that could not be asked, and why.
    pub unasked: Vec<String>,
    /// The effect of `hubctl cutover --execute`.
    pub next_cutover: String,
    /// The effect of `hubctl rollback --execute`.
    pub next_rollback: String,
}

impl Report for StatusReport {
    const SCHEMA: &'static str = "hubctl.status.v1";
}

/// A cutover, as the journal tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusRun {
    /// Its id.
    pub id: String,
    /// The site that is left.
    pub from: String,
    /// The site that takes over.
    pub to: String,
    /// The way of the rows: `offline` or `delta`.
    pub mode: String,
    /// The epoch that begins with the commit point.
    pub epoch: u64,
    /// The part of its life that it is in.
    pub phase: StatusPhase,
    /// True once it has passed its commit point.
    pub committed: bool,
    /// The time it was begun, in RFC 3339.
    pub begun_at: Option<String>,
    /// The step of the newest record.
    pub step: Option<String>,
    /// The reason why the newest step did not succeed.
    pub trouble: Option<String>,
    /// The beginning of the time in which clients are away, in RFC 3339; null while they are not.
    pub frozen_since: Option<String>,
    /// The end of the time that they may be away.
    pub frozen_until: Option<String>,
    /// True once that time is over.
    pub overdue: bool,
}

impl StatusRun {
    /// Returns true if the commit point may or may not have been passed.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.phase == StatusPhase::Committing
    }
}

/// A part of the life of a cutover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusPhase {
    /// On the way to the commit point.
    Forward,
    /// The commit point may or may not have been passed.
    Committing,
    /// Past the commit point, with steps left.
    Committed,
    /// On the way back.
    Back,
    /// Every step is done.
    Done,
    /// Every step is undone.
    Undone,
    /// Ended as it was.
    Abandoned,
}

impl StatusPhase {
    /// The phase in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Forward => "under way",
            Self::Committing => "at the commit point",
            Self::Committed => "past the commit point",
            Self::Back => "being undone",
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Abandoned => "ended as it was",
        }
    }

    pub(crate) fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Undone | Self::Abandoned)
    }
}

/// A site and its role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusSite {
    /// The site.
    pub site: String,
    /// The role of its database; null if it could not be asked.
    pub role: Option<StatusRole>,
    /// The epoch of its marker.
    pub epoch: Option<u64>,
    /// The fence around the database.
    pub fence: Option<Fence>,
    /// The system identifier of the server.
    pub system_identifier: Option<String>,
    /// Databases of earlier moves and restores: former primaries, and prepared copies.
    pub kept: Vec<String>,
    /// The reason why it could not be asked.
    pub error: Option<String>,
}

/// The role of a database, by its own marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusRole {
    /// A cutover made it the primary.
    Primary,
    /// A cutover has moved the service away from it.
    Retired,
    /// No cutover was made to or from it.
    Unmarked,
    /// There is no database of the name.
    Absent,
}

impl StatusRole {
    /// The role as one word, such as `primary`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Retired => "retired",
            Self::Unmarked => "unmarked",
            Self::Absent => "absent",
        }
    }
}

/// Asks the journal, the databases and the clients' address which site is the primary, and changes
/// nothing.
///
/// A disagreement is an answer and no error, and so is a server that could not be asked.
///
/// # Errors
/// A journal that cannot be read; no site is configured.
pub async fn status(ops: &Ops) -> anyhow::Result<StatusReport> {
    let settings = ops.settings();
    let moves = moves::read(settings, ops.now())?;
    let mut sites = Vec::new();
    for site in places::names(settings, moves.newest.as_ref())? {
        sites.push(places::ask(settings, site).await);
    }
    let clients = places::answering(settings).await;
    Ok(report(settings, moves, sites, clients))
}

fn report(
    settings: &Settings,
    moves: moves::Moves,
    sites: Vec<StatusSite>,
    clients: Option<Result<String, String>>,
) -> StatusReport {
    let from = settings.cutover.from.as_deref();
    let judgement = Judgement::of(&moves, &sites, clients.as_ref(), from);
    let next = judgement::Next::of(moves.newest.as_ref(), judgement.primary.as_deref(), settings);
    StatusReport {
        agreed: judgement.agreed(),
        by_databases: judgement.by_databases,
        by_clients: judgement.by_clients,
        by_journal: moves.primary,
        primary: judgement.primary,
        run: moves.newest,
        sites,
        problems: judgement.problems,
        unasked: judgement.unasked,
        next_cutover: next.cutover,
        next_rollback: next.rollback,
    }
}

fn text(at: Timestamp) -> String {
    at.to_string()
}
