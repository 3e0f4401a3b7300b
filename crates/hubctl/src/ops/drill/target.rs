//! The place of a drill: away from everything that is in use, and removed afterwards.

use std::path::Path;

use pgsnap::{Database, ScratchOptions, ScratchServer, TemporaryDatabase};

use crate::ops::Ops;

/// The isolated place of one drill. Dropping it removes the copy.
pub(super) enum DrillTarget {
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

impl DrillTarget {
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
        for name in TemporaryDatabase::left_over(server, &stem).await? {
            ops.warn(format_args!(
                "an earlier drill left database {name} on this server; drop it if it is not needed"
            ));
        }
        let database = server.with_name(&format!("{stem}{}", id.to_lowercase()));
        let mut temporary = TemporaryDatabase::new(database);
        if keep {
            temporary.keep();
        }
        Ok(Self::Server(temporary))
    }

    pub(super) fn database(&self) -> &Database {
        match self {
            Self::Scratch(copy) => &copy.database,
            Self::Server(temporary) => temporary.database(),
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
            Self::Server(temporary) => temporary.database().to_string(),
        }
    }

    /// Removes the copy, unless it is to be kept.
    pub(super) async fn leave(self, keep: bool) -> anyhow::Result<Option<KeptCopy>> {
        match self {
            Self::Scratch(copy) => Ok(keep.then_some(copy)),
            Self::Server(_) if keep => Ok(None),
            Self::Server(temporary) => {
                temporary.remove().await?;
                Ok(None)
            }
        }
    }
}
