//! Rows of foreign tables on their way back: only where they were asked for, only into empty
//! tables, and last of all rows, since what is written into another server stays there.

use std::collections::BTreeMap;

use crate::census::TableCensus;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Member};
use crate::restore::data_only::{Order, load_member};
use crate::restore::plan::refusal;
use crate::restore::selection::Selection;
use crate::session::Session;

/// Makes sure that the archive holds rows of foreign tables of these servers.
///
/// # Errors
/// [`Error::NoSuchForeignServer`] names the first of which there are none.
pub(super) fn require_known(manifest: &Manifest, servers: &[String]) -> Result<()> {
    let tables = &manifest.census.tables;
    let is_known =
        |server: &&String| tables.iter().any(|table| table.foreign_server.as_ref() == Some(server));
    match servers.iter().find(|server| !is_known(server)) {
        None => Ok(()),
        Some(server) => {
            Err(Error::NoSuchForeignServer { name: server.clone(), place: "this archive".into() })
        }
    }
}

/// The members with rows of foreign tables, and all others.
pub(super) fn split(manifest: &Manifest, members: Vec<Member>) -> (Vec<Member>, Vec<Member>) {
    let tables = &manifest.census.tables;
    let is_foreign = |index: usize| tables[index].foreign_server.is_some();
    members.into_iter().partition(|member| member.table.is_some_and(is_foreign))
}

/// Returns a note of the rows left out, if any.
pub(super) fn left_out(manifest: &Manifest, selection: &Selection) -> Option<String> {
    let tables = manifest.census.tables.iter();
    let left_out = tables.filter(|table| {
        selection.has_rows() && selection.holds_name(&table.name) && !selection.holds_table(table)
    });
    describe(left_out).map(|tables| {
        format!("rows of foreign tables, which are left out unless their server is named: {tables}")
    })
}

/// Returns a note of the rows written into other servers, if any.
pub(super) fn written(manifest: &Manifest, selection: &Selection) -> Option<String> {
    describe(chosen(manifest, selection)).map(|tables| {
        format!("rows are written into foreign servers, wherever their definitions lead, and stay there: {tables}")
    })
}

/// Makes sure that rows are not added to others: the restored definitions may lead to the server
/// that the rows came from.
///
/// # Errors
/// [`Error::Preflight`] names every table that holds rows.
pub(super) async fn require_empty(
    session: &Session,
    manifest: &Manifest,
    selection: &Selection,
) -> Result<()> {
    let mut filled = Vec::new();
    for table in chosen(manifest, selection) {
        let context = format!("looking into foreign table {}", table.name);
        let query = format!("SELECT EXISTS (SELECT FROM ONLY {})", table.name.quoted());
        if session.row(&context, &query, &[]).await?.get(0) {
            let server = table.foreign_server.as_deref().unwrap_or_default();
            filled.push(format!("{} of server {server}", table.name));
        }
    }
    if filled.is_empty() {
        return Ok(());
    }
    let filled = filled.join(", ");
    Err(refusal(
        format!(
            "rows are already in the foreign table(s) {filled}, and those of the backup would be added to them"
        ),
        "leave their rows out; or empty these tables first, if what is in them may be lost",
    ))
}

/// Loads the rows in one transaction, so that a wrapper that knows transactions has all of them or
/// none.
pub(super) async fn load(
    order: &Order<'_>,
    database: &Database,
    members: Vec<Member>,
) -> Result<()> {
    if members.is_empty() {
        return Ok(());
    }
    let session = Session::open(database, "restore").await?;
    session.execute("the start of the foreign rows", "BEGIN").await?;
    for member in members {
        load_member(order, &session, member).await?;
    }
    session.execute("the end of the foreign rows", "COMMIT").await?;
    if let Some(tables) = describe(chosen(order.archive.manifest(), order.selection)) {
        order.progress.note(&format!(
            "rows were written into foreign servers, and stay there whatever becomes of the restore: {tables}"
        ));
    }
    Ok(())
}

fn chosen<'a>(
    manifest: &'a Manifest,
    selection: &'a Selection,
) -> impl Iterator<Item = &'a TableCensus> {
    let tables = manifest.census.tables.iter();
    tables.filter(|table| table.foreign_server.is_some() && selection.holds_table(table))
}

/// The tables by server, with their rows.
fn describe<'a>(tables: impl Iterator<Item = &'a TableCensus>) -> Option<String> {
    let mut servers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for table in tables {
        let Some(server) = &table.foreign_server else {
            continue;
        };
        let names = servers.entry(server).or_default();
        names.push(format!("{} ({} rows)", table.name, table.rows));
    }
    let described: Vec<String> = servers
        .into_iter()
        .map(|(server, names)| format!("server {server}: {}", names.join(", ")))
        .collect();
    (!described.is_empty()).then(|| described.join("; "))
}
