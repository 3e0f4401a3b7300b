//! Making a connection, and making sure that it leads to a session of its own.

use std::sync::{Arc, OnceLock};

use tokio::task::JoinHandle;
use tokio_postgres::tls::{NoTls, TlsStream};
use tokio_postgres::{Client, Config, Connection, Socket};

use crate::database::Database;
use crate::error::{Error, Result};
use crate::random::random_digits;
use crate::tls::TlsFailure;

/// A setting of ours with a value that no other session has, given when the session starts. A pooler hands out
/// sessions that others started, or refuses to pass such a thing on: what comes back tells.
const MARK: &str = "pgsnap.session";

/// Asks for the mark. It may be the last of several statements.
pub(super) const ASK_MARK: &str = "SELECT pg_catalog.current_setting('pgsnap.session', true)";

/// A connection that works by itself, and what is needed to judge it.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) driver: JoinHandle<()>,
    /// What the server said when it ended the session by itself.
    pub(super) farewell: Arc<OnceLock<tokio_postgres::Error>>,
    mark: String,
}

impl Connected {
    pub(super) async fn open(database: &Database, purpose: &str) -> Result<Self> {
        let mark = random_digits()?;
        let mut config = database.config(&format!("pgsnap {purpose}"));
        let options = format!(
            "{} -c {MARK}={mark}",
            database.options().unwrap_or_default()
        );
        config.options(options.trim_start());
        let farewell = Arc::new(OnceLock::new());
        let connected = match database.connector()? {
            Some(tls) => connect(&config, tls, &farewell).await,
            None => connect(&config, NoTls, &farewell).await,
        };
        let (client, driver) = connected.map_err(|error| refused(database, error))?;
        Ok(Self {
            client,
            driver,
            farewell,
            mark,
        })
    }

    /// Whether the session that answers is the one that was started.
    pub(super) fn is_marked(&self, answer: Option<&str>) -> bool {
        answer == Some(&self.mark)
    }
}

async fn connect<T>(
    config: &Config,
    tls: T,
    farewell: &Arc<OnceLock<tokio_postgres::Error>>,
) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error>
where
    T: tokio_postgres::tls::MakeTlsConnect<Socket>,
    T::Stream: TlsStream + Unpin + Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    let driver = tokio::spawn(drive(connection, Arc::clone(farewell)));
    Ok((client, driver))
}

/// The reason is noted before the connection is dropped, because that is what wakes those who wait for answers.
async fn drive<S>(
    mut connection: Connection<Socket, S>,
    farewell: Arc<OnceLock<tokio_postgres::Error>>,
) where
    S: TlsStream + Unpin + Send + 'static,
{
    if let Err(error) = (&mut connection).await {
        tracing::debug!(%error, "the connection ended");
        let _ = farewell.set(error);
    }
}

/// Poolers that know no `options` refuse them with SQLSTATE 08P01.
fn refused(database: &Database, error: tokio_postgres::Error) -> Error {
    let target = database.to_string();
    if let Some(failure) = TlsFailure::of(&error) {
        return Error::Tls { target, failure };
    }
    match error.as_db_error() {
        Some(refusal) if refusal.message().contains("unsupported startup parameter") => {
            Error::Pooler { target }
        }
        Some(_) => Error::query(format!("the connection to {target}"), error),
        None => Error::Connect {
            target,
            source: error,
        },
    }
}
