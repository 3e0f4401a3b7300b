//! Reading every row of a snapshot with several sessions: shared by dump, copy and census.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::catalog::Table;
use crate::census::TableCensus;
use crate::digest::{Key, Tally};
use crate::error::{Error, Result};
use crate::name::TableName;
use crate::progress::{Progress, Work};
use crate::session::Session;
use crate::snapshot::{Snapshot, lock_statement};
use crate::tallies::{Tallies, Total};

/// Pages of 8 KiB per piece of a big table: 64 MiB.
const PAGES_PER_PIECE: u64 = 8192;
const PAGE: u64 = 8192;

/// One COPY to run.
struct Piece {
    table: usize,
    part: usize,
    /// Pages `[from, to)`; `None` reads the whole part.
    pages: Option<(u64, Option<u64>)>,
}

/// The destination of rows that are counted and digested.
///
/// The dump compresses them, the copy sends them to another server, the census does nothing with
/// them, the delta looks for them in another database.
pub(crate) trait RowSink: Send + 'static {
    /// The next rows are of this part of this table.
    fn begin_of_piece(&mut self, _table: usize, _part: usize) {}
    /// Takes whole rows of one table, in the order they were read.
    fn rows(&mut self, table: usize, rows: Bytes) -> impl Future<Output = Result<()>> + Send;
    /// The rows given so far are complete; whatever is buffered must leave.
    fn end_of_piece(&mut self, table: usize) -> impl Future<Output = Result<()>> + Send;
    /// All pieces of a table have ended, this sink's and those of others.
    fn end_of_table(&mut self, _table: usize) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
    /// Rows that come after this must arrive after all that were given before.
    fn settle(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
    /// No more rows will come.
    fn finish(self) -> impl Future<Output = Result<()>> + Send;
}

/// Lets rows pass.
pub(crate) struct Discard;

impl RowSink for Discard {
    async fn rows(&mut self, _table: usize, _rows: Bytes) -> Result<()> {
        Ok(())
    }
    async fn end_of_piece(&mut self, _table: usize) -> Result<()> {
        Ok(())
    }
    async fn finish(self) -> Result<()> {
        Ok(())
    }
}

/// The unit of a worker's work: one piece of a big table, or many small tables.
type Group = Vec<Piece>;

struct Shared {
    tables: Vec<Table>,
    /// A stage begins when all sessions have ended the one before.
    stages: Vec<Mutex<VecDeque<Group>>>,
    barrier: Barrier,
    tallies: Tallies,
    lock_per_group: bool,
    progress: Arc<dyn Progress>,
}

/// Reads all rows of all tables with `jobs` sessions. Every session's failure fails the scan.
pub(crate) async fn scan<S: RowSink>(
    snapshot: &Snapshot,
    tables: Vec<Table>,
    jobs: usize,
    purpose: &str,
    progress: &Arc<dyn Progress>,
    mut sink: impl FnMut() -> S,
) -> Result<Vec<TableCensus>> {
    let stages = stages(&tables, pieces(&tables));
    let mut counts = vec![0; tables.len()];
    for piece in stages.iter().flatten().flatten() {
        counts[piece.table] += 1;
    }
    let widest = stages.iter().map(VecDeque::len).max().unwrap_or(1);
    let useful = jobs.clamp(1, widest.max(1));
    let workers_wanted = snapshot.readers(useful);
    if workers_wanted < useful {
        progress.note(&format!(
            "{workers_wanted} of {useful} sessions read rows: a writer waits for an exclusive lock in front of the others"
        ));
    }
    let shared = Arc::new(Shared {
        tallies: Tallies::new(counts),
        stages: stages.into_iter().map(Mutex::new).collect(),
        barrier: Barrier::new(workers_wanted),
        tables,
        lock_per_group: !snapshot.locks_eagerly(),
        progress: Arc::clone(progress),
    });
    let mut workers = JoinSet::new();
    for _ in 0..workers_wanted {
        let session = snapshot.worker(purpose).await?;
        workers.spawn(work(session, Arc::clone(&shared), sink()));
    }
    // Dropping the set aborts the workers that are left, so the first failure ends the scan.
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| Error::WorkerDied { what: format!("reading rows ({error})") })??;
    }
    let shared = Arc::into_inner(shared).expect("all workers have ended");
    let totals = shared.tallies.into_totals();
    Ok(shared.tables.iter().zip(totals).map(|(table, total)| table_census(table, total)).collect())
}

/// Big tables first, in pieces of consecutive pages, so that the last minutes are not one
/// worker's.
fn pieces(tables: &[Table]) -> Vec<(i64, Piece)> {
    let mut pieces: Vec<(i64, Piece)> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        for (part_index, part) in table.parts.iter().enumerate() {
            let pages = u64::try_from(part.size).unwrap_or(0) / PAGE;
            let splittable = part.heap && table.filter.is_none() && !table.columns.is_empty();
            if !splittable || pages <= PAGES_PER_PIECE * 3 / 2 {
                pieces
                    .push((part.total_size, Piece { table: index, part: part_index, pages: None }));
                continue;
            }
            let count = pages.div_ceil(PAGES_PER_PIECE);
            for piece in 0..count {
                // The last range is open: the table may have grown since it was measured.
                let to = (piece + 1 < count).then(|| (piece + 1) * PAGES_PER_PIECE);
                let range = Some((piece * PAGES_PER_PIECE, to));
                pieces.push((
                    part.total_size,
                    Piece { table: index, part: part_index, pages: range },
                ));
            }
        }
    }
    pieces.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    pieces
}

/// Tables whose rows call functions of the database come after all others, one after the other by
/// name, as `pg_dump` orders them: whoever loads the rows in the order in which they are read must
/// find what those functions look up.
fn stages(tables: &[Table], pieces: Vec<(i64, Piece)>) -> Vec<VecDeque<Group>> {
    let (late, early): (Vec<_>, Vec<_>) =
        pieces.into_iter().partition(|(_, piece)| tables[piece.table].calls_code);
    let mut by_name: BTreeMap<&TableName, Vec<(i64, Piece)>> = BTreeMap::new();
    for piece in late {
        let name = &tables[piece.1.table].name;
        by_name.entry(name).or_default().push(piece);
    }
    let mut stages = vec![groups(tables, early)];
    stages.extend(by_name.into_values().map(|pieces| groups(tables, pieces)));
    stages
}

/// Puts small tables together, to lock them with one statement, and tables whose foreign keys exist
/// when they are loaded into one group, referenced before referencing. Foreign tables are read
/// first, before much work may be in vain, and by one session: wrappers keep one remote transaction
/// for each, so that tables of one server are of one moment there.
fn groups(tables: &[Table], pieces: Vec<(i64, Piece)>) -> VecDeque<Group> {
    const TABLES: usize = 64;
    const SMALL: i64 = 1 << 20;
    let (foreign, own): (Vec<_>, Vec<_>) =
        pieces.into_iter().partition(|(_, piece)| tables[piece.table].foreign_server.is_some());
    let (mut tied, free): (Vec<_>, Vec<_>) =
        own.into_iter().partition(|(_, piece)| tables[piece.table].tied.is_some());
    tied.sort_by_key(|(_, piece)| tables[piece.table].tied);
    let (small, big): (Vec<_>, Vec<_>) = free.into_iter().partition(|(size, _)| *size <= SMALL);
    let without_size = |pieces: Vec<(i64, Piece)>| pieces.into_iter().map(|(_, piece)| piece);
    let mut groups: VecDeque<Group> = VecDeque::new();
    if !foreign.is_empty() {
        groups.push_back(without_size(foreign).collect());
    }
    if !tied.is_empty() {
        groups.push_back(without_size(tied).collect());
    }
    groups.extend(without_size(big).map(|piece| vec![piece]));
    let mut small = without_size(small).peekable();
    while small.peek().is_some() {
        groups.push_back(small.by_ref().take(TABLES).collect());
    }
    groups
}

async fn work<S: RowSink>(session: Session, shared: Arc<Shared>, mut sink: S) -> Result<()> {
    for (number, stage) in shared.stages.iter().enumerate() {
        if number > 0 {
            sink.settle().await?;
            shared.barrier.wait().await;
        }
        work_through(stage, &session, &shared, &mut sink).await?;
    }
    sink.finish().await?;
    // A COPY stream ends before its final message is read; asking something proves that no error
    // followed it. COMMIT alone would not: in a failed transaction it reports success.
    session.execute("the end of a worker's snapshot", "SELECT 1").await?;
    session.execute("the end of a worker's snapshot", "COMMIT").await
}

/// Reads groups of a stage until none is left.
async fn work_through<S: RowSink>(
    stage: &Mutex<VecDeque<Group>>,
    session: &Session,
    shared: &Shared,
    sink: &mut S,
) -> Result<()> {
    loop {
        let next = stage.lock().expect("no worker panics while it holds the queue").pop_front();
        let Some(group) = next else { return Ok(()) };
        let is_foreign = shared.tables[group[0].table].foreign_server.is_some();
        if is_foreign {
            session.read_foreign_tables().await?;
        } else if shared.lock_per_group {
            let parts =
                group.iter().map(|piece| &shared.tables[piece.table].parts[piece.part].name);
            session.execute("locking tables", &lock_statement(parts)).await?;
        }
        for piece in &group {
            read_piece(session, shared, piece, sink).await?;
        }
        if is_foreign {
            session.read_tables_only().await?;
        }
    }
}

/// Rows are handed on in portions of about this size, to keep the cost per row low.
const PORTION: usize = 64 << 10;

/// No server makes a longer one (`MaxAllocSize`).
const LONGEST_ROW: usize = (1 << 30) + PORTION;

async fn read_piece<S: RowSink>(
    session: &Session,
    shared: &Shared,
    piece: &Piece,
    sink: &mut S,
) -> Result<()> {
    let table = &shared.tables[piece.table];
    let part = &table.parts[piece.part];
    let context = format!("reading {}", part.name);
    sink.begin_of_piece(piece.table, piece.part);
    let mut stream = pin!(session.copy_out(&context, &table.copy_out(part, piece.pages)).await?);
    let too_long = || Error::TooLarge { what: format!("a row of {}", part.name) };
    let mut tally = Tally::new(table.digest_key());
    let mut portion: Vec<u8> = Vec::with_capacity(PORTION + (PORTION >> 2));
    loop {
        let message =
            stream.next().await.transpose().map_err(|error| Error::query(&context, error))?;
        let ended = message.is_none();
        let mut whole = None;
        match message {
            // A long row is handed on as it came: a copy of it may be another gigabyte.
            Some(bytes)
                if portion.is_empty() && bytes.len() >= PORTION && bytes.ends_with(b"\n") =>
            {
                whole = Some(bytes);
            }
            Some(bytes) => {
                if portion.len() + bytes.len() > LONGEST_ROW {
                    return Err(too_long());
                }
                portion.try_reserve(bytes.len()).map_err(|_| too_long())?;
                portion.extend_from_slice(&bytes);
            }
            None => {}
        }
        // The server sends whole rows per message today, but the protocol does not promise it.
        let at_row_end = whole.is_some() || portion.last() == Some(&b'\n');
        if ended || whole.is_some() || (portion.len() >= PORTION && at_row_end) {
            if !portion.is_empty() && !at_row_end {
                return Err(Error::Damaged {
                    what: format!("the server ended {} inside a row", part.name),
                });
            }
            let full = whole.unwrap_or_else(|| {
                let next = Vec::with_capacity(PORTION + (PORTION >> 2));
                Bytes::from(std::mem::replace(&mut portion, next))
            });
            let before = tally.rows;
            let bytes = full.len() as u64;
            let rows = table.tally(full, &mut tally);
            shared.progress.advance(Work { bytes, rows: tally.rows - before });
            sink.rows(piece.table, rows).await?;
        }
        if ended {
            break;
        }
    }
    sink.end_of_piece(piece.table).await?;
    if shared.tallies.add(piece.table, tally).is_some() {
        sink.end_of_table(piece.table).await?;
    }
    Ok(())
}

impl Table {
    pub(crate) fn digest_key(&self) -> Key {
        let columns: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        Key::new(&columns, &self.key)
    }
}

fn table_census(table: &Table, total: Total) -> TableCensus {
    TableCensus {
        name: table.name.clone(),
        columns: table.columns.clone(),
        key: table.key.clone(),
        rows: total.rows,
        bytes: total.bytes,
        digest: total.digest,
        buckets: total.buckets,
        with_partitions: table.with_partitions,
        filter: table.filter.clone(),
        foreign_server: table.foreign_server.clone(),
        generated: table.generated_census(total.generated),
        encoding: table.encoding,
    }
}

/// About how much a scan will read, for progress.
pub(crate) fn expected(tables: &[Table]) -> Work {
    let bytes = tables
        .iter()
        .flat_map(|table| &table.parts)
        .map(|part| u64::try_from(part.total_size).unwrap_or(0))
        .sum();
    Work { bytes, rows: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Part;
    use crate::census::Column;

    fn table(size_in_pages: u64, heap: bool) -> Table {
        let name = TableName::new("public", "t");
        let size = (size_in_pages * PAGE) as i64;
        Table {
            name: name.clone(),
            columns: vec![Column { name: "id".into(), r#type: "integer".into() }],
            generated: Vec::new(),
            key: vec!["id".into()],
            filter: None,
            tied: None,
            calls_code: false,
            with_partitions: false,
            foreign_server: None,
            encoding: None,
            located: false,
            parts: vec![Part { oid: 1, name, size, total_size: size, heap }],
        }
    }

    #[test]
    fn a_big_table_is_read_in_pieces_that_leave_no_page_out() {
        let pieces: Vec<_> = pieces(&[table(PAGES_PER_PIECE * 3 + 1, true)])
            .into_iter()
            .map(|(_, piece)| piece.pages.unwrap())
            .collect();
        assert_eq!(pieces.len(), 4);
        assert_eq!(pieces[0].0, 0);
        for pair in pieces.windows(2) {
            assert_eq!(pair[0].1, Some(pair[1].0));
        }
        assert_eq!(pieces[3].1, None, "the last piece is open: the table may have grown");
    }

    #[test]
    fn other_access_methods_and_small_tables_are_read_whole() {
        assert!(pieces(&[table(PAGES_PER_PIECE * 3, false)])[0].1.pages.is_none());
        assert!(pieces(&[table(10, true)])[0].1.pages.is_none());
    }

    #[test]
    fn small_tables_are_read_in_groups_and_big_ones_alone() {
        let mut tables = vec![table(PAGES_PER_PIECE * 3, true)];
        tables.extend((0..100).map(|_| table(1, true)));
        let sizes: Vec<_> = groups(&tables, pieces(&tables)).iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 1, 1, 64, 36]);
    }
}
