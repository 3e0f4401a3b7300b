//! Loading rows with several sessions, each taking whole members.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::SinkExt;
use std::pin::pin;
use tokio::task::{JoinHandle, JoinSet};

use crate::archive::{Archive, MemberReader, copy_in_statement};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Member, MemberKind};
use crate::name::TableName;
use crate::progress::{Phase, Progress, Work};
use crate::restore::Selection;
use crate::restore::post_data::{INDEX_SETTINGS, describe};
use crate::restore::rerouting::{Rerouted, Tree};
use crate::restore::schedule::{Build, Run, Schedule, Task};
use crate::restore::staging::Staging;
use crate::restore::tied::tied;
use crate::session::Session;
use crate::user_code::UserCode;

/// The members to load, in file order.
pub(crate) fn wanted(manifest: &Manifest, selection: &Selection) -> Vec<Member> {
    let tables = &manifest.census.tables;
    let is_wanted = |member: &&Member| {
        let table = member.table.map(|index| &tables[index]);
        table.is_some_and(|table| selection.holds_table(table))
    };
    manifest.members_of(MemberKind::Data).filter(is_wanted).cloned().collect()
}

/// Loads members with `jobs` sessions, and builds the indexes that need nothing but the rows of
/// their table. Tables that call functions of the database come after all others, one after the
/// other. Every session's failure fails the load. Returns the partitioned tables through which rows
/// had to be loaded.
pub(crate) async fn load(
    archive: &Archive,
    database: &Database,
    members: Vec<Member>,
    builds: Vec<Build>,
    code: &UserCode,
    jobs: usize,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<Tree>> {
    let rerouted = Arc::new(Rerouted::default());
    let rows = members.iter().filter_map(|member| member.rows).sum();
    progress
        .begin(Phase::Load, Work { bytes: members.iter().map(|member| member.raw).sum(), rows });
    let session = Session::open(database, "restore").await?;
    let tied = tied(&session, archive.manifest()).await?;
    let (first, rest): (Vec<Member>, Vec<Member>) = members
        .into_iter()
        .partition(|member| member.table.is_some_and(|index| tied.contains(&index)));
    let tables = &archive.manifest().census.tables;
    let name = |member: &Member| member.table.map(|index| &tables[index].name);
    let (late, rest): (Vec<Member>, Vec<Member>) = rest
        .into_iter()
        .partition(|member| name(member).is_some_and(|name| code.is_called_by(name)));
    let mut by_name: BTreeMap<&TableName, Vec<Member>> = BTreeMap::new();
    for member in late {
        by_name
            .entry(&tables[member.table.expect("data members have a table")].name)
            .or_default()
            .push(member);
    }
    let loading = Loading { archive, database, progress, rerouted: &rerouted };
    if !first.is_empty() {
        let schedule = Schedule::new(first, Vec::new());
        loading.run(schedule, None, 1).await?;
    }
    let schedule = Schedule::new(rest, builds);
    loading.run(schedule, None, jobs).await?;
    for (name, members) in by_name {
        let schedule = Schedule::new(members, Vec::new());
        match code.owner_to_load_as(name) {
            Some(owner) => {
                let loaded = loading.run_as(owner, name, schedule, &session, jobs);
                loaded.await?;
            }
            None => loading.run(schedule, None, jobs).await?,
        }
    }
    Ok(rerouted.trees())
}

/// The state that all sessions of a load share.
struct Loading<'a> {
    archive: &'a Archive,
    database: &'a Database,
    progress: &'a Arc<dyn Progress>,
    rerouted: &'a Arc<Rerouted>,
}

impl Loading<'_> {
    /// Loads into the tables themselves, or all into one other table.
    async fn run(&self, schedule: Schedule, into: Option<TableName>, jobs: usize) -> Result<()> {
        let schedule = Arc::new(schedule);
        let mut workers = JoinSet::new();
        for _ in 0..jobs.max(1) {
            let session = Session::open(self.database, "restore").await?;
            session.execute("the session settings", INDEX_SETTINGS).await?;
            let loader = Loader {
                archive: self.archive.clone(),
                session,
                schedule: Arc::clone(&schedule),
                into: into.clone(),
                progress: Arc::clone(self.progress),
                rerouted: Arc::clone(self.rerouted),
            };
            workers.spawn(loader.run());
        }
        while let Some(ended) = workers.join_next().await {
            ended
                .map_err(|error| Error::WorkerDied { what: format!("loading rows ({error})") })??;
        }
        Ok(())
    }

    /// Loads one table as its owner.
    async fn run_as(
        &self,
        owner: &str,
        table: &TableName,
        schedule: Schedule,
        session: &Session,
        jobs: usize,
    ) -> Result<()> {
        let census = self.archive.manifest().census.table(table);
        let columns = census.into_iter().flat_map(|table| &table.columns);
        let columns = columns.map(|column| column.name.as_str());
        let staging = Staging::begin(session, table, columns, owner).await?;
        self.run(schedule, Some(staging.rows()), jobs).await?;
        staging.move_rows(session).await
    }
}

/// A crash of the server may lose the last commits of these sessions; the restore would then
/// fail its proof or never be swapped in. `COMMIT` of the swap is synchronous and flushes them.
pub(crate) const SETTINGS: &str = "SET synchronous_commit = off";

/// Rows diverted by a trigger or rule would not be counted; there are none at this stage.
pub(crate) fn require_taken(loaded: u64, expected: u64, table: &TableName) -> Result<()> {
    if loaded == expected {
        return Ok(());
    }
    Err(Error::damaged(format!("the server took {loaded} of {expected} rows of {table}")))
}

/// Builds an index.
pub(crate) async fn run_build(
    session: &Session,
    build: &Build,
    schedule: &Schedule,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    session.execute(&describe(&build.statement), &build.statement).await?;
    // Before that, the progress shows rows.
    if schedule.all_loaded() {
        progress.advance(Work { bytes: 0, rows: 1 });
    }
    Ok(())
}

/// Notes that rows of a table are loaded; its indexes may be built once all are.
pub(crate) fn note_loaded(table: usize, schedule: &Schedule, progress: &Arc<dyn Progress>) {
    if let Some(left) = schedule.loaded(table) {
        let rows = left as u64;
        progress.begin(Phase::Index, Work { bytes: 0, rows });
    }
}

struct Loader {
    archive: Archive,
    session: Session,
    schedule: Arc<Schedule>,
    /// The table that takes all rows, in place of their own.
    into: Option<TableName>,
    progress: Arc<dyn Progress>,
    rerouted: Arc<Rerouted>,
}

type Reading = JoinHandle<Result<(MemberReader, Bytes)>>;

impl Loader {
    async fn run(self) -> Result<()> {
        let mut reader = Some(self.archive.reader()?);
        while let Some(task) = self.schedule.next().await {
            match task {
                Task::Build(build) => {
                    run_build(&self.session, &build, &self.schedule, &self.progress).await?;
                }
                Task::Load(run) => {
                    let table = run[0].table.expect("data members have a table");
                    let taken = reader.take().expect("put back after every run");
                    reader = Some(self.load_or_reroute(run, taken).await?);
                    note_loaded(table, &self.schedule, &self.progress);
                }
            }
        }
        Ok(())
    }

    /// Loads members of one table, once more through the partitioned table it belongs to if it does
    /// not take the rows.
    async fn load_or_reroute(&self, run: Run, reader: MemberReader) -> Result<MemberReader> {
        let manifest = self.archive.manifest();
        let table = &manifest.census.tables[run[0].table.expect("data members have a table")];
        if let Some(into) = &self.into {
            return self.load_run(run, reader, into).await;
        }
        match self.load_run(run.clone(), reader, &table.name).await {
            Err(Error::PartitionBound { .. }) => {}
            loaded => return loaded,
        }
        // The refused COPY has left nothing behind.
        let tree = Tree::of(&self.session, manifest, table).await?;
        let reader = self.archive.reader()?;
        let loaded = self.load_run(run, reader, &tree.root).await;
        let reader = loaded.map_err(|error| tree.refused(table, error))?;
        self.rerouted.note(tree);
        Ok(reader)
    }

    /// Loads members of one table into it, or into one that has the same columns, in one COPY; the
    /// next member is read and decompressed while the server takes the present one.
    async fn load_run(
        &self,
        run: Vec<Member>,
        reader: MemberReader,
        into: &TableName,
    ) -> Result<MemberReader> {
        /// Bytes per protocol message.
        const MESSAGE: usize = 128 << 10;
        let manifest = self.archive.manifest();
        let table = &manifest.census.tables[run[0].table.expect("data members have a table")];
        let context = format!("loading {}", table.name);
        let statement = copy_in_statement(
            into,
            table.columns.iter().map(|column| column.name.as_str()),
            table.encoding,
        );
        let mut sink = pin!(self.session.copy_in(&context, &statement).await?);
        let expected: u64 = run.iter().filter_map(|member| member.rows).sum();
        let mut members = run.into_iter();
        let first = members.next().expect("a run has a member");
        let mut reading = self.read(reader, first);
        let reader = loop {
            let (reader, rows) =
                reading.await.map_err(|_| Error::WorkerDied { what: "decompressing".into() })??;
            let mut reader = Some(reader);
            let next = members
                .next()
                .map(|member| self.read(reader.take().expect("just received"), member));
            let mut rest = rows;
            while !rest.is_empty() {
                let message = rest.split_to(rest.len().min(MESSAGE));
                let bytes = message.len() as u64;
                sink.feed(message).await.map_err(|error| Error::query(&context, error))?;
                self.progress.advance(Work { bytes, rows: 0 });
            }
            match next {
                Some(next) => reading = next,
                None => break reader.expect("no further read was started"),
            }
        };
        let loaded =
            sink.finish().await.map_err(|error| Error::loading(&context, &table.name, error))?;
        require_taken(loaded, expected, &table.name)?;
        self.progress.advance(Work { bytes: 0, rows: loaded });
        Ok(reader)
    }

    fn read(&self, mut reader: MemberReader, member: Member) -> Reading {
        let archive = self.archive.clone();
        tokio::task::spawn_blocking(move || {
            let table =
                &archive.manifest().census.tables[member.table.expect("data members have a table")];
            let (raw, rows) = reader.read_rows(&member, table)?;
            Ok((reader, Bytes::from(raw).slice(rows)))
        })
    }
}
