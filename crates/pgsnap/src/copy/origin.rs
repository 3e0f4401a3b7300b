//! The database that is copied, as it is before its snapshot is taken.

use crate::catalog::{self, Table};
use crate::census::{Census, LargeObjects, TableCensus};
use crate::copy::{CopyOptions, CopyPlan};
use crate::database::Database;
use crate::digest::{Buckets, Digest};
use crate::dump::provenance;
use crate::error::Result;
use crate::facts::Facts;
use crate::foreign_data;
use crate::manifest::{FORMAT, Manifest};
use crate::restore::{Obstacle, RestoreOptions, Selection, Target};
use crate::same::is_seen_at;
use crate::session::Session;
use crate::tools::PgDump;

/// A session of the source that holds no lock on any table, and what it saw.
pub(crate) struct Origin {
    session: Session,
    label: String,
    tool: PgDump,
    /// The manifest an archive of the database would have, with sizes for the numbers that are not
    /// known yet.
    manifest: Manifest,
}

impl Origin {
    /// Asks for what the target must provide, and whether everything may be read.
    pub(crate) async fn read(source: &Database, options: &CopyOptions) -> Result<Self> {
        let session = Session::open_read_only(source, "copy").await?;
        // Asking for the size of a table waits for whoever has locked it.
        let limit = format!("SET lock_timeout = {}", options.lock_timeout.as_millis());
        session.execute("the session settings", &limit).await?;
        let facts = Facts::read(&session).await?;
        let tool = PgDump::find(facts.server_major(), &options.bin_directories).await?;
        foreign_data::require_no_rerouting(&session).await?;
        let tables = catalog::tables(&session, &[]).await?;
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            writer: concat!("pgsnap ", env!("CARGO_PKG_VERSION")).to_owned(),
            taken_at: facts.now.clone(),
            census: Census {
                tables: tables.iter().map(estimate).collect(),
                sequences: Vec::new(),
                large_objects: LargeObjects::default(),
                extensions: catalog::extensions(&session).await?,
                locale: facts.locale.clone(),
                schema: None,
                content: false,
            },
            source: provenance(&session, facts, &tool).await?,
            members: Vec::new(),
        };
        Ok(Self { session, label: source.to_string(), tool, manifest })
    }

    /// Plans a copy to this server.
    pub(crate) async fn plan(&self, server: &Target, options: &RestoreOptions) -> Result<CopyPlan> {
        let selection = Selection::of_everything(&self.manifest, options);
        let mut target = server.plan(&self.manifest, &selection, options).await?;
        if is_seen_at(&self.session, &server.session, &server.name).await? {
            // Whatever else is in the way, such as our own session, follows from this.
            target.obstacles = vec![Obstacle::new(
                "the source and the target are the same database",
                "copy to another name",
            )];
        }
        let census = &self.manifest.census;
        Ok(CopyPlan {
            source: self.label.clone(),
            tables: census.tables.len(),
            bytes: census.bytes(),
            target,
        })
    }

    /// Ends the session.
    pub(crate) fn leave(self) -> (PgDump, Manifest) {
        (self.tool, self.manifest)
    }
}

/// A table before its rows were read: its size instead of their number.
fn estimate(table: &Table) -> TableCensus {
    TableCensus {
        name: table.name.clone(),
        columns: table.columns.clone(),
        key: table.key.clone(),
        rows: 0,
        bytes: table.parts.iter().map(|part| u64::try_from(part.total_size).unwrap_or(0)).sum(),
        digest: Digest::default(),
        buckets: Buckets::default(),
        with_partitions: table.with_partitions,
        filter: table.filter.clone(),
        foreign_server: table.foreign_server.clone(),
        generated: None,
        encoding: None,
    }
}
