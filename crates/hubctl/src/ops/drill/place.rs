//! The place of a drill: away from everything that is in use, and removed afterwards.

use std::path::Path;

use pgsnap::{Database, ScratchOptions, ScratchServer};

use crate::ops::Ops;
use crate::unfinished;

/// The isolated place of one drill. Dropping it removes the copy.
pub(super) enum Place {
    Scratch(KeptCopy),
    Server(TemporaryDatabase),
}

/// A restored copy on a scratch server, which runs until this value is dropped.
#[derive(Debug)]
pub struct KeptCopy {
    server: ScratchServer,
    database: Database,
}

impl KeptCopy {
    /// The restored database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The directory with the socket of the server.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.server.directory()
    }
}

/// A database on a server in use that is dropped with this value.
pub(super) struct TemporaryDatabase {
    database: Database,
    keep: bool,
}

impl Place {
    /// A new server on this machine, of a version that can take the backup.
    pub(super) async fn scratch(major: u32) -> anyhow::Result<Self> {
        let mut options = ScratchOptions::default();
        options.at_least = major;
        options.offline = true;
        let server = ScratchServer::start(&options).await?;
        let database = server.database("drill");
        Ok(Self::Scratch(KeptCopy { server, database }))
    }

    /// A database of its own on a server that is there.
    pub(super) async fn on(
        ops: &Ops,
        server: &Database,
        service: &str,
        id: &str,
        keep: bool,
    ) -> anyhow::Result<Self> {
        let stem = format!("{service}__drill_");
        for name in leftovers(server, &stem).await? {
            ops.warn(format_args!(
                "an earlier drill left database {name} on this server; drop it when nobody needs it"
            ));
        }
        let database = server.with_name(&format!("{stem}{}", id.to_lowercase()));
        Ok(Self::Server(TemporaryDatabase { database, keep }))
    }

    pub(super) fn database(&self) -> &Database {
        match self {
            Self::Scratch(copy) => &copy.database,
            Self::Server(temporary) => &temporary.database,
        }
    }

    pub(super) fn is_scratch(&self) -> bool {
        matches!(self, Self::Scratch(_))
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Scratch(copy) if copy.server.is_offline() => {
                "a scratch server without a network".to_owned()
            }
            Self::Scratch(_) => "a scratch server".to_owned(),
            Self::Server(temporary) => temporary.database.to_string(),
        }
    }

    /// Removes the copy, unless it is to be kept.
    pub(super) async fn leave(self, keep: bool) -> anyhow::Result<Option<KeptCopy>> {
        match self {
            Self::Scratch(copy) => Ok(keep.then_some(copy)),
            Self::Server(_) if keep => Ok(None),
            Self::Server(temporary) => {
                let database = &temporary.database;
                unfinished::drop_database(database, database.name()).await?;
                Ok(None)
            }
        }
    }
}

/// Databases of earlier drills without sessions.
async fn leftovers(server: &Database, stem: &str) -> anyhow::Result<Vec<String>> {
    let sql = format!(
        "SELECT json_agg(datname) FROM pg_catalog.pg_database AS d WHERE starts_with(datname::text, {})
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.datid = d.oid)",
        literal(stem),
    );
    let found = pgsnap::query_scalar(&server.with_name("postgres"), &sql).await?;
    Ok(unfinished::names(found.as_deref()))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl TemporaryDatabase {
    /// Drops the copy, whose name holds service and id, so it belongs to no one else; and what a
    /// restore of it left, under whatever name that has.
    async fn remove(&self) -> pgsnap::Result<()> {
        unfinished::drop_database(&self.database, self.database.name()).await?;
        for left in unfinished::restoring(&self.database).await? {
            unfinished::drop_database(&self.database, &left).await?;
        }
        Ok(())
    }
}

impl Drop for TemporaryDatabase {
    /// Also when a signal dropped the drill: that is why it does not wait for anybody's runtime.
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let this = Self { database: self.database.clone(), keep: true };
        let removing = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            if let Ok(Err(error)) = runtime.map(|runtime| runtime.block_on(this.remove())) {
                tracing::error!(%error, database = %this.database, "the database of the drill could not be dropped");
            }
        });
        let _ = removing.join();
    }
}
