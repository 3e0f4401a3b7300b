//! The state of a database as the server's shared catalogues have it.

use std::collections::BTreeSet;

use crate::catalog::text;
use crate::comment;
use crate::error::Result;
use crate::fence::record::{DatabaseState, Grant, RECORD, RoleName, Settings};
use crate::session::Session;

/// The setting that makes transactions read-only unless they say otherwise.
pub(crate) const READ_ONLY: &str = "default_transaction_read_only";
pub(crate) const CONNECT: &str = "CONNECT";

/// A database as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    pub(crate) name: String,
    pub(crate) state: DatabaseState,
}

/// A privilege to connect by numbers of roles: grantor, grantee (0 is PUBLIC), whether it may be
/// passed on.
pub(crate) type Connect = (u32, u32, bool);

impl Present {
    /// Reads the database with this OID, if there is one.
    pub(crate) async fn read(session: &Session, oid: u32) -> Result<Option<Self>> {
        const QUERY: &str = "
            SELECT d.datname::text, d.datallowconn, d.datconnlimit, d.datdba, pg_catalog.pg_get_userbyid(d.datdba)::text,
                   d.datacl IS NULL, pg_catalog.shobj_description(d.oid, 'pg_database')
              FROM pg_catalog.pg_database d WHERE d.oid = $1";
        let rows = session.rows("reading the database's properties", QUERY, &[&oid]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let state = DatabaseState {
            allow_connections: row.get(1),
            connection_limit: row.get(2),
            owner: RoleName { oid: row.get(3), name: row.get(4) },
            privileges_are_default: row.get(5),
            comment: text(row, 6, "the comment of the database")?,
            privileges: grants(session, oid).await?,
            settings: settings(session, oid).await?,
        };
        Ok(Some(Self { name: row.get(0), state }))
    }
}

async fn grants(session: &Session, oid: u32) -> Result<Vec<Grant>> {
    const QUERY: &str = "
        SELECT a.grantor, pg_catalog.pg_get_userbyid(a.grantor)::text, a.grantee, pg_catalog.pg_get_userbyid(a.grantee)::text,
               a.privilege_type, a.is_grantable
          FROM pg_catalog.pg_database d,
               LATERAL pg_catalog.aclexplode(COALESCE(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
         WHERE d.oid = $1 ORDER BY a.grantor, a.grantee, a.privilege_type";
    let rows = session.rows("reading the privileges on the database", QUERY, &[&oid]).await?;
    let grants = rows.iter().map(|row| {
        let (grantee, name): (u32, String) = (row.get(2), row.get(3));
        Grant {
            grantor: RoleName { oid: row.get(0), name: row.get(1) },
            grantee: (grantee != 0).then_some(RoleName { oid: grantee, name }),
            privilege: row.get(4),
            grantable: row.get(5),
        }
    });
    Ok(grants.collect())
}

async fn settings(session: &Session, oid: u32) -> Result<Vec<Settings>> {
    const QUERY: &str = "
        SELECT s.setrole, pg_catalog.pg_get_userbyid(s.setrole)::text, s.setconfig
          FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = $1 ORDER BY s.setrole";
    let rows = session.rows("reading the settings of the database", QUERY, &[&oid]).await?;
    let settings = rows.iter().map(|row| {
        let (role, name): (u32, String) = (row.get(0), row.get(1));
        let role = (role != 0).then_some(RoleName { oid: role, name });
        Settings { role, values: row.get(2) }
    });
    Ok(settings.collect())
}

impl DatabaseState {
    /// The value of a setting of the database (0) or of a role in it.
    pub(crate) fn setting(&self, role: u32, name: &str) -> Option<&str> {
        let of_role =
            |settings: &&Settings| settings.role.as_ref().map_or(0, |role| role.oid) == role;
        let settings = self.settings.iter().find(of_role)?;
        settings.values.iter().find_map(|value| value.strip_prefix(name)?.strip_prefix('='))
    }

    /// The settings of the database itself.
    pub(crate) fn own_settings(&self) -> &[String] {
        let own = self.settings.iter().find(|settings| settings.role.is_none());
        own.map_or(&[], |settings| &settings.values)
    }

    /// The grants of CONNECT.
    pub(crate) fn connects(&self) -> BTreeSet<Connect> {
        let of_connect = self.privileges.iter().filter(|grant| grant.privilege == CONNECT);
        let number = |role: &Option<RoleName>| role.as_ref().map_or(0, |role| role.oid);
        of_connect
            .map(|grant| (grant.grantor.oid, number(&grant.grantee), grant.grantable))
            .collect()
    }

    /// The properties that a fence changes and this state has otherwise than `before`.
    pub(crate) fn differences(&self, before: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.connection_limit != before.connection_limit {
            found.push(format!(
                "the connection limit is {} and was {}",
                self.connection_limit, before.connection_limit
            ));
        }
        if self.allow_connections != before.allow_connections {
            found.push(format!("ALLOW_CONNECTIONS is {}", self.allow_connections));
        }
        if self.connects() != before.connects() {
            found.push("the privilege CONNECT is granted otherwise".to_owned());
        }
        for role in self.settings.iter().chain(&before.settings).map(|settings| &settings.role) {
            let number = role.as_ref().map_or(0, |role| role.oid);
            let (is, was) = (self.setting(number, READ_ONLY), before.setting(number, READ_ONLY));
            if is != was {
                let whose = role.as_ref().map_or("the database", |role| &role.name);
                let show = |value: Option<&str>| value.unwrap_or("not set").to_owned();
                let text = format!("{READ_ONLY} of {whose} is {} and was {}", show(is), show(was));
                if !found.contains(&text) {
                    found.push(text);
                }
            }
        }
        if self.setting(0, RECORD).is_some() || self.comment.as_deref().is_some_and(is_marked) {
            found.push("the record of the fence is still there".to_owned());
        }
        found
    }
}

fn is_marked(comment: &str) -> bool {
    comment::value(comment, RECORD).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fence::record::fixtures::record;

    #[test]
    fn every_part_of_a_fence_is_a_difference() {
        let before = record().before;
        assert!(before.differences(&before).is_empty());
        let mut now = before.clone();
        now.connection_limit = 0;
        now.privileges.pop();
        now.settings[0].values.push(format!("{READ_ONLY}=on"));
        now.comment = Some(record().in_comment());
        let found = now.differences(&before);
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn the_order_of_privileges_means_nothing() {
        let before = record().before;
        let mut now = before.clone();
        now.privileges.reverse();
        now.privileges_are_default = true;
        assert!(now.differences(&before).is_empty());
    }
}
