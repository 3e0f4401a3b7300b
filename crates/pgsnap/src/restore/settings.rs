//! What belongs to the database itself and not to anything in it: owner, comment, settings,
//! privileges, connection limit.

use crate::error::{Error, Result};
use crate::manifest::{DatabasePrivilege, Source};
use crate::name::{quote_identifier, quote_literal};
use crate::restore::swap::comment_statement;
use crate::restore::target::Target;

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

/// Gives the restored database what the source had. A restore of single tables is nobody's
/// successor and keeps the role that made it as its owner.
pub(crate) async fn apply(
    target: &Target,
    database: &str,
    source: &Source,
    whole: bool,
) -> Result<()> {
    let statements = if whole {
        statements(database, source)?
    } else {
        vec![default_privileges(database)]
    };
    for statement in statements {
        target
            .session
            .execute("the settings of the database", &statement)
            .await?;
    }
    Ok(())
}

fn statements(database: &str, source: &Source) -> Result<Vec<String>> {
    let name = quote_identifier(database);
    let mut statements = vec![format!(
        "ALTER DATABASE {name} CONNECTION LIMIT {}",
        source.connection_limit
    )];
    statements.extend(
        source
            .comment
            .as_ref()
            .map(|comment| comment_statement(database, comment)),
    );
    for setting in &source.settings {
        statements.push(format!(
            "ALTER DATABASE {name} SET {}",
            assignment(setting)?
        ));
    }
    for setting in &source.role_settings {
        let role = quote_identifier(&setting.role);
        statements.push(format!(
            "ALTER ROLE {role} IN DATABASE {name} SET {}",
            assignment(&setting.setting)?
        ));
    }
    match &source.privileges {
        None => statements.push(default_privileges(database)),
        Some(privileges) => {
            statements.push(format!(
                "REVOKE ALL ON DATABASE {name} FROM PUBLIC, CURRENT_USER"
            ));
            for privilege in privileges {
                statements.push(grant(&name, privilege, &source.owner)?);
            }
        }
    }
    // Last: afterwards the database may no longer be ours to change.
    statements.push(format!(
        "ALTER DATABASE {name} OWNER TO {}",
        quote_identifier(&source.owner)
    ));
    Ok(statements)
}

/// What every new database grants, and what was revoked while this one was being filled.
fn default_privileges(database: &str) -> String {
    format!(
        "GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC",
        quote_identifier(database)
    )
}

/// The owner's own privileges are granted to the present owner and move with the ownership.
fn grant(name: &str, privilege: &DatabasePrivilege, owner: &str) -> Result<String> {
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
        Some(role) => quote_identifier(role),
    };
    let option = if privilege.grantable {
        " WITH GRANT OPTION"
    } else {
        ""
    };
    Ok(format!(
        "GRANT {} ON DATABASE {name} TO {grantee}{option}",
        privilege.privilege
    ))
}

/// `name TO value` from `name=value`.
fn assignment(setting: &str) -> Result<String> {
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
    let value = if value.is_empty() {
        "''".to_owned()
    } else {
        value
    };
    let parameter = parameter
        .split('.')
        .map(quote_identifier)
        .collect::<Vec<_>>()
        .join(".");
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
        assert_eq!(
            assignment("app.x=a'; DROP").unwrap(),
            "\"app\".\"x\" TO 'a''; DROP'"
        );
        assert_eq!(
            assignment("search_path=x; DROP").unwrap(),
            "\"search_path\" TO 'x;DROP'"
        );
    }
}
