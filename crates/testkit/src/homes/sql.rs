//! Statements on the databases of homes.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::Place;

/// So that nothing hangs, also with a database of gigabytes.
const LIMIT: Duration = Duration::from_secs(600);

/// Begins the names of the migrated and filled databases of a server, which new ones are copied
/// from.
const TEMPLATE: &str = "state_hub_template";

/// Topics, tasks and events; `$events` is their number.
const FILL: &str = include_str!("fill.sql");

/// Makes a database with so many events, migrated by a function that takes its URL.
pub(super) fn create(
    place: &Place,
    name: &str,
    events: u32,
    migrate: impl FnOnce(&str) -> io::Result<()>,
) -> io::Result<()> {
    let (maintenance, template) = (place.url("postgres"), format!("{TEMPLATE}_{events}"));
    let known = format!("SELECT 1 FROM pg_database WHERE datname = '{template}'");
    if rows(&maintenance, &known)?.is_empty() {
        let making = format!("{template}_making");
        execute(&maintenance, &format!("CREATE DATABASE {making}"))?;
        migrate(&place.url(&making))?;
        execute(&place.url(&making), &FILL.replace("$events", &events.to_string()))?;
        execute(&maintenance, &format!("ALTER DATABASE {making} RENAME TO {template}"))?;
    }
    execute(&maintenance, &format!("CREATE DATABASE {name} TEMPLATE {template}"))
}

/// Counts the events of an agent by their summary.
pub(super) fn count(url: &str, agent: &str) -> io::Result<BTreeMap<String, u64>> {
    let query = format!(
        "SELECT summary, count(*) FROM progress_events WHERE agent = '{agent}' GROUP BY summary"
    );
    let counted = rows(url, &query)?.into_iter().map(|row| match row.as_slice() {
        [key, number] => Ok((key.clone(), number.parse().map_err(io::Error::other)?)),
        _ => Err(io::Error::other("a row has two columns")),
    });
    counted.collect()
}

/// Inserts an event, and takes it back.
pub(super) fn try_write(url: &str) -> io::Result<()> {
    execute(
        url,
        "BEGIN READ WRITE; INSERT INTO progress_events (kind, agent, summary)
         VALUES ('note', 'nobody', 'taken back'); ROLLBACK",
    )
}

/// Runs statements.
pub(super) fn execute(url: &str, statements: &str) -> io::Result<()> {
    with_client(url, async |client| client.batch_execute(statements).await)
}

/// Returns the one value of a query.
pub(super) fn scalar(url: &str, query: &str) -> io::Result<String> {
    let value = rows(url, query)?.into_iter().flatten().next();
    value.ok_or_else(|| io::Error::other(format!("no row: {query}")))
}

/// Returns the rows of a query as text.
pub(super) fn rows(url: &str, query: &str) -> io::Result<Vec<Vec<String>>> {
    let messages = with_client(url, async |client| client.simple_query(query).await)?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let columns = (0..row.len()).map(|n| row.get(n).unwrap_or_default().to_owned());
            Some(columns.collect())
        }
        _ => None,
    });
    Ok(rows.collect())
}

fn with_client<T>(
    url: &str,
    work: impl AsyncFnOnce(Client) -> Result<T, tokio_postgres::Error>,
) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let worked = runtime.block_on(async {
        let working = async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            work(client).await
        };
        tokio::time::timeout(LIMIT, working).await
    });
    // The text of a server's error is in its source.
    worked?.map_err(|error| match error.as_db_error() {
        Some(server) => io::Error::other(server.to_string()),
        None => io::Error::other(error),
    })
}
