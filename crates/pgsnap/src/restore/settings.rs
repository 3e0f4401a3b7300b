//! What belongs to the database itself and not to anything in it: owner, comment, settings.

use crate::error::Result;
use crate::manifest::Manifest;
use crate::name::{quote_identifier, quote_literal};
use crate::restore::swap::comment_statement;
use crate::restore::target::Target;

/// Settings whose value is a list of names: `ALTER DATABASE … SET` must not quote them as one
/// (`variable_is_guc_list_quote` in `src/fe_utils/string_utils.c`).
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Gives the restored database the owner, comment and settings of the source. A restore of single
/// tables is nobody's successor and keeps only the owner who made it.
pub(crate) async fn apply(
    target: &Target,
    database: &str,
    manifest: &Manifest,
    whole: bool,
) -> Result<()> {
    if !whole {
        return Ok(());
    }
    let name = quote_identifier(database);
    let source = &manifest.source;
    let mut statements = vec![format!(
        "ALTER DATABASE {name} OWNER TO {}",
        quote_identifier(&source.owner)
    )];
    if let Some(comment) = &source.comment {
        statements.push(comment_statement(database, comment));
    }
    for setting in &source.settings {
        let Some((parameter, value)) = setting.split_once('=') else {
            continue;
        };
        // Lists are stored already quoted, element by element.
        let value = if LISTS.contains(&parameter) && !value.is_empty() {
            value.to_owned()
        } else {
            quote_literal(value)
        };
        let parameter = parameter
            .split('.')
            .map(quote_identifier)
            .collect::<Vec<_>>()
            .join(".");
        statements.push(format!("ALTER DATABASE {name} SET {parameter} TO {value}"));
    }
    for statement in statements {
        target
            .session
            .execute("the settings of the database", &statement)
            .await?;
    }
    Ok(())
}
