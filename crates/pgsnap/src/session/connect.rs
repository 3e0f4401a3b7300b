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

use crate::authentication::{Authentication, RefusedAuth};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::random::random_digits;
use crate::session::{Coalescing, Guard};
use crate::tls::TlsFailure;

/// A setting of ours with a value that no other session has, given when the session starts. A
/// pooler hands out sessions that others started, or refuses to pass such a thing on: what comes
/// back tells.
const MARK: &str = "pgsnap.session";

/// Asks for the mark. It may be the last of several statements.
pub(super) const ASK_MARK: &str = "SELECT pg_catalog.current_setting('pgsnap.session', true)";

/// A connection that works by itself, and what is needed to judge it.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) driver: JoinHandle<()>,
    /// The server's message when it ended the session by itself.
    pub(super) farewell: Arc<OnceLock<tokio_postgres::Error>>,
    mark: String,
}

impl Connected {
    pub(super) async fn open(database: &Database, purpose: &str) -> Result<Self> {
        let mark = random_digits()?;
        let farewell = Arc::new(OnceLock::new());
        let event_triggers = database.event_triggers();
        let connecting = async |setting: Option<&str>| {
            let mut config = database.config(&format!("pgsnap {purpose}"));
            let options = [
                database.options().unwrap_or_default(),
                setting.unwrap_or_default(),
                &format!("-c {MARK}={mark}"),
            ];
            config.options(options.join(" ").trim_start());
            connect_somehow(config, database, &farewell).await
        };
        let setting = event_triggers.setting();
        let mut connected = connecting(setting).await?;
        if setting.is_some() && connected.as_ref().is_err_and(is_about_event_triggers) {
            event_triggers.note_refusal();
            connected = connecting(None).await?;
        }
        let (client, driver) = connected.map_err(|error| refused(database, error))?;
        Ok(Self { client, driver, farewell, mark })
    }

    /// Returns true if the session that answers is the one that was started.
    pub(super) fn is_marked(&self, answer: Option<&str>) -> bool {
        answer == Some(&self.mark)
    }
}

type Outcome = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

async fn connect_somehow(
    mut config: Config,
    database: &Database,
    farewell: &Arc<OnceLock<tokio_postgres::Error>>,
) -> Result<Outcome> {
    Ok(match (database.connector()?, database.socket_file()) {
        (Some(tls), _) => connect(&config, tls, farewell).await,
        (None, Some(path)) => connect_to_socket(&config, &path, database, farewell).await,
        (None, None) => {
            let clear = ClearText::prepare(&mut config, database);
            connect(&config, clear, farewell).await
        }
    })
}

/// Servers before version 17 do not know the setting, and later ones keep it for superusers.
fn is_about_event_triggers(error: &tokio_postgres::Error) -> bool {
    let refusal = error.as_db_error();
    refusal.is_some_and(|refusal| refusal.message().contains("\"event_triggers\""))
}

async fn connect<T>(
    config: &Config,
    tls: T,
    farewell: &Arc<OnceLock<tokio_postgres::Error>>,
) -> Outcome
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
    database: &Database,
    farewell: &Arc<OnceLock<tokio_postgres::Error>>,
) -> Outcome {
    let Ok(socket) = UnixStream::connect(path).await else {
        // The driver tries the same, and has the words for the error. Nobody would guard the password.
        let mut config = config.clone();
        return connect(config.password(""), NoTls, farewell).await;
    };
    let stream = Coalescing::new(socket, Guard::new(database.authentication(), false));
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    let driver = tokio::spawn(drive(connection, Arc::clone(farewell)));
    Ok((client, driver))
}

/// Puts [`Coalescing`] between the driver and a socket in clear text: to the driver it is a kind of
/// TLS that need not be negotiated.
#[derive(Clone)]
struct ClearText(Authentication);

impl ClearText {
    fn prepare(config: &mut Config, database: &Database) -> Self {
        config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        // TLS would be for somebody with a name.
        if config.get_hosts().is_empty() {
            config.host(database.host());
        }
        Self(database.authentication().clone())
    }
}

impl MakeTlsConnect<Socket> for ClearText {
    type Stream = Coalescing<Socket>;
    type TlsConnect = Self;
    type Error = Infallible;

    fn make_tls_connect(&mut self, _host: &str) -> Result<Self, Infallible> {
        Ok(self.clone())
    }
}

impl TlsConnect<Socket> for ClearText {
    type Stream = Coalescing<Socket>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Stream, Infallible>>;

    fn connect(self, socket: Socket) -> Self::Future {
        ready(Ok(Coalescing::new(socket, Guard::new(&self.0, false))))
    }
}

/// The reason is noted before the connection is dropped, because that is what wakes those who wait
/// for answers.
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
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        let inner = source.downcast_ref::<std::io::Error>();
        let refused = inner.and_then(|error| error.get_ref()?.downcast_ref::<RefusedAuth>());
        if let Some(refused) = refused {
            let reason = refused.to_string();
            return Error::Authentication { target, reason };
        }
        cause = source.source();
    }
    if let Some(failure) = TlsFailure::of(&error) {
        return Error::Tls { target, failure };
    }
    match error.as_db_error() {
        Some(refusal) if refusal.message().contains("unsupported startup parameter") => {
            Error::Pooler { target }
        }
        Some(_) => Error::query(format!("the connection to {target}"), error),
        None => Error::Connect { target, source: error },
    }
}
