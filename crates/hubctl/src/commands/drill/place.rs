//! Where a drill restores to: away from everything that is in use, and gone afterwards.

use pgsnap::{Database, ScratchOptions, ScratchServer};

use crate::context::Context;
use crate::printer::Printer;
use crate::unfinished;

/// The isolated place of one drill. Dropping it removes the copy.
pub(super) enum Place {
    Scratch { server: ScratchServer, database: Database },
    Server(TemporaryDatabase),
}

/// A database on somebody's server that is dropped with this value.
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
        Ok(Self::Scratch { server, database })
    }

    /// A database of its own on a server that is there.
    pub(super) async fn on(
        server: &Database,
        service: &str,
        id: &str,
        keep: bool,
        printer: &Printer,
    ) -> anyhow::Result<Self> {
        let stem = format!("{service}__drill_");
        for name in leftovers(server, &stem).await? {
            printer.warn(format_args!(
                "an earlier drill left database {name} on this server; drop it when nobody needs it"
            ));
        }
        let database = server.with_name(&format!("{stem}{}", id.to_lowercase()));
        Ok(Self::Server(TemporaryDatabase { database, keep }))
    }

    pub(super) fn database(&self) -> &Database {
        match self {
            Self::Scratch { database, .. } => database,
            Self::Server(temporary) => &temporary.database,
        }
    }

    pub(super) fn is_scratch(&self) -> bool {
        matches!(self, Self::Scratch { .. })
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Scratch { server, .. } if server.is_offline() => {
                "a scratch server without a network".to_owned()
            }
            Self::Scratch { .. } => "a scratch server".to_owned(),
            Self::Server(temporary) => temporary.database.to_string(),
        }
    }

    /// Ends the drill. A kept scratch server lives until Ctrl-C; its copy is not to survive the
    /// program.
    pub(super) async fn leave(self, context: &Context, keep: bool) -> anyhow::Result<()> {
        match self {
            Self::Scratch { server, database } if keep => {
                let directory = server.directory().display();
                context.printer.say(format_args!(
                    "the copy is kept: psql -h {directory} -U {} {}",
                    database.user(),
                    database.name()
                ));
                context.printer.say("press Ctrl-C to end the drill");
                context.hold.wait().await;
                Ok(())
            }
            Self::Server(temporary) if !keep => {
                let database = &temporary.database;
                Ok(unfinished::drop_database(database, database.name()).await?)
            }
            _ => Ok(()),
        }
    }
}

/// Databases of earlier drills that nobody is connected to.
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
    /// Drops the copy, which is one of service and id, so that it can be nobody else's; and what a
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
