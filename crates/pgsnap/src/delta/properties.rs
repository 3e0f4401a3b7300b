//! Properties of the base itself: owner, comment, settings, privileges and connection limit.

use super::DeltaOptions;
use crate::compare::Note;
use crate::database::Database;
use crate::error::Result;
use crate::facts::Facts;
use crate::manifest::{DatabasePrivilege, RoleSetting, Source};
use crate::name::quote_identifier;
use crate::restore::{RestoreOptions, Selection, Target, apply_settings};

/// Gives the base the properties of the source. Those that it already has are left alone.
///
/// It can be interrupted anywhere: the next delta finds what is missing.
pub(super) async fn apply(
    base: &Database,
    present: &Facts,
    source: &Source,
    options: &DeltaOptions,
) -> Result<Vec<Note>> {
    const CONTEXT: &str = "the settings of the database";
    if Properties::of_base(present) == Properties::of_source(source) {
        return Ok(Vec::new());
    }
    let target = Target::connect(base).await?;
    target.session.execute("the session settings", &options.lock_limit()).await?;
    for statement in reset_statements(base.name(), present, source) {
        target.session.execute(CONTEXT, &statement).await?;
    }
    let selection = Selection::of_source(source, &RestoreOptions::default());
    apply_settings(&target, base.name(), source, &selection).await
}

/// All of them, in an order that means nothing.
#[derive(PartialEq, Eq)]
struct Properties<'a> {
    owner: &'a str,
    comment: Option<&'a str>,
    connection_limit: i32,
    settings: Vec<&'a String>,
    role_settings: Vec<(&'a String, &'a String)>,
    privileges: Vec<(Option<String>, String, bool)>,
}

impl<'a> Properties<'a> {
    fn of_base(facts: &'a Facts) -> Self {
        Self {
            owner: &facts.owner,
            comment: facts.comment.as_deref(),
            connection_limit: facts.connection_limit,
            settings: sorted(facts.settings.iter()),
            role_settings: role_settings(&facts.role_settings),
            privileges: privileges(facts.privileges.as_deref(), &facts.owner),
        }
    }

    fn of_source(source: &'a Source) -> Self {
        Self {
            owner: &source.owner,
            comment: source.comment.as_deref(),
            connection_limit: source.connection_limit,
            settings: sorted(source.settings.iter()),
            role_settings: role_settings(&source.role_settings),
            privileges: privileges(source.privileges.as_deref(), &source.owner),
        }
    }
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort();
    items
}

fn role_settings(settings: &[RoleSetting]) -> Vec<(&String, &String)> {
    sorted(settings.iter().map(|one| (&one.role, &one.setting)))
}

/// Grantee, privilege and grant option; those that every new database has, where none are stored.
fn privileges(
    stored: Option<&[DatabasePrivilege]>,
    owner: &str,
) -> Vec<(Option<String>, String, bool)> {
    let Some(stored) = stored else {
        let of_public = ["CONNECT", "TEMPORARY"].map(|one| (None, one.to_owned(), false));
        let of_owner = ["CONNECT", "CREATE", "TEMPORARY"];
        let of_owner = of_owner.map(|one| (Some(owner.to_owned()), one.to_owned(), false));
        return sorted(of_public.into_iter().chain(of_owner));
    };
    let each = stored.iter().map(|one| (one.grantee.clone(), one.privilege.clone(), one.grantable));
    sorted(each)
}

/// Takes away what the base has and the source may lack. The owner gets its own rights back.
fn reset_statements(name: &str, present: &Facts, source: &Source) -> Vec<String> {
    let database = quote_identifier(name);
    let mut statements = vec![
        format!("ALTER DATABASE {database} OWNER TO CURRENT_USER"),
        format!("ALTER DATABASE {database} RESET ALL"),
    ];
    let mut roles = sorted(present.role_settings.iter().map(|one| &one.role));
    roles.dedup();
    statements.extend(roles.iter().map(|role| {
        format!("ALTER ROLE {} IN DATABASE {database} RESET ALL", quote_identifier(role))
    }));
    if source.comment.is_none() {
        statements.push(format!("COMMENT ON DATABASE {database} IS NULL"));
    }
    let granted = present.privileges.iter().flatten();
    let others = granted.filter_map(|one| one.grantee.as_deref());
    let mut others = sorted(others.filter(|role| *role != present.owner));
    others.dedup();
    statements.extend(others.iter().map(|role| {
        format!("REVOKE ALL ON DATABASE {database} FROM {} CASCADE", quote_identifier(role))
    }));
    statements.push(format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"));
    statements.push(format!("GRANT ALL ON DATABASE {database} TO CURRENT_USER"));
    statements
}
