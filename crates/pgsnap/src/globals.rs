//! Objects of the whole server that a database refers to: roles, memberships, tablespaces.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fence::LOCAL;
use crate::manifest::Source;
use crate::session::Session;

/// A role that the database refers to, as its server has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools)]
pub struct RoleDefinition {
    /// Its name.
    pub name: String,
    /// `SUPERUSER`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superuser: bool,
    /// `INHERIT`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherit: bool,
    /// `CREATEROLE`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_role: bool,
    /// `CREATEDB`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_database: bool,
    /// `LOGIN`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub login: bool,
    /// `REPLICATION`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replication: bool,
    /// `BYPASSRLS`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bypass_row_security: bool,
    /// `CONNECTION LIMIT`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_limit: Option<i32>,
    /// `VALID UNTIL` (ISO 8601 with offset, or `infinity`), if that was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// `ALTER ROLE … SET` settings for all databases, as `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// The verifier of its password, if it was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordVerifier>,
}

/// The server's verifier of a password. It is no password, but its owner can try passwords against
/// it. It is not printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordVerifier(String);

impl PasswordVerifier {
    /// The text, such as `SCRAM-SHA-256$…`. Keep it out of logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordVerifier(…)")
    }
}

/// One role in another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Membership {
    /// The role that was granted.
    pub role: String,
    /// The role it was granted to.
    pub member: String,
    /// `WITH ADMIN`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
    /// `WITH INHERIT`; known from PostgreSQL 16 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherit: Option<bool>,
    /// `WITH SET`; known from PostgreSQL 16 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<bool>,
}

/// A tablespace that the database uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TablespaceDefinition {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Its directory on the server; empty for one within the data directory.
    pub location: String,
    /// Its options, as `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// Definitions of these roles, without passwords.
pub(crate) async fn roles(session: &Session, names: &[String]) -> Result<Vec<RoleDefinition>> {
    const QUERY: &str = "
        SELECT rolname::text, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
               NULLIF(rolconnlimit, -1), rolvaliduntil::text, pg_catalog.shobj_description(oid, 'pg_authid'), COALESCE(rolconfig, '{}')
          FROM pg_catalog.pg_roles WHERE rolname = ANY ($1) ORDER BY rolname COLLATE \"C\"";
    let rows = session.rows("reading the roles", QUERY, &[&names]).await?;
    Ok(rows
        .iter()
        .map(|row| RoleDefinition {
            name: row.get(0),
            superuser: row.get(1),
            inherit: row.get(2),
            create_role: row.get(3),
            create_database: row.get(4),
            login: row.get(5),
            replication: row.get(6),
            bypass_row_security: row.get(7),
            connection_limit: row.get(8),
            valid_until: row.get(9),
            comment: row.get(10),
            settings: travelling(row.get(11)),
            password: None,
        })
        .collect())
}

/// The settings that do not belong to one place.
fn travelling(mut settings: Vec<String>) -> Vec<String> {
    settings.retain(|setting| !setting.starts_with(LOCAL));
    settings
}

/// Memberships of and in these roles. Who granted them is left out: it must be somebody else on
/// another server.
pub(crate) async fn memberships(session: &Session, names: &[String]) -> Result<Vec<Membership>> {
    const QUERY: &str = "
        SELECT r.rolname::text, m.rolname::text, pg_catalog.bool_or(a.admin_option),
               pg_catalog.bool_or((pg_catalog.to_jsonb(a) ->> 'inherit_option')::boolean), pg_catalog.bool_or((pg_catalog.to_jsonb(a) ->> 'set_option')::boolean)
          FROM pg_catalog.pg_auth_members a
          JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
         WHERE r.rolname = ANY ($1) OR m.rolname = ANY ($1)
         GROUP BY 1, 2 ORDER BY 1, 2";
    let rows = session.rows("reading the memberships", QUERY, &[&names]).await?;
    Ok(rows
        .iter()
        .map(|row| Membership {
            role: row.get(0),
            member: row.get(1),
            admin: row.get(2),
            inherit: row.get(3),
            set: row.get(4),
        })
        .collect())
}

/// Definitions of these tablespaces.
pub(crate) async fn tablespaces(
    session: &Session,
    names: &[String],
) -> Result<Vec<TablespaceDefinition>> {
    const QUERY: &str = "
        SELECT spcname::text, pg_catalog.pg_get_userbyid(spcowner)::text, pg_catalog.pg_tablespace_location(oid), COALESCE(spcoptions, '{}')
          FROM pg_catalog.pg_tablespace WHERE spcname = ANY ($1) ORDER BY 1";
    let rows = session.rows("reading the tablespaces", QUERY, &[&names]).await?;
    Ok(rows
        .iter()
        .map(|row| TablespaceDefinition {
            name: row.get(0),
            owner: row.get(1),
            location: row.get(2),
            options: row.get(3),
        })
        .collect())
}

/// Adds what the passwords of the roles are checked against.
///
/// # Errors
/// [`Error::NotReadable`] if this role may not read them: who asks for them must get them.
pub(crate) async fn add_passwords(session: &Session, source: &mut Source) -> Result<()> {
    const ALLOWED: &str =
        "SELECT pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT')";
    const QUERY: &str =
        "SELECT rolname::text, rolpassword FROM pg_catalog.pg_authid WHERE rolpassword IS NOT NULL";
    let context = "reading the passwords of the roles";
    if !session.row(context, ALLOWED, &[]).await?.get::<_, bool>(0) {
        return Err(Error::NotReadable {
            objects: vec!["the passwords of the roles (pg_authid)".into()],
        });
    }
    for row in session.rows(context, QUERY, &[]).await? {
        let name: String = row.get(0);
        let role = source.role_definitions.iter_mut().find(|role| role.name == name);
        if let Some(role) = role {
            role.password = Some(PasswordVerifier(row.get(1)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_kept_and_never_printed() {
        let role = RoleDefinition {
            name: "app".into(),
            password: Some(PasswordVerifier("SCRAM-SHA-256$x".into())),
            ..RoleDefinition::default()
        };
        assert!(!format!("{role:?}").contains("SCRAM"));
        let text = serde_json::to_string(&role).unwrap();
        assert_eq!(serde_json::from_str::<RoleDefinition>(&text).unwrap(), role);
        assert_eq!(text, r#"{"name":"app","password":"SCRAM-SHA-256$x"}"#);
    }
}
