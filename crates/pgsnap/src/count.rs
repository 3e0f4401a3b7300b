//! The census of a live database.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{self, Table};
use crate::census::{Census, SchemaFingerprint, TableCensus};
use crate::database::Database;
use crate::ddl::Ddl;
use crate::definitions::EarlyDdl;
use crate::digest::{Buckets, Digest};
use crate::dump::default_jobs;
use crate::encoding;
use crate::error::{Error, Result};
use crate::foreign_data;
use crate::large_object::{self, NoPieces};
use crate::name::TableName;
use crate::progress::{Phase, Progress, Work};
use crate::scan::{self, Discard, scan};
use crate::snapshot::Snapshot;
use crate::standby;
use crate::tools::PgDump;

/// Options of a census.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CensusOptions {
    /// Sessions that read rows. Default: the number of processors, at least 2.
    pub jobs: usize,
    /// Digest every row (the default), or only count.
    pub content: bool,
    /// Fingerprint the schema with `pg_dump`. Default: yes.
    pub schema: bool,
    /// Count the rows of foreign tables of these foreign servers, too, by their exact names.
    /// Default: none, nobody else is asked.
    pub foreign_data: Vec<String>,
    /// Only these tables, or all.
    pub tables: Option<Vec<TableName>>,
    /// Read columns in the order this census has them, where a table has the same columns in
    /// another order: a digest depends on the order of the fields. Rows that it has in the encoding
    /// of this database are read in it.
    pub columns_like: Option<Census>,
    /// The longest wait for a lock on the tables. Default: 30 s.
    pub lock_timeout: Duration,
    /// Directories to look for `pg_dump` in, before the usual places.
    pub bin_directories: Vec<PathBuf>,
}

impl Default for CensusOptions {
    fn default() -> Self {
        Self {
            jobs: default_jobs(),
            content: true,
            schema: true,
            foreign_data: Vec::new(),
            tables: None,
            columns_like: None,
            lock_timeout: Duration::from_secs(30),
            bin_directories: Vec::new(),
        }
    }
}

/// Counts and digests everything in a database, as of one snapshot.
///
/// # Errors
/// As for [`dump`](crate::dump): a table that cannot be read whole fails the census.
pub async fn census(
    database: &Database,
    options: &CensusOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Census> {
    match read(database, options, None, progress).await {
        // A writer locks tables exclusively, again and again: the definitions come first then.
        Err(Error::LockQueue) => {
            let early = EarlyDdl::find(database, &options.bin_directories, options.lock_timeout);
            read(database, options, Some(early.await?), progress).await
        }
        census => census,
    }
}

async fn read(
    database: &Database,
    options: &CensusOptions,
    early: Option<EarlyDdl>,
    progress: &Arc<dyn Progress>,
) -> Result<Census> {
    progress.begin(Phase::Snapshot, Work::default());
    let workers = if options.content { options.jobs } else { 0 };
    let snapshot = Snapshot::take(database, "census", options.lock_timeout, workers).await?;
    standby::note_what_is_missing(&snapshot, progress).await?;
    foreign_data::require_servers(&snapshot.leader, &options.foreign_data).await?;
    let rows = async {
        let mut tables = snapshot.tables(&options.foreign_data).await?;
        if let Some(wanted) = &options.tables {
            select(&mut tables, wanted, database)?;
        }
        if let Some(like) = &options.columns_like {
            align_columns(&mut tables, like);
        }
        if options.content {
            let like = options.columns_like.as_ref();
            encoding::settle(&snapshot, &mut tables, like, progress).await?;
        }
        progress.begin(Phase::Census, scan::expected(&tables));
        if options.content {
            scan(&snapshot, tables, options.jobs, "census", progress, || Discard).await
        } else {
            counts(&snapshot, &tables, progress).await
        }
    };
    let (tables, schema) =
        tokio::try_join!(rows, fingerprint(database, &snapshot, early, options, progress))?;
    let census = Census {
        tables,
        large_objects: large_object::read(&snapshot.leader, &mut NoPieces).await?,
        sequences: catalog::sequences(&snapshot.leader).await?,
        extensions: catalog::extensions(&snapshot.leader).await?,
        locale: snapshot.facts.locale.clone(),
        schema,
        content: options.content,
    };
    snapshot.finish().await?;
    Ok(census)
}

/// A missing `pg_dump` does not make a census of rows impossible; it is said, and the schema is
/// left out.
async fn fingerprint(
    database: &Database,
    snapshot: &Snapshot,
    early: Option<EarlyDdl>,
    options: &CensusOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Option<SchemaFingerprint>> {
    if !options.schema {
        return Ok(None);
    }
    let major = snapshot.facts.server_major();
    match PgDump::find(major, &options.bin_directories).await {
        Ok(tool) => {
            let ddl = match early {
                Some(early) => early.into_ddl(snapshot, database).await?,
                None => Ddl::read(database, &tool, snapshot, options.lock_timeout).await?,
            };
            Ok(Some(ddl.fingerprint(&tool, major)))
        }
        Err(error @ Error::PgDumpMissing { .. }) => {
            progress.note(&format!("the schema is not compared: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn select(tables: &mut Vec<Table>, wanted: &[TableName], database: &Database) -> Result<()> {
    if let Some(missing) =
        wanted.iter().find(|name| !tables.iter().any(|table| &table.name == *name))
    {
        return Err(Error::NoSuchTable { name: missing.to_string(), place: database.to_string() });
    }
    tables.retain(|table| wanted.contains(&table.name));
    Ok(())
}

fn align_columns(tables: &mut [Table], like: &Census) {
    for table in tables {
        if let Some(model) = like.table(&table.name) {
            table.put_columns_in_order(&model.columns);
            table.put_generated_in_order(model.generated.as_ref());
        }
    }
}

async fn counts(
    snapshot: &Snapshot,
    tables: &[Table],
    progress: &Arc<dyn Progress>,
) -> Result<Vec<TableCensus>> {
    let mut counted = Vec::new();
    for table in tables {
        if table.foreign_server.is_some() {
            snapshot.leader.read_foreign_tables().await?;
        }
        let row =
            snapshot.leader.row(&format!("counting {}", table.name), &table.count(), &[]).await?;
        if table.foreign_server.is_some() {
            snapshot.leader.read_tables_only().await?;
        }
        let rows = u64::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        progress.advance(Work { bytes: 0, rows });
        counted.push(TableCensus {
            name: table.name.clone(),
            columns: table.columns.clone(),
            key: table.key.clone(),
            rows,
            bytes: 0,
            digest: Digest::default(),
            buckets: Buckets::default(),
            with_partitions: table.with_partitions,
            filter: table.filter.clone(),
            foreign_server: table.foreign_server.clone(),
            generated: None,
            encoding: None,
        });
    }
    Ok(counted)
}
