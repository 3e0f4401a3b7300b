//! Putting a fence up: the record first, then the doors, the sessions and the name.

use std::path::Path;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::fence::plan::FencePlan;
use crate::fence::record::{FenceKind, FenceRecord};
use crate::fence::sessions::{self, SessionInfo};
use crate::fence::site::{PAUSE, Site, Standing};
use crate::fence::state::{Present, READ_ONLY};
use crate::fence::statements::put_up;
use crate::fence::{Fenced, no_such};
use crate::name::quote_identifier;
use crate::restore::Obstacle;

/// The number of times the state of the database may change between the record and the fence.
const ATTEMPTS: u32 = 3;

impl Site {
    pub(crate) async fn plan_by_name(&self, kind: FenceKind) -> Result<Option<FencePlan>> {
        match self.oid(self.database.name()).await? {
            Some(oid) => self.plan(oid, kind).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn fence(
        &self,
        path: &Path,
        kind: FenceKind,
        deadline: Instant,
    ) -> Result<Fenced> {
        let file = FenceRecord::load(path)?;
        let (record, resumed) = match self.begun(path, file.as_ref(), kind).await? {
            Some(Standing { record, .. }) => {
                if file.is_none() {
                    record.save(path)?;
                }
                (record, true)
            }
            None => (self.begin_fence(path, file.as_ref(), kind, deadline).await?, false),
        };
        match self.clear(&record, deadline).await {
            Ok(ended) => Ok(Fenced { record, ended, resumed }),
            Err(error) => Err(self.give_up(&record, error).await),
        }
    }

    /// The fence that an earlier run began, or finished.
    async fn begun(
        &self,
        path: &Path,
        file: Option<&FenceRecord>,
        kind: FenceKind,
    ) -> Result<Option<Standing>> {
        let Some(standing) = self.choose(file).await? else {
            return Ok(None);
        };
        let id = &standing.record.id;
        if file.is_some_and(|file| file.id != *id) {
            let reason =
                format!("{} is of another fence than the one that stands ({id})", path.display());
            return Err(Error::FenceRecord { reason });
        }
        if standing.record.kind != kind {
            return Err(Error::CannotFence {
                database: standing.record.database,
                obstacles: vec![Obstacle::new(
                    "a fence of the other kind stands around it",
                    "take that fence down first",
                )],
            });
        }
        if !standing.is_whole() {
            let reason = format!("the fence that stands ({id}) was changed: take it down first");
            return Err(Error::FenceRecord { reason });
        }
        Ok(Some(standing))
    }

    /// The fence of this name: that of the database itself, or the only one that renamed it.
    pub(crate) async fn choose(&self, file: Option<&FenceRecord>) -> Result<Option<Standing>> {
        let name = self.database.name();
        let mut standing = self.standing(name).await?;
        if let Some(oid) = self.oid(name).await? {
            return Ok(standing.into_iter().find(|fence| fence.record.database_oid == oid));
        }
        let is_named = |fence: &Standing| {
            file.is_some_and(|file| {
                (&file.id, file.database_oid) == (&fence.record.id, fence.record.database_oid)
            })
        };
        if let Some(at) = standing.iter().position(is_named) {
            return Ok(Some(standing.swap_remove(at)));
        }
        if standing.len() > 1 {
            let names: Vec<&str> =
                standing.iter().map(|fence| fence.present.name.as_str()).collect();
            let reason =
                format!("several fenced databases had the name {name}: {}", names.join(", "));
            return Err(Error::FenceRecord { reason });
        }
        Ok(standing.pop())
    }

    /// Writes the record and puts the fence up in one transaction, if the database is still as
    /// recorded.
    async fn begin_fence(
        &self,
        path: &Path,
        file: Option<&FenceRecord>,
        kind: FenceKind,
        deadline: Instant,
    ) -> Result<FenceRecord> {
        for _ in 0..ATTEMPTS {
            let Some(plan) = self.plan_by_name(kind).await? else {
                return Err(no_such(&self.database));
            };
            let FencePlan { record, read_only_roles, obstacles, .. } = plan;
            if !obstacles.is_empty() {
                return Err(Error::CannotFence { database: record.database, obstacles });
            }
            require_unneeded(path, file, &record)?;
            record.save(path)?;
            let statements = put_up(&record, self.place(), &read_only_roles);
            self.begin("the fence", deadline).await?;
            if self.end(self.put_up(&record, &statements).await).await? {
                return Ok(record);
            }
        }
        let differences = vec!["its properties keep changing".to_owned()];
        Err(Error::FenceDiffers { database: self.database.name().to_owned(), differences })
    }

    /// Ends a transaction with these statements, or without them if the database is not as recorded
    /// any more.
    async fn put_up(&self, record: &FenceRecord, statements: &[String]) -> Result<bool> {
        let now = Present::read(&self.session, record.database_oid).await?;
        let is_unchanged =
            now.is_some_and(|now| now.name == record.database && now.state == record.before);
        let sql = match is_unchanged {
            true => format!("{};\nCOMMIT", statements.join(";\n")),
            false => "ROLLBACK".to_owned(),
        };
        self.session.execute("the fence", &sql).await?;
        Ok(is_unchanged)
    }

    /// Ends the sessions that began before the fence, and renames the database behind a hard one.
    async fn clear(&self, record: &FenceRecord, deadline: Instant) -> Result<Vec<SessionInfo>> {
        match &record.frozen {
            Some(frozen) => self.clear_and_rename(record, frozen, deadline).await,
            None => self.clear_once(record, deadline).await,
        }
    }

    async fn clear_and_rename(
        &self,
        record: &FenceRecord,
        frozen: &str,
        deadline: Instant,
    ) -> Result<Vec<SessionInfo>> {
        let oid = record.database_oid;
        let mut ended = Vec::new();
        loop {
            let present = Present::read(&self.session, oid).await?;
            if present.is_some_and(|present| present.name == frozen) {
                return Ok(ended);
            }
            let entering = sessions::entering(&self.session, oid).await?;
            let inside = sessions::inside(&self.session, oid).await?;
            self.end_all(&inside, &mut ended).await?;
            let prepared = sessions::prepared(&self.session, &record.database).await?;
            // A process without a role may be autovacuum, which a plain owner cannot tell from others:
            // the rename ends it by itself.
            let has_sessions = inside.iter().any(|session| session.role.is_some());
            let is_clear = !has_sessions && entering.is_empty() && prepared.is_empty();
            if is_clear && self.rename(&record.database, frozen, deadline).await? {
                return Ok(ended);
            }
            if Instant::now() >= deadline || !prepared.is_empty() {
                return Err(sessions::in_the_way(&record.database, &inside, &entering, &prepared));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Renames the database, unless a session is in it.
    async fn rename(&self, from: &str, to: &str, deadline: Instant) -> Result<bool> {
        let (from, to) = (quote_identifier(from), quote_identifier(to));
        let rename = format!("ALTER DATABASE {from} RENAME TO {to}");
        match self.transaction("renaming the database", &[rename], deadline).await {
            Ok(()) => Ok(true),
            // Object in use; a lock that was not to be had in time.
            Err(error) if matches!(error.sqlstate(), Some("55006" | "55P03")) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ends the sessions that were there when the fence went up. Those that come later have its
    /// defaults.
    async fn clear_once(
        &self,
        record: &FenceRecord,
        deadline: Instant,
    ) -> Result<Vec<SessionInfo>> {
        let oid = record.database_oid;
        let mut ended = Vec::new();
        let mut earlier = sessions::entering(&self.session, oid).await?;
        let inside = sessions::inside(&self.session, oid).await?;
        earlier.extend(inside.iter().map(|session| session.pid));
        loop {
            let mut entering = sessions::entering(&self.session, oid).await?;
            entering.retain(|pid| earlier.contains(pid));
            let mut inside = sessions::inside(&self.session, oid).await?;
            inside.retain(|session| earlier.contains(&session.pid));
            let prepared = sessions::prepared(&self.session, &record.database).await?;
            if inside.is_empty() && entering.is_empty() && prepared.is_empty() {
                return Ok(ended);
            }
            if Instant::now() >= deadline || !prepared.is_empty() {
                return Err(sessions::in_the_way(&record.database, &inside, &entering, &prepared));
            }
            self.end_all(&inside, &mut ended).await?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn end_all(&self, inside: &[SessionInfo], ended: &mut Vec<SessionInfo>) -> Result<()> {
        for session in inside {
            if sessions::end(&self.session, session).await? && !ended.contains(session) {
                ended.push(session.clone());
            }
        }
        Ok(())
    }

    /// Takes a fence down again that could not be finished.
    async fn give_up(&self, record: &FenceRecord, error: Error) -> Error {
        let deadline = Instant::now() + GIVING_UP;
        let undone = self.take_down(record, deadline).await.is_ok();
        Error::NotFenced { database: record.database.clone(), undone, source: Box::new(error) }
    }
}

impl Standing {
    /// Returns whether everything still stands that the first transaction put up.
    fn is_whole(&self) -> bool {
        let (record, now) = (&self.record, &self.present.state);
        let admitted = record.admits.as_ref().map(|role| role.oid);
        let is_shut = (admitted.is_some() || now.connection_limit == 0)
            && now.connects().iter().all(|connect| Some(connect.1) == admitted);
        now.setting(0, READ_ONLY) == Some("on") && (record.kind == FenceKind::Soft || is_shut)
    }
}

/// The limit for taking down a fence that could not be finished.
const GIVING_UP: std::time::Duration = std::time::Duration::from_secs(10);

/// Refuses to replace a file that may be the only record of another state.
fn require_unneeded(path: &Path, file: Option<&FenceRecord>, new: &FenceRecord) -> Result<()> {
    let Some(old) = file else {
        return Ok(());
    };
    let differs = new.before.differences(&old.before);
    if old.database_oid == new.database_oid && old.database == new.database && differs.is_empty() {
        return Ok(());
    }
    Err(Error::FenceRecord {
        reason: format!(
            "{} holds another state, of database {} ({}): name another file",
            path.display(),
            old.database,
            old.id
        ),
    })
}
