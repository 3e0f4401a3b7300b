//! Properties of the database itself: owner, comment, settings, privileges, connection limit.

use crate::compare::Note;
use crate::error::{Error, Result};
use crate::fence::{Lifted, Properties};
use crate::manifest::{DatabasePrivilege, Source};
use crate::name::{quote_identifier, quote_literal};
use crate::restore::selection::{Edits, Selection};
use crate::restore::swap::comment_statement;
use crate::restore::target::Target;
use crate::session::Session;

/// Settings whose value is a list of names: each is quoted by itself
/// (`variable_is_guc_list_quote` in `src/fe_utils/string_utils.c`).
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// The source without the fence that it stood behind when the backup was taken, which newer backups
/// do not carry. What was left out is noted.
pub(crate) fn without_fence(source: &Source) -> Result<(Source, Option<Note>)> {
    let mut source = source.clone();
    let note = match Properties::of(&mut source).lift()? {
        Lifted::Nothing => None,
        Lifted::Recorded(_) => Some(Note::FenceLeftOut { parts: Vec::new() }),
        Lifted::Guessed(parts) => {
            Some(Note::FenceLeftOut { parts: parts.into_iter().map(str::to_owned).collect() })
        }
    };
    Ok((source, note))
}

/// Gives the restored database what the source had. A restore of a part is nobody's successor and
/// keeps the role that made it as its owner. Returns what the server refused to this role.
pub(crate) async fn apply(
    target: &Target,
    database: &str,
    source: &Source,
    selection: &Selection,
) -> Result<Vec<Note>> {
    if !selection.is_whole() {
        run(&target.session, &default_privileges(database)).await?;
        return Ok(Vec::new());
    }
    let (source, fence) = without_fence(source)?;
    let mut notes = apply_to_new(&target.session, database, &source, &selection.edits).await?;
    notes.extend(fence);
    Ok(notes)
}

/// Gives a new database, which this role owns, everything of its own that the source had. Returns
/// what the server refused to this role.
pub(crate) async fn apply_to_new(
    session: &Session,
    database: &str,
    source: &Source,
    edits: &Edits,
) -> Result<Vec<Note>> {
    let name = quote_identifier(database);
    let limit = format!("ALTER DATABASE {name} CONNECTION LIMIT {}", source.connection_limit);
    run(session, &limit).await?;
    let notes = apply_settings(session, database, source, edits).await?;
    for statement in ownership(&name, database, source, edits)? {
        run(session, &statement).await?;
    }
    Ok(notes)
}

/// Gives a database that was there the comment and settings of the source. Its owner, privileges
/// and connection limit belong to whoever created it.
pub(crate) async fn apply_in_place(
    session: &Session,
    database: &str,
    source: &Source,
    selection: &Selection,
) -> Result<Vec<Note>> {
    let mut notes = vec![Note::NotCompared {
        what: "owner, privileges and connection limit of the database, which was there before"
            .into(),
    }];
    if selection.is_whole() {
        let (source, fence) = without_fence(source)?;
        notes.extend(apply_settings(session, database, &source, &selection.edits).await?);
        notes.extend(fence);
    }
    Ok(notes)
}

async fn run(session: &Session, statement: &str) -> Result<()> {
    session.execute("the settings of the database", statement).await
}

/// Comment and settings. Some settings are for superusers only, some values exist on other servers
/// only; nothing depends on them, and a finished copy is not given up for them.
async fn apply_settings(
    session: &Session,
    database: &str,
    source: &Source,
    edits: &Edits,
) -> Result<Vec<Note>> {
    let name = quote_identifier(database);
    let mut statements = Vec::new();
    if let Some(comment) = &source.comment {
        let what = "COMMENT ON DATABASE".to_owned();
        statements.push((what, comment_statement(database, comment)));
    }
    for setting in &source.settings {
        let assignment = assignment(setting)?;
        statements.push((
            format!("ALTER DATABASE SET {}", parameter(setting)),
            format!("ALTER DATABASE {name} SET {assignment}"),
        ));
    }
    for setting in &source.role_settings {
        let role = quote_identifier(edits.role(&setting.role));
        let assignment = assignment(&setting.setting)?;
        statements.push((
            format!("ALTER ROLE {role} SET {}", parameter(&setting.setting)),
            format!("ALTER ROLE {role} IN DATABASE {name} SET {assignment}"),
        ));
    }
    let mut notes = Vec::new();
    for (what, statement) in statements {
        match session.execute("the settings of the database", &statement).await {
            Err(Error::Server { message, .. }) => {
                notes.push(Note::Refused { statement: what, reason: message });
            }
            other => other?,
        }
    }
    Ok(notes)
}

/// Privileges and owner.
fn ownership(name: &str, database: &str, source: &Source, edits: &Edits) -> Result<Vec<String>> {
    let mut statements = Vec::new();
    match &source.privileges {
        Some(privileges) if edits.keep_privileges() => {
            statements.push(format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC, CURRENT_USER"));
            for privilege in privileges {
                statements.push(grant(name, privilege, &source.owner, edits)?);
            }
        }
        _ => statements.push(default_privileges(database)),
    }
    // Last: afterwards the database may no longer be ours to change.
    if edits.keep_owners() {
        let owner = quote_identifier(edits.role(&source.owner));
        statements.push(format!("ALTER DATABASE {name} OWNER TO {owner}"));
    }
    Ok(statements)
}

/// Grants the privileges of every new database, which were revoked while this one was being filled.
fn default_privileges(database: &str) -> String {
    format!("GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC", quote_identifier(database))
}

/// The owner's own privileges are granted to the present owner and move with the ownership.
fn grant(name: &str, privilege: &DatabasePrivilege, owner: &str, edits: &Edits) -> Result<String> {
    let known = ["CONNECT", "CREATE", "TEMPORARY"].contains(&privilege.privilege.as_str());
    if !known {
        return Err(Error::damaged(format!(
            "the manifest names the unknown privilege {}",
            privilege.privilege
        )));
    }
    let grantee = match &privilege.grantee {
        None => "PUBLIC".to_owned(),
        Some(role) if role == owner => "CURRENT_USER".to_owned(),
        Some(role) => quote_identifier(edits.role(role)),
    };
    let option = if privilege.grantable { " WITH GRANT OPTION" } else { "" };
    Ok(format!("GRANT {} ON DATABASE {name} TO {grantee}{option}", privilege.privilege))
}

/// The name of a setting from `name=value`.
fn parameter(setting: &str) -> &str {
    setting.split_once('=').map_or(setting, |(parameter, _)| parameter)
}

/// `name TO value` from `name=value`.
pub(crate) fn assignment(setting: &str) -> Result<String> {
    let Some((parameter, value)) = setting.split_once('=') else {
        return Err(Error::damaged("a setting of the database has no value"));
    };
    let value = if LISTS.contains(&parameter) {
        list_elements(value)
            .iter()
            .map(|element| quote_literal(element))
            .collect::<Vec<_>>()
            .join(", ")
    } else {
        quote_literal(value)
    };
    let value = if value.is_empty() { "''".to_owned() } else { value };
    let parameter = parameter.split('.').map(quote_identifier).collect::<Vec<_>>().join(".");
    Ok(format!("{parameter} TO {value}"))
}

/// The elements of a stored list such as `app, "$user", public` (`SplitGUCList`).
fn list_elements(list: &str) -> Vec<String> {
    let mut elements = Vec::new();
    let mut element = String::new();
    let mut quoted = false;
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                element.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => elements.push(std::mem::take(&mut element)),
            c if !quoted && c.is_whitespace() => {}
            c => element.push(c),
        }
    }
    elements.push(element);
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_quoted_element_by_element() {
        let found = assignment("search_path=app, \"$user\", \"a, \"\"b\"").unwrap();
        assert_eq!(found, "\"search_path\" TO 'app', '$user', 'a, \"b'");
    }

    #[test]
    fn a_value_cannot_end_the_statement() {
        assert_eq!(assignment("app.x=a'; DROP").unwrap(), "\"app\".\"x\" TO 'a''; DROP'");
        assert_eq!(assignment("search_path=x; DROP").unwrap(), "\"search_path\" TO 'x;DROP'");
    }
}
