//! A restore of rows alone, into the empty tables of a schema that is there: one session and one
//! transaction, which is proven before it ends.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};

use crate::archive::{Archive, copy_in_statement};
use crate::catalog::{self, Table, setval};
use crate::census::{Census, Column, TableCensus};
use crate::compare::{Comparison, Difference, Note, compare};
use crate::database::Database;
use crate::digest::{Key, Tally};
use crate::error::{Error, Result};
use crate::large_object::{self, NoPieces};
use crate::manifest::Member;
use crate::progress::{Phase, Progress, Work};
use crate::restore::building::{Stopwatch, analyze, run_statements};
use crate::restore::plan::{Obstacle, refusal};
use crate::restore::post_data::Refreshes;
use crate::restore::selection::Selection;
use crate::restore::{RestoreOptions, Restored, foreign_rows, load, proof, run_large_objects};
use crate::session::Session;
use crate::user_code::UserCode;

/// The order of a restore of rows alone.
pub(super) struct Order<'a> {
    pub(super) archive: &'a Archive,
    pub(super) selection: &'a Selection,
    pub(super) progress: &'a Arc<dyn Progress>,
}

impl Order<'_> {
    /// Loads rows, large objects and sequences, or nothing.
    ///
    /// # Errors
    /// [`Error::RestoreDiffers`] if the proof fails, and whatever the server says; nothing was
    /// changed then.
    pub(super) async fn restore(
        &self,
        database: &Database,
        options: &RestoreOptions,
    ) -> Result<Restored> {
        let session = Session::open(database, "restore").await?;
        let mut clock = Stopwatch::default();
        let mut expected = proof::expected(self.archive, self.selection);
        expected.schema = None;
        session.execute("the start of the restore", "BEGIN").await?;
        // An error ends the session, and with it the transaction.
        let accepts = options.accept_recomputed;
        let comparison = load_and_prove(self, &session, &expected, accepts, &mut clock).await?;
        session.execute("the end of the restore", "COMMIT").await?;
        if options.statistics {
            analyze(database, options.jobs, self.progress).await?;
            clock.lap("analyze");
        }
        Ok(Restored {
            database: database.name().to_owned(),
            kept: None,
            cleaned: Vec::new(),
            tables: expected.tables.len(),
            rows: expected.rows(),
            notes: comparison.notes.clone(),
            comparison: Some(comparison),
            census: None,
            seconds: clock.laps,
        })
    }
}

async fn load_and_prove(
    order: &Order<'_>,
    session: &Session,
    expected: &Census,
    accepts_recomputed: bool,
    clock: &mut Stopwatch,
) -> Result<Comparison> {
    let tables = targets(session, expected).await?;
    lock(session, &tables).await?;
    require_empty(session, &tables).await?;
    let guards = Guards::read(session, &tables).await?;
    guards.lower(session).await?;
    load_rows(order, session).await?;
    if order.selection.has_large_objects() {
        let created = order.selection.large_objects();
        run_statements(session, created, "the large objects").await?;
        run_large_objects(session, order.archive, order.selection).await?;
    }
    guards.raise(session).await?;
    clock.lap("load");

    order.progress.begin(Phase::Census, Work::default());
    let mut found = expected.clone();
    found.tables.clear();
    for (model, table) in expected.tables.iter().zip(&tables) {
        found.tables.push(digest(session, model, table).await?);
    }
    if order.selection.has_large_objects() {
        found.large_objects = large_object::read(session, &mut NoPieces).await?;
    }
    // Sequences are set last: no transaction takes that back.
    let judge = |found: &Census| {
        let mut comparison = compare(expected, found).of_restore();
        let recomputed =
            if accepts_recomputed { comparison.accept_recomputed() } else { Vec::new() };
        (comparison, recomputed)
    };
    let (comparison, _) = judge(&found);
    if !comparison.is_equal() {
        return Err(Error::RestoreDiffers { differences: comparison.differences });
    }
    clock.lap("census");
    Refreshes::again(session, order.selection.refreshes()).await?;
    run_statements(session, expected.sequences.iter().map(setval).collect(), "the sequences")
        .await?;
    let states = catalog::sequences(session).await?;
    found.sequences =
        states.into_iter().filter(|state| order.selection.holds_sequence(state)).collect();
    let (mut comparison, recomputed) = judge(&found);
    // A target may have sequences of its own.
    comparison
        .differences
        .retain(|difference| !matches!(difference, Difference::Sequence { a: None, .. }));
    comparison.notes =
        vec![Note::NotCompared { what: "the schema, which was there before".into() }];
    comparison.notes.extend(recomputed);
    if comparison.is_equal() {
        Ok(comparison)
    } else {
        Err(Error::RestoreDiffers { differences: comparison.differences })
    }
}

/// The tables of the target that the rows go into, in the order of the census; what does not fit is
/// an error.
pub(super) async fn targets(session: &Session, expected: &Census) -> Result<Vec<Table>> {
    let servers: BTreeSet<&String> =
        expected.tables.iter().filter_map(|table| table.foreign_server.as_ref()).collect();
    let servers: Vec<String> = servers.into_iter().cloned().collect();
    let present = catalog::tables(session, &servers).await?;
    let mut found = Vec::new();
    let mut obstacles = Vec::new();
    let mut missing = |problem: String| {
        let remedy = "bring the target to the schema of the backup, or restore everything";
        obstacles.push(Obstacle::new(problem, remedy));
    };
    for wanted in &expected.tables {
        let shape = |columns: &[Column]| {
            let mut columns: Vec<String> =
                columns.iter().map(|column| format!("{} {}", column.name, column.r#type)).collect();
            columns.sort();
            columns
        };
        match present.iter().find(|table| table.name == wanted.name) {
            None => missing(format!("the target has no table {}", wanted.name)),
            Some(table) if shape(&table.columns) != shape(&wanted.columns) => {
                missing(format!("table {} has other columns in the target", wanted.name));
            }
            Some(table) => {
                let mut table = Table {
                    columns: wanted.columns.clone(),
                    key: wanted.key.clone(),
                    encoding: wanted.encoding,
                    ..table.clone()
                };
                table.put_generated_in_order(wanted.generated.as_ref());
                found.push(table);
            }
        }
    }
    if obstacles.is_empty() {
        return Ok(found);
    }
    Err(Error::Preflight { obstacles })
}

/// Tables that hold rows already.
pub(super) async fn filled(session: &Session, tables: &[Table]) -> Result<Vec<String>> {
    let mut filled = Vec::new();
    for table in tables {
        for part in &table.parts {
            let query = format!(
                "SELECT EXISTS (SELECT FROM ONLY {} {})",
                part.name.quoted(),
                table.filter.as_deref().unwrap_or_default()
            );
            if session.row("looking into the tables", &query, &[]).await?.get(0) {
                filled.push(part.name.to_string());
            }
        }
    }
    Ok(filled)
}

async fn require_empty(session: &Session, tables: &[Table]) -> Result<()> {
    let filled = filled(session, tables).await?;
    if filled.is_empty() {
        return Ok(());
    }
    Err(refusal(
        format!("rows are already in {}", filled.join(", ")),
        "empty these tables first, or restore everything under another name",
    ))
}

/// Nobody else writes until the end, but to foreign tables, which cannot be locked.
async fn lock(session: &Session, tables: &[Table]) -> Result<()> {
    const BATCH: usize = 500;
    let names: Vec<String> = tables
        .iter()
        .filter(|table| table.foreign_server.is_none())
        .flat_map(|table| {
            std::iter::once(&table.name).chain(table.parts.iter().map(|part| &part.name))
        })
        .map(|name| format!("ONLY {}", name.quoted()))
        .collect();
    for batch in names.chunks(BATCH) {
        let sql = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", batch.join(", "));
        session.execute("locking the tables", &sql).await?;
    }
    Ok(())
}

/// Objects that would change or refuse rows on their way in: triggers, which are switched off, and
/// foreign keys, which are checked when all rows are there. A foreign key that is not valid is
/// dropped and added again, since the rows of the backup need not satisfy it. All are as before
/// when the transaction ends.
struct Guards {
    lower: Vec<String>,
    raise: Vec<String>,
}

impl Guards {
    async fn read(session: &Session, tables: &[Table]) -> Result<Self> {
        const TRIGGERS: &str = "
            SELECT pg_catalog.format('ALTER TABLE %I.%I', n.nspname, c.relname), pg_catalog.quote_ident(t.tgname), t.tgenabled::text
              FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND c.oid = ANY ($1) ORDER BY t.oid";
        const FOREIGN_KEYS: &str = "
            SELECT pg_catalog.format('ALTER TABLE %I.%I ALTER CONSTRAINT %I', n.nspname, c.relname, k.conname), k.condeferrable, k.condeferred,
                   k.convalidated, pg_catalog.format('ALTER TABLE %I.%I', n.nspname, c.relname), pg_catalog.quote_ident(k.conname),
                   pg_catalog.pg_get_constraintdef(k.oid), pg_catalog.format('COMMENT ON CONSTRAINT %I ON %I.%I IS %L', k.conname, n.nspname,
                     c.relname, pg_catalog.obj_description(k.oid, 'pg_constraint'))
              FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE k.contype = 'f' AND k.conparentid = 0 AND COALESCE(pg_catalog.to_jsonb(k) ->> 'conenforced', 'true') = 'true'
               AND EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) AS p WHERE p.relid = ANY ($1)
                           UNION ALL SELECT WHERE c.oid = ANY ($1))
             ORDER BY k.oid";
        let oids: Vec<u32> =
            tables.iter().flat_map(|table| table.parts.iter().map(|part| part.oid)).collect();
        let mut guards = Self { lower: Vec::new(), raise: Vec::new() };
        for row in session.rows("reading the triggers", TRIGGERS, &[&oids]).await? {
            let (table, name, state): (String, String, String) =
                (row.get(0), row.get(1), row.get(2));
            let always = if state == "A" { "ALWAYS " } else { "" };
            guards.lower.push(format!("{table} DISABLE TRIGGER {name}"));
            guards.raise.push(format!("{table} ENABLE {always}TRIGGER {name}"));
        }
        for row in session.rows("reading the foreign keys", FOREIGN_KEYS, &[&oids]).await? {
            let (constraint, is_deferrable, is_deferred): (String, bool, bool) =
                (row.get(0), row.get(1), row.get(2));
            if !row.get::<_, bool>(3) {
                let (table, name, definition, comment): (String, String, String, String) =
                    (row.get(4), row.get(5), row.get(6), row.get(7));
                guards.lower.push(format!("{table} DROP CONSTRAINT {name}"));
                guards.raise.push(format!("{table} ADD CONSTRAINT {name} {definition}"));
                guards.raise.push(comment);
                continue;
            }
            let before = match (is_deferrable, is_deferred) {
                (false, _) => "NOT DEFERRABLE",
                (true, false) => "DEFERRABLE INITIALLY IMMEDIATE",
                (true, true) => "DEFERRABLE INITIALLY DEFERRED",
            };
            guards.lower.push(format!("{constraint} DEFERRABLE INITIALLY DEFERRED"));
            guards.raise.push(format!("{constraint} {before}"));
        }
        Ok(guards)
    }

    async fn lower(&self, session: &Session) -> Result<()> {
        let context = "switching triggers and foreign keys off";
        for statement in &self.lower {
            session.execute(context, statement).await?;
        }
        Ok(())
    }

    /// Every foreign key is checked here, over all rows.
    async fn raise(&self, session: &Session) -> Result<()> {
        session.execute("checking the foreign keys", "SET CONSTRAINTS ALL IMMEDIATE").await?;
        let context = "switching triggers and foreign keys on";
        for statement in &self.raise {
            session.execute(context, statement).await?;
        }
        Ok(())
    }
}

async fn load_rows(order: &Order<'_>, session: &Session) -> Result<()> {
    let manifest = order.archive.manifest();
    let (foreign, mut members) =
        foreign_rows::split(manifest, load::wanted(manifest, order.selection));
    members.extend(foreign);
    let code = UserCode::indexed_tables(session).await?;
    let late = |member: &Member| {
        let table = member.table.map(|index| &manifest.census.tables[index].name);
        table.filter(|name| code.contains(*name))
    };
    // The sort is stable: all others stay in the order of the file, in which a referenced table comes first.
    members.sort_by_key(|member| late(member));
    order.progress.begin(
        Phase::Load,
        Work {
            bytes: members.iter().map(|member| member.raw).sum(),
            rows: members.iter().filter_map(|member| member.rows).sum(),
        },
    );
    for member in members {
        load_member(order, session, member).await?;
    }
    Ok(())
}

pub(super) async fn load_member(
    order: &Order<'_>,
    session: &Session,
    member: Member,
) -> Result<()> {
    let index = member.table.expect("data members have a table");
    let table = &order.archive.manifest().census.tables[index];
    let context = format!("loading {}", table.name);
    let columns = table.columns.iter().map(|column| column.name.as_str());
    let statement = copy_in_statement(&table.name, columns, table.encoding);
    let (archive, expected) = (order.archive.clone(), member.rows.unwrap_or(0));
    let reading = tokio::task::spawn_blocking(move || {
        let table = &archive.manifest().census.tables[index];
        let (raw, rows) = archive.reader()?.read_rows(&member, table)?;
        Ok::<_, Error>(Bytes::from(raw).slice(rows))
    });
    let rows = reading.await.map_err(|_| Error::WorkerDied { what: "decompressing".into() })??;
    let bytes = rows.len() as u64;
    let mut sink = pin!(session.copy_in(&context, &statement).await?);
    sink.send(rows).await.map_err(|error| Error::query(&context, error))?;
    let loaded =
        sink.finish().await.map_err(|error| Error::loading(&context, &table.name, error))?;
    load::require_taken(loaded, expected, &table.name)?;
    order.progress.advance(Work { bytes, rows: loaded });
    Ok(())
}

/// Counts and digests a table as this transaction sees it.
async fn digest(session: &Session, model: &TableCensus, table: &Table) -> Result<TableCensus> {
    let columns: Vec<String> = model.columns.iter().map(|column| column.name.clone()).collect();
    let mut tally = Tally::new(Key::new(&columns, &model.key));
    for part in &table.parts {
        let context = format!("reading {}", part.name);
        let mut stream = pin!(session.copy_out(&context, &table.copy_out(part, None)).await?);
        let mut open: Vec<u8> = Vec::new();
        while let Some(message) = stream.next().await {
            let message = message.map_err(|error| Error::query(&context, error))?;
            open.extend_from_slice(&message);
            if open.ends_with(b"\n") {
                table.tally(std::mem::take(&mut open).into(), &mut tally);
            }
        }
        if !open.is_empty() {
            return Err(Error::damaged(format!("the server ended {} inside a row", part.name)));
        }
    }
    Ok(TableCensus {
        rows: tally.rows,
        bytes: tally.bytes,
        digest: tally.digest,
        buckets: tally.buckets(),
        generated: table.generated_census(tally.generated),
        ..model.clone()
    })
}
