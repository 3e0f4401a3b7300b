//! Facts about the server and the database besides its tables.

use crate::catalog::text;
use crate::census::Locale;
use crate::error::{Error, Result};
use crate::fence::{Lifted, Properties};
use crate::manifest::{DatabasePrivilege, RoleSetting, Source};
use crate::session::Session;

/// The server and database a session is connected to. Those of a fenced database are the ones it
/// had before.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) server_version: String,
    pub(crate) server_version_num: u32,
    pub(crate) system_identifier: Option<String>,
    pub(crate) database: String,
    pub(crate) database_oid: u32,
    pub(crate) owner: String,
    pub(crate) encoding: String,
    pub(crate) locale: Locale,
    pub(crate) comment: Option<String>,
    pub(crate) settings: Vec<String>,
    pub(crate) role_settings: Vec<RoleSetting>,
    pub(crate) connection_limit: i32,
    pub(crate) privileges: Option<Vec<DatabasePrivilege>>,
    /// Roles of a fenced database that the catalogue does not connect with it at the moment.
    pub(crate) shut_out: Vec<String>,
    pub(crate) in_recovery: bool,
    pub(crate) now: String,
    pub(crate) lsn: String,
}

/// The oldest server this crate is tested with (TID range scans arrived in 14).
const OLDEST_SERVER: u32 = 140_000;

impl Facts {
    pub(crate) async fn read(session: &Session) -> Result<Self> {
        // Columns that differ between versions are read through JSON, where a missing one is NULL.
        const QUERY: &str = "
            SELECT current_setting('server_version'), current_setting('server_version_num')::int4,
                   d.oid, d.datname, pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding)::text,
                   d.datcollate::text, d.datctype::text,
                   pg_catalog.to_jsonb(d) ->> 'datlocprovider', pg_catalog.to_jsonb(d) ->> 'datcollversion',
                   COALESCE(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale'),
                   pg_catalog.shobj_description(d.oid, 'pg_database'),
                   COALESCE((SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = d.oid AND s.setrole = 0), '{}'),
                   pg_catalog.pg_is_in_recovery(),
                   pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
                   CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()::text
                        ELSE pg_catalog.pg_current_wal_insert_lsn()::text END,
                   d.datconnlimit, d.datacl IS NULL, pg_catalog.to_jsonb(d) ->> 'daticurules'
              FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";
        let row = session.row("reading the server's version", QUERY, &[]).await?;
        let version = u32::try_from(row.get::<_, i32>(1)).unwrap_or(0);
        let server_version: String = row.get(0);
        if version < OLDEST_SERVER {
            return Err(Error::ServerTooOld { version: server_version });
        }
        let provider = match row.get::<_, Option<String>>(8).as_deref() {
            Some("i") => "icu",
            Some("b") => "builtin",
            _ => "libc",
        };
        let mut facts = Self {
            server_version,
            server_version_num: version,
            system_identifier: system_identifier(session).await,
            database_oid: row.get(2),
            database: row.get(3),
            owner: row.get(4),
            encoding: row.get(5),
            locale: Locale {
                provider: provider.to_owned(),
                collate: row.get(6),
                ctype: row.get(7),
                version: row.get(9),
                locale: row.get(10),
                rules: row.get(18),
            },
            comment: text(&row, 11, "the comment of the database")?,
            settings: text(&row, 12, "a setting of the database")?,
            in_recovery: row.get(13),
            now: row.get(14),
            lsn: row.get::<_, Option<String>>(15).unwrap_or_default(),
            connection_limit: row.get(16),
            privileges: if row.get(17) { None } else { Some(privileges(session).await?) },
            role_settings: role_settings(session).await?,
            shut_out: Vec::new(),
        };
        facts.lift_fence()?;
        Ok(facts)
    }

    fn lift_fence(&mut self) -> Result<()> {
        let properties = Properties {
            database: &mut self.database,
            database_oid: self.database_oid,
            owner: &self.owner,
            comment: &mut self.comment,
            settings: &mut self.settings,
            role_settings: &mut self.role_settings,
            connection_limit: &mut self.connection_limit,
            privileges: &mut self.privileges,
        };
        if let Lifted::Recorded(record) = properties.lift()? {
            let grantees =
                record.before.privileges.iter().filter_map(|grant| grant.grantee.as_ref());
            let names = grantees.map(|role| role.name.clone());
            self.shut_out = names.filter(|name| !name.starts_with("pg_")).collect();
        }
        Ok(())
    }

    /// The database as the origin of rows, with its own properties only.
    pub(crate) fn into_source(self) -> Source {
        Source {
            server_version: self.server_version,
            server_version_num: self.server_version_num,
            system_identifier: self.system_identifier,
            pg_dump: String::new(),
            database: self.database,
            database_oid: self.database_oid,
            database_bytes: None,
            owner: self.owner,
            encoding: self.encoding,
            locale: self.locale,
            comment: self.comment,
            settings: self.settings,
            role_settings: self.role_settings,
            connection_limit: self.connection_limit,
            privileges: self.privileges,
            roles: Vec::new(),
            tablespaces: Vec::new(),
            role_definitions: Vec::new(),
            memberships: Vec::new(),
            tablespace_definitions: Vec::new(),
            lsn: self.lsn,
            in_recovery: self.in_recovery,
        }
    }

    pub(crate) fn server_major(&self) -> u32 {
        self.server_version_num / 10_000
    }

    /// The encoding text travels in: SQL_ASCII means "bytes of unknown encoding", which must pass
    /// unconverted.
    pub(crate) fn client_encoding(&self) -> &'static str {
        if self.encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" }
    }
}

async fn privileges(session: &Session) -> Result<Vec<DatabasePrivilege>> {
    const QUERY: &str = "
        SELECT CASE a.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable
          FROM pg_catalog.pg_database d, LATERAL pg_catalog.aclexplode(d.datacl) a
         WHERE d.datname = pg_catalog.current_database() ORDER BY 1 NULLS FIRST, 2";
    let rows = session.rows("reading the privileges on the database", QUERY, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| DatabasePrivilege {
            grantee: row.get(0),
            privilege: row.get(1),
            grantable: row.get(2),
        })
        .collect())
}

async fn role_settings(session: &Session) -> Result<Vec<RoleSetting>> {
    const QUERY: &str = "
        SELECT pg_catalog.pg_get_userbyid(s.setrole)::text, pg_catalog.unnest(s.setconfig)
          FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
         WHERE d.datname = pg_catalog.current_database() AND s.setrole <> 0 ORDER BY 1, 2";
    let rows = session.rows("reading the settings of roles", QUERY, &[]).await?;
    Ok(rows.iter().map(|row| RoleSetting { role: row.get(0), setting: row.get(1) }).collect())
}

/// `pg_control_system` may be withheld from ordinary roles; the identity is then unknown.
async fn system_identifier(session: &Session) -> Option<String> {
    const ALLOWED: &str =
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')";
    const QUERY: &str = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
    let allowed: bool =
        session.row("asking for the server's identity", ALLOWED, &[]).await.ok()?.get(0);
    if !allowed {
        return None;
    }
    Some(session.row("asking for the server's identity", QUERY, &[]).await.ok()?.get(0))
}

/// The size of this database on its disk.
pub(crate) async fn database_bytes(session: &Session) -> Result<Option<u64>> {
    const QUERY: &str = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())";
    let row = session.row("measuring the database", QUERY, &[]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).ok())
}

/// Roles that own something or hold a privilege in this database. Dependencies on the bootstrap
/// superuser are not recorded in `pg_shdepend`, so owners are read as well.
pub(crate) async fn roles(session: &Session) -> Result<Vec<String>> {
    const QUERY: &str = "
        SELECT r.rolname FROM pg_catalog.pg_roles r
         WHERE r.rolname !~ '^pg_' AND r.oid IN (
            SELECT s.refobjid FROM pg_catalog.pg_shdepend s
             WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass
               AND (s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
                    OR (s.dbid = 0 AND s.classid = 'pg_catalog.pg_database'::regclass
                        AND s.objid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())))
            UNION SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
            UNION SELECT relowner FROM pg_catalog.pg_class WHERE oid >= 16384
            UNION SELECT nspowner FROM pg_catalog.pg_namespace WHERE oid >= 16384
            UNION SELECT proowner FROM pg_catalog.pg_proc WHERE oid >= 16384
            UNION SELECT typowner FROM pg_catalog.pg_type WHERE oid >= 16384
            UNION SELECT lomowner FROM pg_catalog.pg_largeobject_metadata
            UNION SELECT oprowner FROM pg_catalog.pg_operator WHERE oid >= 16384
            UNION SELECT opcowner FROM pg_catalog.pg_opclass WHERE oid >= 16384
            UNION SELECT opfowner FROM pg_catalog.pg_opfamily WHERE oid >= 16384
            UNION SELECT collowner FROM pg_catalog.pg_collation WHERE oid >= 16384
            UNION SELECT conowner FROM pg_catalog.pg_conversion WHERE oid >= 16384
            UNION SELECT cfgowner FROM pg_catalog.pg_ts_config WHERE oid >= 16384
            UNION SELECT dictowner FROM pg_catalog.pg_ts_dict WHERE oid >= 16384
            UNION SELECT stxowner FROM pg_catalog.pg_statistic_ext
            UNION SELECT evtowner FROM pg_catalog.pg_event_trigger
            UNION SELECT fdwowner FROM pg_catalog.pg_foreign_data_wrapper
            UNION SELECT srvowner FROM pg_catalog.pg_foreign_server
            UNION SELECT umuser FROM pg_catalog.pg_user_mappings
            UNION SELECT pubowner FROM pg_catalog.pg_publication
            UNION SELECT polrole FROM pg_catalog.pg_policy, LATERAL pg_catalog.unnest(polroles) AS p(polrole)
            UNION SELECT setrole FROM pg_catalog.pg_db_role_setting
             WHERE setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
         ORDER BY 1";
    let rows = session.rows("reading the roles", QUERY, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Tablespaces that objects of this database live in, the default one left out.
pub(crate) async fn tablespaces(session: &Session) -> Result<Vec<String>> {
    const QUERY: &str = "
        SELECT DISTINCT t.spcname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
         WHERE t.spcname !~ '^pg_' ORDER BY 1";
    let rows = session.rows("reading the tablespaces", QUERY, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
