//! The plan of a fence: its record, the sessions it would end, and the obstacles.

use serde::Serialize;

use crate::error::Result;
use crate::fence::record::{FENCE_FORMAT, FenceKind, FenceRecord, RoleName, frozen_name};
use crate::fence::sessions::{self, SessionInfo};
use crate::fence::site::Site;
use crate::fence::state::{CONNECT, Present, READ_ONLY};
use crate::restore::Obstacle;

/// The plan of a fence, and the obstacles to it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FencePlan {
    /// The record that would be written first: the name that the database would get, and its state
    /// now.
    pub record: FenceRecord,
    /// Sessions that would be ended.
    pub sessions: Vec<SessionInfo>,
    /// Roles whose own read-only default would be set as well, because it wins over that of the
    /// database.
    pub read_only_roles: Vec<RoleName>,
    /// A fence refuses while there is one.
    pub obstacles: Vec<Obstacle>,
    /// Limits of the fence, and facts to know before it.
    pub warnings: Vec<String>,
}

impl Site {
    /// Looks at everything and changes nothing.
    pub(crate) async fn plan(&self, oid: u32, kind: FenceKind) -> Result<Option<FencePlan>> {
        const NOW: &str = "
            SELECT pg_catalog.to_char(n, 'YYYYMMDDHH24MISS') || pg_catalog.substr(pg_catalog.md5(pg_catalog.random()::text), 1, 4),
                   pg_catalog.to_char(n, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
              FROM (SELECT pg_catalog.clock_timestamp() AT TIME ZONE 'UTC') AS t(n)";
        let Some(Present { name, state }) = Present::read(&self.session, oid).await? else {
            return Ok(None);
        };
        let row = self.session.row("asking for the time", NOW, &[]).await?;
        let id: String = row.get(0);
        let is_hard = kind == FenceKind::Hard;
        let record = FenceRecord {
            format: FENCE_FORMAT.to_owned(),
            planned_at: row.get(1),
            system_identifier: self.system_identifier.clone(),
            frozen: is_hard.then(|| frozen_name(&name, &id)),
            id,
            database: name,
            database_oid: oid,
            kind,
            admits: (is_hard && !self.is_superuser).then(|| self.role.clone()),
            before: state,
        };
        let mut plan = FencePlan {
            sessions: sessions::inside(&self.session, oid).await?,
            read_only_roles: self.read_only_roles(oid).await?,
            record,
            obstacles: Vec::new(),
            warnings: Vec::new(),
        };
        self.check_rights(&mut plan).await?;
        self.check_writers_without_sessions(&mut plan).await?;
        self.check_surroundings(&mut plan).await?;
        Ok(Some(plan))
    }

    /// Roles that have a value of their own, which would win over that of the database, and that
    /// this role may set.
    async fn read_only_roles(&self, oid: u32) -> Result<Vec<RoleName>> {
        const QUERY: &str = "
            SELECT DISTINCT r.oid, r.rolname::text
              FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole,
                   pg_catalog.unnest(s.setconfig) AS c(setting)
             WHERE s.setdatabase IN (0, $1) AND c.setting LIKE 'default\\_transaction\\_read\\_only=%'
             ORDER BY 1";
        let rows = self.session.rows("reading the settings of roles", QUERY, &[&oid]).await?;
        Ok(rows.iter().map(|row| RoleName { oid: row.get(0), name: row.get(1) }).collect())
    }

    async fn check_rights(&self, plan: &mut FencePlan) -> Result<()> {
        const OWNS: &str = "SELECT pg_catalog.pg_has_role($1::oid, 'USAGE')";
        let is_hard = plan.record.kind == FenceKind::Hard;
        if self.is_standby {
            plan.obstacle("the server is a standby and takes no changes", "fence the primary");
        }
        if self.is_superuser {
            return Ok(());
        }
        let owner = &plan.record.before.owner;
        let row = self.session.row("asking for this role's rights", OWNS, &[&owner.oid]).await?;
        if !row.get::<_, bool>(0) {
            let problem = format!("this role is not the owner ({}) of the database", owner.name);
            plan.obstacle(problem, "connect as its owner or a superuser");
        }
        if is_hard && !self.creates_databases {
            plan.obstacle(
                "this role may not rename a database without CREATEDB",
                "grant it with ALTER ROLE … CREATEDB, connect as a superuser, or let readers go on",
            );
        }
        let passed_on = |plan: &FencePlan| {
            let before = &plan.record.before;
            before
                .privileges
                .iter()
                .any(|grant| grant.privilege == CONNECT && grant.grantor.oid != before.owner.oid)
        };
        if is_hard && passed_on(plan) {
            plan.obstacle(
                "CONNECT was passed on by a grantee, and only a superuser can grant it again on behalf of that role",
                "connect as a superuser, or have the owner grant it",
            );
        }
        let others: Vec<String> = plan
            .sessions
            .iter()
            .filter(|session| session.role.as_deref() != Some(&self.role.name))
            .map(ToString::to_string)
            .collect();
        if !others.is_empty() && !self.signals_others {
            plan.obstacle(
                format!("this role may not end the sessions of others: {}", others.join("; ")),
                "grant it pg_signal_backend, connect as a superuser, or stop these clients",
            );
        }
        let (own, others): (Vec<RoleName>, Vec<RoleName>) =
            std::mem::take(&mut plan.read_only_roles)
                .into_iter()
                .partition(|role| role.oid == self.role.oid);
        plan.read_only_roles = own;
        for role in others {
            plan.warnings.push(format!(
                "role {} has its own {READ_ONLY}, which this role may not set: it can write until its sessions are ended",
                role.name
            ));
        }
        if is_hard {
            plan.warnings.push(format!(
                "this role is no superuser: until the rename, superusers and clients that connect as {} can still enter",
                self.role.name
            ));
        }
        Ok(())
    }

    /// Prepared transactions and subscriptions write without any session of a client.
    async fn check_writers_without_sessions(&self, plan: &mut FencePlan) -> Result<()> {
        const SUBSCRIPTIONS: &str = "
            SELECT s.subname::text FROM pg_catalog.pg_subscription s WHERE s.subdbid = $1 AND s.subenabled ORDER BY 1";
        let prepared = sessions::prepared(&self.session, &plan.record.database).await?;
        if !prepared.is_empty() {
            let list: Vec<String> =
                prepared.iter().map(|gid| gid.escape_debug().to_string()).collect();
            plan.obstacle(
                format!("transactions are prepared in the database: {}", list.join(", ")),
                "finish each of them with COMMIT PREPARED or ROLLBACK PREPARED, in this database",
            );
        }
        let oid = plan.record.database_oid;
        let rows = self.session.rows("reading the subscriptions", SUBSCRIPTIONS, &[&oid]).await?;
        if !rows.is_empty() {
            let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            plan.obstacle(
                format!(
                    "subscriptions write into the database past every read-only default: {}",
                    names.join(", ")
                ),
                "disable each with ALTER SUBSCRIPTION … DISABLE, and enable it again after the fence",
            );
        }
        Ok(())
    }

    /// Slots, standbys and operators: the surroundings that act on the database.
    async fn check_surroundings(&self, plan: &mut FencePlan) -> Result<()> {
        const QUERY: &str = "
            SELECT ARRAY(SELECT s.slot_name::text FROM pg_catalog.pg_replication_slots s WHERE s.database = $1 ORDER BY 1),
                   (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication),
                   EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = 'streaming_replica')
                     OR EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.application_name LIKE 'cnpg%'),
                   (SELECT d.datistemplate FROM pg_catalog.pg_database d WHERE d.datname = $1),
                   current_setting('server_version_num')::int4 < 160000";
        let name = &plan.record.database;
        let row = self.session.row("looking at the server", QUERY, &[name]).await?;
        let slots: Vec<String> = row.get(0);
        if !slots.is_empty() {
            plan.warnings.push(format!(
                "logical replication slots of the database stay, and their readers are ended and come back: {}",
                slots.join(", ")
            ));
        }
        if row.get::<_, i64>(1) > 0 {
            plan.warnings.push(
                "sessions at standbys of this server are not seen from here: they read on until they replay the fence".into(),
            );
        }
        if row.get(2) {
            plan.warnings.push(
                "the server looks like one of CloudNativePG: a Database object of this name would create an empty database while \
                 this one is renamed; pause or remove it first".into(),
            );
        }
        if row.get(3) {
            plan.obstacle("the database is a template", "fence a database that clients use");
        }
        if row.get(4) && plan.record.kind == FenceKind::Soft {
            plan.warnings.push(
                "servers before version 16 let read-only transactions write large objects".into(),
            );
        }
        if !plan.record.before.allow_connections {
            plan.obstacle(
                "the database allows no connections, so nothing could be read behind the fence",
                "allow them with ALTER DATABASE … ALLOW_CONNECTIONS true",
            );
        }
        let workers: Vec<String> = plan
            .sessions
            .iter()
            .filter(|session| session.kind.as_deref().is_some_and(|kind| kind != "client backend"))
            .map(ToString::to_string)
            .collect();
        if !workers.is_empty() {
            plan.warnings.push(format!(
                "background processes work in the database and may come back after they are ended; stop their schedulers first: {}",
                workers.join("; ")
            ));
        }
        Ok(())
    }
}

impl FencePlan {
    fn obstacle(&mut self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.obstacles.push(Obstacle::new(problem, remedy));
    }
}
