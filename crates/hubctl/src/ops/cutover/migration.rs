//! One move of the service: its sites, its id and its epoch, and what its steps share.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use journal::evidence::{self, CutoverEnd};
use pgsnap::{
    Base, Database, FenceRecord, HandoverState, Identity, LocatedDatabase, MarkerRole, Updated,
};
use runbook::{Entry, Event, Found};
use serde_json::Value;
use tokio::sync::Mutex;

use super::questions::require_same;
use super::step::{is_no, memory};
use crate::failure::Refusal;
use crate::fences::FenceFiles;
use crate::ops::Ops;
use crate::settings::{CutoverMode, SiteSettings};
use crate::site::Site;

/// The beginning of the names of runs in the journal.
pub(crate) const PREFIX: &str = "cutover-";

/// A move of the service from one site to another.
pub(crate) struct Migration {
    pub(super) ops: Ops,
    pub(super) id: MigrationId,
    pub(super) mode: CutoverMode,
    pub(super) epoch: u64,
    pub(super) freeze_budget: Duration,
    pub(super) from: Home,
    pub(super) to: Home,
    /// The rows of the copy that was made ahead, until they are compared.
    pub(super) base: Mutex<Option<Base>>,
    /// The proof that the copy is equal to the frozen source, in delta mode.
    pub(super) updated: Mutex<Option<Updated>>,
    /// The evidence of steps that were done, as the journal has it.
    done: std::sync::Mutex<BTreeMap<String, Evidence>>,
    /// The commit point is known to be passed.
    committed: AtomicBool,
    /// The commit point may have been passed.
    commit_begun: AtomicBool,
    /// The run undoes what it did.
    going_back: AtomicBool,
}

/// The evidence of a step: of its newest act that left some, and of its newest check.
#[derive(Debug, Clone, Default)]
struct Evidence {
    act: Value,
    check: Value,
}

/// One end of a move.
pub(crate) struct Home {
    pub(super) name: String,
    pub(super) site: Site,
    pub(super) settings: SiteSettings,
    pub(super) files: FenceFiles,
    /// The identity when the run began.
    pub(super) begun_as: CutoverEnd,
}

/// The state of the database that a move prepares.
pub(super) enum Prepared {
    Absent,
    /// Databases of an interrupted copy or restore.
    Unfinished(String),
    Present,
}

impl Prepared {
    /// The finding of a step that makes it.
    pub(super) fn found(self, evidence: Value) -> Found {
        match self {
            Self::Absent => Found::NotDone,
            Self::Unfinished(names) => Found::Partly(format!("{names} is not finished")),
            Self::Present => Found::Done(evidence),
        }
    }
}

/// The id of a move: a time and four random digits, as in the names of its databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MigrationId(String);

impl MigrationId {
    fn new(now: Timestamp) -> anyhow::Result<Self> {
        let mut random = [0; 2];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .context("no random number is to be had")?;
        let time = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M%S");
        Ok(Self(format!("{time}{:02x}{:02x}", random[0], random[1])))
    }

    /// The time for an id that is later than those of earlier moves, whatever the clock says.
    fn after(latest: Option<&str>, now: Timestamp) -> Timestamp {
        let time = latest.and_then(|id| id.get(..14));
        let time = time.and_then(|time| DateTime::strptime("%Y%m%d%H%M%S", time).ok());
        let latest = time.and_then(|time| time.to_zoned(TimeZone::UTC).ok());
        let next = latest.map(|latest| latest.timestamp() + SignedDuration::from_secs(1));
        next.map_or(now, |next| next.max(now))
    }

    /// The name of the run in the journal.
    pub(super) fn run(&self) -> String {
        format!("{PREFIX}{self}")
    }
}

impl fmt::Display for MigrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MigrationId {
    type Err = Refusal;

    /// The journal is read back: an id becomes a part of names.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (time, random) = text.split_at_checked(14).unwrap_or_default();
        let is_id = time.bytes().all(|byte| byte.is_ascii_digit())
            && random.len() == 4
            && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match is_id {
            true => Ok(Self(text.to_owned())),
            false => Err(Refusal::no(format!("`{text}` is not the id of a cutover"))),
        }
    }
}

impl Home {
    /// The site of the configuration with this name. Nothing is asked.
    async fn of(ops: &Ops, name: &str, begun_as: CutoverEnd) -> anyhow::Result<Self> {
        let settings = ops.settings();
        let site = Site::resolve(settings, name).await?;
        let Some(site_settings) = settings.sites.get(name) else {
            return Err(Refusal::usage(format!("`{name}` is not a site of the configuration"))
                .hint("a move needs [sites.NAME] tables, for their writers and redirects")
                .into());
        };
        Ok(Self {
            name: name.to_owned(),
            files: FenceFiles::of(settings, &site.label),
            settings: site_settings.clone(),
            site,
            begun_as,
        })
    }

    /// The site of the configuration with this name, with the identity it has now.
    async fn open(ops: &Ops, name: &str) -> anyhow::Result<(Self, Identity)> {
        let unknown =
            CutoverEnd { database: String::new(), system_identifier: None, database_oid: None };
        let mut home = Self::of(ops, name, unknown).await?;
        let identity = home.identify().await?;
        if identity.system_identifier.is_none() {
            let fact =
                format!("the role of {name} may not read the system identifier of its server");
            return Err(Refusal::no(fact)
                .hint("grant it EXECUTE on pg_control_system(): a move must know the server again")
                .into());
        }
        home.begun_as = CutoverEnd {
            database: home.database().name().to_owned(),
            system_identifier: identity.system_identifier.clone(),
            database_oid: identity.database.as_ref().map(|database| database.oid),
        };
        Ok((home, identity))
    }

    pub(super) fn database(&self) -> &Database {
        &self.site.database
    }

    /// The fence around the database, by its real name.
    pub(super) async fn fence(&self) -> anyhow::Result<Option<FenceRecord>> {
        self.files.find(self.database()).await
    }

    /// The database behind its fence.
    pub(super) async fn frozen(&self) -> anyhow::Result<Database> {
        match self.fence().await? {
            Some(record) => Ok(self.database().with_name(record.fenced_name())),
            None => Err(Refusal::no(format!("{} is not frozen", self.name)).into()),
        }
    }

    pub(super) async fn identify(&self) -> anyhow::Result<Identity> {
        Ok(pgsnap::identify(self.database()).await?)
    }
}

impl Migration {
    /// A new move. Nothing is changed.
    pub(super) async fn new(
        ops: &Ops,
        from: &str,
        to: &str,
        mode: CutoverMode,
    ) -> anyhow::Result<Self> {
        if from == to {
            return Err(Refusal::usage(format!("{from} cannot be moved to itself")).into());
        }
        let (from, at_source) = Home::open(ops, from).await?;
        let (to, at_target) = Home::open(ops, to).await?;
        let epoch = next_epoch(&from, &at_source, &at_target)?;
        let freeze_budget = ops.settings().cutover.freeze_budget;
        let known = databases(&at_source).chain(databases(&at_target));
        let latest =
            known.filter_map(|database| Some(database.marker.as_ref()?.run.as_str())).max();
        let id = MigrationId::new(MigrationId::after(latest, ops.now()))?;
        Ok(Self::of(ops, id, mode, epoch, freeze_budget, from, to))
    }

    /// The move that an earlier process began. No server is asked: one of them may be gone.
    pub(super) async fn resume(ops: &Ops, begun: &evidence::Cutover) -> anyhow::Result<Self> {
        let from = Home::of(ops, &begun.from, begun.source.clone()).await?;
        let to = Home::of(ops, &begun.to, begun.target.clone()).await?;
        for home in [&from, &to] {
            let (then, now) = (&home.begun_as.database, home.database().name());
            if then != now {
                let name = &home.name;
                return Err(Refusal::no(format!(
                    "the database of {name} was {then} when the cutover began, and is {now} now"
                ))
                .hint("resume it with the settings that it was begun with")
                .into());
            }
        }
        let mode = mode_of(&begun.mode)?;
        let budget = Duration::from_secs(begun.freeze_budget);
        Ok(Self::of(ops, begun.run.parse()?, mode, begun.epoch, budget, from, to))
    }

    fn of(
        ops: &Ops,
        id: MigrationId,
        mode: CutoverMode,
        epoch: u64,
        freeze_budget: Duration,
        from: Home,
        to: Home,
    ) -> Self {
        Self {
            ops: ops.clone(),
            id,
            mode,
            epoch,
            freeze_budget,
            from,
            to,
            base: Mutex::default(),
            updated: Mutex::default(),
            done: std::sync::Mutex::default(),
            committed: AtomicBool::new(false),
            commit_begun: AtomicBool::new(false),
            going_back: AtomicBool::new(false),
        }
    }

    /// The record of its beginning, which a later process resumes it by.
    pub(super) fn evidence(&self) -> evidence::Cutover {
        evidence::Cutover {
            run: self.id.to_string(),
            from: self.from.name.clone(),
            to: self.to.name.clone(),
            mode: self.mode.to_string(),
            epoch: self.epoch,
            freeze_budget: self.freeze_budget.as_secs(),
            source: self.from.begun_as.clone(),
            target: self.to.begun_as.clone(),
            outcome: None,
            frozen_ms: None,
        }
    }

    /// The name of the database that is prepared at the target.
    pub(super) fn prepared_name(&self) -> String {
        pgsnap::prepared_name(self.to.database().name(), &self.id.to_string())
    }

    /// The database that is prepared at the target.
    pub(super) fn prepared(&self) -> Database {
        self.to.database().with_name(&self.prepared_name())
    }

    /// Returns whether the prepared database is there. It has its name only once every row was
    /// found equal.
    pub(super) async fn prepared_state(&self) -> anyhow::Result<Prepared> {
        match self.ask_prepared().await {
            // The way back must not wait for a target that is gone: nobody uses what is left there.
            Err(error) if self.is_going_back() && !self.may_be_committed() && !is_no(&error) => {
                let (name, to) = (self.prepared_name(), &self.to.name);
                self.ops.warn(format_args!("{name} may be left at {to}: {error:#}"));
                self.ops.hint("drop it once that server answers; nothing else has that name");
                Ok(Prepared::Absent)
            }
            found => found,
        }
    }

    async fn ask_prepared(&self) -> anyhow::Result<Prepared> {
        let (identity, name) = (self.to.identify().await?, self.prepared_name());
        if identity.others.iter().any(|other| other.name == name) {
            return Ok(Prepared::Present);
        }
        let mut unfinished = pgsnap::unfinished_databases(&self.prepared()).await?;
        let id = self.id.to_string();
        let of_clones = pgsnap::unfinished_databases(self.to.database()).await?;
        unfinished.extend(of_clones.into_iter().filter(|name| name.ends_with(&id)));
        Ok(match unfinished.is_empty() {
            true => Prepared::Absent,
            false => Prepared::Unfinished(unfinished.join(", ")),
        })
    }

    /// Asks the target whether this move was committed. Only the server that the run began with can
    /// say that it was not.
    pub(super) async fn handover(&self) -> anyhow::Result<HandoverState> {
        require_same(&self.to).await?;
        Ok(pgsnap::find_handover(self.to.database(), &self.id.to_string()).await?)
    }

    /// Takes in what the journal tells.
    pub(super) fn remember(&self, entry: &Entry) {
        match &entry.event {
            Event::Started { step } if step == "commit" => {
                self.commit_begun.store(true, Ordering::SeqCst);
            }
            Event::TurnedBack { .. } => self.going_back.store(true, Ordering::SeqCst),
            Event::Done { step, act, check } => {
                let mut done = memory(&self.done);
                let evidence = done.entry(step.clone()).or_default();
                evidence.check = check.clone();
                if !act.is_null() {
                    evidence.act = act.clone();
                }
            }
            _ => {}
        }
    }

    /// The evidence of the act of a step; null where none was left.
    pub(super) fn recorded(&self, step: &str) -> Value {
        memory(&self.done).get(step).map(|evidence| evidence.act.clone()).unwrap_or_default()
    }

    /// The id of the fence that this run put up.
    pub(super) fn recorded_fence(&self) -> Option<String> {
        let done = memory(&self.done);
        Some(done.get("fence")?.check["fence"].as_str()?.to_owned())
    }

    /// False only if the commit point was never begun, by the journal: its intent is on the disk
    /// before it.
    pub(super) fn may_be_committed(&self) -> bool {
        self.commit_begun.load(Ordering::SeqCst)
    }

    pub(super) fn is_going_back(&self) -> bool {
        self.going_back.load(Ordering::SeqCst)
    }

    pub(super) fn is_committed(&self) -> bool {
        self.committed.load(Ordering::SeqCst)
    }

    pub(super) fn set_committed(&self) {
        self.committed.store(true, Ordering::SeqCst);
    }
}

fn mode_of(text: &str) -> anyhow::Result<CutoverMode> {
    match text {
        "offline" => Ok(CutoverMode::Offline),
        "delta" => Ok(CutoverMode::Delta),
        _ => Err(Refusal::no(format!("the journal names an unknown mode of cutover: `{text}`"))
            .hint("resume it with the version of hubctl that began it")
            .into()),
    }
}

/// All databases of a site that a move may know, the one with the real name first.
pub(super) fn databases(identity: &Identity) -> impl Iterator<Item = &LocatedDatabase> {
    identity.database.iter().chain(&identity.others)
}

/// The epoch that follows every one that either server knows. The source must be the primary of the
/// latest one.
fn next_epoch(from: &Home, source: &Identity, target: &Identity) -> anyhow::Result<u64> {
    let known = databases(source).chain(databases(target));
    let latest = known
        .filter_map(LocatedDatabase::own_marker)
        .max_by_key(|marker| (marker.epoch, marker.role == MarkerRole::Primary));
    let Some(latest) = latest else {
        return Ok(1);
    };
    match source.database.as_ref().and_then(LocatedDatabase::own_marker) {
        Some(marker) if marker.role == MarkerRole::Primary && marker.epoch == latest.epoch => {
            Ok(latest.epoch + 1)
        }
        _ => Err(Refusal::no(format!(
            "{} is not the primary: {} became it with epoch {}",
            from.name, latest.site, latest.epoch
        ))
        .hint("`hubctl status` tells which site is; move from there")
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_journal_is_nothing_but_an_id() {
        let id = MigrationId::new(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(id.to_string().parse::<MigrationId>().unwrap(), id);
        assert!(id.run().starts_with("cutover-19700101000000"));
        for text in ["", "2026", "20261201150000ab1", "20261201150000AB12", "2026120115000é0ab12"]
        {
            assert!(text.parse::<MigrationId>().is_err(), "{text}");
        }
    }
}
