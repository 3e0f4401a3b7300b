//! Roles: those the backup names, and what the restoring role may do in their name.

use std::collections::BTreeSet;

use super::Preflight;
use crate::error::Result;
use crate::name::quote_identifier;
use crate::restore::plan::Method;
use crate::sql;

/// Objects that only a superuser may make, by the beginning of their statements.
const SUPERUSER_ONLY: [&str; 7] = [
    "CREATE EVENT TRIGGER ",
    "CREATE FOREIGN DATA WRAPPER ",
    "CREATE ACCESS METHOD ",
    "CREATE TEXT SEARCH PARSER ",
    "CREATE TEXT SEARCH TEMPLATE ",
    "CREATE OPERATOR CLASS ",
    "CREATE OPERATOR FAMILY ",
];

impl Preflight<'_> {
    /// Roles that own something or hold a privilege must be there, or be created.
    pub(super) async fn check_roles(&mut self) -> Result<()> {
        let unknown: Vec<&str> = self
            .options
            .role_map
            .keys()
            .filter(|role| !self.manifest.source.roles.contains(role))
            .map(String::as_str)
            .collect();
        if !unknown.is_empty() {
            let problem = format!("the backup does not name the role(s) {}", unknown.join(", "));
            let remedy = format!(
                "it names {}; leave the others out of `role_map`",
                self.manifest.source.roles.join(", ")
            );
            self.plan.obstacle(problem, remedy);
        }
        let rows = self
            .server
            .session
            .rows("reading the roles", "SELECT rolname FROM pg_catalog.pg_roles", &[])
            .await?;
        let present: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let missing: Vec<String> =
            self.selection.needs.roles.difference(&present).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        if self.options.create_roles && self.server.rights.creates_roles {
            self.plan.creates_roles = missing;
            return Ok(());
        }
        let create: Vec<String> =
            missing.iter().map(|role| format!("CREATE ROLE {};", quote_identifier(role))).collect();
        let remedy = if self.options.create_roles {
            format!(
                "this role may not create them: have it done by one with CREATEROLE: {}",
                create.join(" ")
            )
        } else {
            format!(
                "create them: {} Or restore with `create_roles`, `role_map` or without `owners` and `privileges`",
                create.join(" ")
            )
        };
        self.plan.obstacle(
            format!(
                "the server lacks the role(s) {} that own objects or hold privileges in the backup",
                missing.join(", ")
            ),
            remedy,
        );
        Ok(())
    }

    /// Checks that this role may give objects to their owners, and grant in their name.
    pub(super) async fn check_owners(&mut self) -> Result<()> {
        if self.server.rights.is_superuser {
            return Ok(());
        }
        // From version 16 on membership alone does not allow to act as a role.
        let privilege = if self.server.facts.server_major() >= 16 { "SET" } else { "MEMBER" };
        let query = format!(
            "SELECT rolname, rolsuper, current_user::text FROM pg_catalog.pg_roles
              WHERE rolname = ANY ($1) AND NOT pg_catalog.pg_has_role(oid, '{privilege}') ORDER BY 1"
        );
        let mut wanted: Vec<&String> = self.selection.needs.owners.iter().collect();
        // A database that is there keeps its owner.
        if self.plan.method == Method::Swap {
            wanted.extend(&self.selection.needs.database_owner);
        }
        let rows =
            self.server.session.rows("asking for this role's rights", &query, &[&wanted]).await?;
        let foreign: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if !foreign.is_empty() {
            // Membership in a superuser's role would make this one a superuser: that is no remedy.
            let granted = rows.iter().filter(|row| !row.get::<_, bool>(1));
            let grants: Vec<String> = granted
                .map(|row| {
                    let (role, member) = (row.get::<_, &str>(0), row.get::<_, &str>(2));
                    let (role, member) = (quote_identifier(role), quote_identifier(member));
                    format!(" GRANT {role} TO {member};")
                })
                .collect();
            let granting = if grants.is_empty() {
                String::new()
            } else {
                format!("; or have an administrator run:{}", grants.concat())
            };
            self.plan.obstacle(
                format!("this role may not make {} the owner of anything", foreign.join(", ")),
                format!("restore without `owners`, with `role_map`, or as a superuser{granting}"),
            );
        }
        if self.selection.needs.authorization {
            self.plan.obstacle(
                "the backup grants privileges in the name of roles other than the owner, which only a superuser may",
                "restore without `privileges`, or as a superuser",
            );
        }
        Ok(())
    }

    /// Objects that only a superuser may make.
    pub(super) fn check_superuser(&mut self) {
        if self.server.rights.is_superuser {
            return;
        }
        let statements = self.selection.pre_data.iter().chain(&self.selection.post_data);
        let forbidden: Vec<String> = statements
            .filter(|statement| SUPERUSER_ONLY.iter().any(|kind| statement.starts_with(kind)))
            .map(|statement| format!("`{}`", sql::label(statement)))
            .collect();
        if !forbidden.is_empty() {
            self.plan.obstacle(
                format!("only a superuser may run {}", forbidden.join(", ")),
                "restore as a superuser, or only what this role may make, with `schemas`",
            );
        }
    }
}
