//! Definitions that cannot be read in UTF-8, by the label of their statement: nobody finds one
//! among a thousand others.

use std::time::Duration;

use super::command;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::sql;
use crate::tools::{PgDump, output};

/// The error about a definition.
pub(super) fn error(label: Option<String>) -> Error {
    let label = label.map_or_else(String::new, |label| format!(" ({label})"));
    Error::NotUtf8 { what: format!("a definition in the schema{label}") }
}

/// Returns true if `pg_dump` ended because the server could not convert something to UTF-8.
pub(super) fn is_meant(error: &Error) -> bool {
    matches!(error, Error::ToolFailed { stderr, .. } if stderr.contains("has no equivalent in encoding"))
}

/// Names the first statement of a text that is not UTF-8.
pub(super) fn first_in(text: &[u8]) -> Option<String> {
    let statements = sql::statements(&characters(text));
    let mut statements = statements.iter();
    let found = statements.find(|statement| String::from_utf8(bytes(statement)).is_err());
    found.map(|statement| label(statement))
}

/// Has `pg_dump` print the definitions once more, unconverted, and names the first that the server
/// cannot convert; nothing if it cannot be found in time.
pub(super) async fn first_of(
    database: &Database,
    tool: &PgDump,
    snapshot: &Snapshot,
    limit: Duration,
) -> Option<String> {
    let found = find(database, tool, snapshot, limit);
    let found = tokio::time::timeout(limit, found).await;
    found.ok().and_then(Result::ok).flatten()
}

async fn find(
    database: &Database,
    tool: &PgDump,
    snapshot: &Snapshot,
    lock_timeout: Duration,
) -> Result<Option<String>> {
    const CONTEXT: &str = "looking for the definition";
    const CONVERT: &str = "SELECT pg_catalog.convert($1, $2, 'UTF8')";
    let own = snapshot.facts.encoding.as_str();
    let mut command = command(database, tool, snapshot, lock_timeout, own)?;
    command.arg("--format=plain");
    let text = output(command, b"").await?;
    let session = Session::open_read_only(database, "definitions").await?;
    for statement in sql::statements(&characters(&text)) {
        if statement.is_ascii() {
            continue;
        }
        match session.row(CONTEXT, CONVERT, &[&bytes(&statement), &own]).await {
            Ok(_) => {}
            Err(error) if error.sqlstate() == Some("22P05") => return Ok(Some(label(&statement))),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// One character per byte: what parts statements is ASCII in every encoding of a server.
fn characters(text: &[u8]) -> String {
    text.iter().copied().map(char::from).collect()
}

/// The bytes of such characters.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().filter_map(|c| u8::try_from(c).ok()).collect()
}

fn label(statement: &str) -> String {
    sql::label(statement).replace(|c: char| !c.is_ascii(), "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_statement_that_is_not_utf8_is_named() {
        let text = b"CREATE TABLE public.\"\xc3\xa9\" ();\n-- \xff\nCOMMENT ON TABLE public.\"\xc3\xa9\" IS '\xe9';\nSELECT '\xe9';";
        assert_eq!(first_in(text).as_deref(), Some("COMMENT ON TABLE public.\"??\" IS"));
        assert_eq!(first_in(b"SELECT '\xc3\xa9';"), None);
    }
}
