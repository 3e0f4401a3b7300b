//! Making a connection, and making sure that it leads to a session of its own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{MakeTlsConnect, NoTls, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, Connection, Socket};

use crate::database::Database;
use crate::error::{Error, Result};
use crate::random::random_digits;
use crate::session::Coalescing;
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
        let connected = match (database.connector()?, database.socket_file()) {
            (Some(tls), _) => connect(&config, tls, &farewell).await,
            (None, Some(path)) => connect_to_socket(&config, &path, &farewell).await,
            (None, None) => {
                ClearText::prepare(&mut config, database);
                connect(&config, ClearText, &farewell).await
            }
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
    T: MakeTlsConnect<Socket>,
    T::Stream: TlsStream + Unpin + Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    let driver = tokio::spawn(drive(connection, Arc::clone(farewell)));
    Ok((client, driver))
}

/// As [`connect`], by way of a file.
async fn connect_to_socket(
    config: &Config,
    path: &Path,
    farewell: &Arc<OnceLock<tokio_postgres::Error>>,
) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
    let Ok(socket) = UnixStream::connect(path).await else {
        // The driver tries the same, and has the words for the error.
        return connect(config, NoTls, farewell).await;
    };
    let (client, connection) = config.connect_raw(Coalescing::new(socket), NoTls).await?;
    let driver = tokio::spawn(drive(connection, Arc::clone(farewell)));
    Ok((client, driver))
}

/// Puts [`Coalescing`] between the driver and a socket in clear text: to the driver it is a kind of TLS that need not
/// be negotiated.
struct ClearText;

impl ClearText {
    fn prepare(config: &mut Config, database: &Database) {
        config
            .ssl_mode(SslMode::Require)
            .ssl_negotiation(SslNegotiation::Direct);
        // TLS would be for somebody with a name.
        if config.get_hosts().is_empty() {
            config.host(database.host());
        }
    }
}

impl MakeTlsConnect<Socket> for ClearText {
    type Stream = Coalescing<Socket>;
    type TlsConnect = Self;
    type Error = Infallible;

    fn make_tls_connect(&mut self, _host: &str) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl TlsConnect<Socket> for ClearText {
    type Stream = Coalescing<Socket>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Stream, Infallible>>;

    fn connect(self, socket: Socket) -> Self::Future {
        ready(Ok(Coalescing::new(socket)))
    }
}

/// The reason is noted before the connection is dropped, because that is what wakes those who wait for answers.
async fn drive<R, S>(
    mut connection: Connection<R, S>,
    farewell: Arc<OnceLock<tokio_postgres::Error>>,
) where
    R: AsyncRead + AsyncWrite + Unpin + Send + 'static,
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
