//! Roles that are missing, and the memberships they had.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::globals::Membership;
use crate::manifest::Manifest;
use crate::name::quote_identifier;
use crate::restore::building::{Refused, try_statement};
use crate::restore::selection::Selection;
use crate::session::Session;

/// Creates roles without login and without password, and makes them members of what they were
/// members of, as far as it is there. Memberships between roles that were there before are none of
/// ours. Returns what the server refused.
pub(crate) async fn create(
    session: &Session,
    names: &[String],
    manifest: &Manifest,
    selection: &Selection,
) -> Result<Vec<Refused>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    for name in names {
        create_role(session, name).await?;
    }
    let rows = session
        .rows("reading the roles", "SELECT rolname::text FROM pg_catalog.pg_roles", &[])
        .await?;
    let present: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let knows_options: bool = session
        .row(
            "asking for the server's version",
            "SELECT pg_catalog.current_setting('server_version_num')::int >= 160000",
            &[],
        )
        .await?
        .get(0);
    let mut refused = Vec::new();
    for membership in &manifest.source.memberships {
        let role = selection.edits.role(&membership.role);
        let member = selection.edits.role(&membership.member);
        let is_new = |name: &str| names.iter().any(|new| new == name);
        if role != member
            && (is_new(role) || is_new(member))
            && present.contains(role)
            && present.contains(member)
        {
            let statement = grant(role, member, membership, knows_options);
            refused.extend(try_statement(session, statement, "the memberships").await?);
        }
    }
    Ok(refused)
}

/// Creates a role, without login and without password: enough to own objects and hold privileges.
pub(crate) async fn create_role(session: &Session, name: &str) -> Result<()> {
    let exists = session
        .rows("reading the roles", "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1", &[&name])
        .await?;
    if !exists.is_empty() {
        return Ok(());
    }
    let sql = format!("CREATE ROLE {} NOLOGIN", quote_identifier(name));
    session.execute("creating a role", &sql).await
}

fn grant(role: &str, member: &str, membership: &Membership, knows_options: bool) -> String {
    let mut options = Vec::new();
    match (knows_options, membership.inherit, membership.set) {
        (true, Some(inherit), Some(set)) => {
            let admin = membership.admin;
            options.push(format!("ADMIN {admin}, INHERIT {inherit}, SET {set}"));
        }
        _ if membership.admin => options.push("ADMIN OPTION".to_owned()),
        _ => {}
    }
    let options = options.first().map(|options| format!(" WITH {options}"));
    format!(
        "GRANT {} TO {}{}",
        quote_identifier(role),
        quote_identifier(member),
        options.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_the_server_knows() {
        let mut membership: Membership =
            serde_json::from_str(r#"{"role":"r","member":"m","admin":true}"#).unwrap();
        let of = |membership: &Membership, knows| grant("r", "m", membership, knows);
        assert_eq!(of(&membership, true), "GRANT \"r\" TO \"m\" WITH ADMIN OPTION");
        (membership.inherit, membership.set) = (Some(false), Some(true));
        assert_eq!(
            of(&membership, true),
            "GRANT \"r\" TO \"m\" WITH ADMIN true, INHERIT false, SET true"
        );
        membership.admin = false;
        assert_eq!(of(&membership, false), "GRANT \"r\" TO \"m\"");
    }
}
