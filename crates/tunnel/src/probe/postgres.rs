//! A PostgreSQL server: that it speaks, and with credentials which one it is.

use std::fmt;
use std::path::{Path, PathBuf};

use regularfile::Options;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::{Config, NoTls};

use super::{Fault, connect};

/// No password is longer.
const LARGEST: u64 = 64 * 1024;

/// The probe of a PostgreSQL server. Without a user it asks whether the server speaks TLS, which
/// needs no credentials and leaves no line in its log. With a user it asks which server it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PostgresProbe {
    /// The role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// File of mode 0600 with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-form" = "FILE")))]
    pub password_file: Option<PathBuf>,
    /// The database, that of the role's name unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The `system_identifier` that `pg_controldata` shows: it is given by `initdb`, and a physical
    /// copy keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<String>,
}

impl fmt::Display for PostgresProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL")?;
        match (&self.system_identifier, &self.user) {
            (Some(identifier), _) => write!(f, " {identifier}"),
            (None, Some(user)) => write!(f, " as {user}"),
            (None, None) => Ok(()),
        }
    }
}

/// Bytes of an `SSLRequest` (protocol.h: `NEGOTIATE_SSL_CODE`).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

impl PostgresProbe {
    pub(super) async fn ask(&self, socket: &Path) -> Result<Option<String>, Fault> {
        match &self.user {
            None => handshake(socket).await,
            Some(user) => self.identify(user, socket).await.map(Some),
        }
    }

    async fn identify(&self, user: &str, socket: &Path) -> Result<String, Fault> {
        let mut config = Config::new();
        config
            .user(user)
            .dbname(self.database.as_deref().unwrap_or(user))
            .application_name("tunnel probe");
        if let Some(path) = &self.password_file {
            let password = Options::read()
                .private()
                .to_string(path, LARGEST)
                .map_err(|error| Fault::Unasked(error.to_string()))?;
            config.password(password.trim_end_matches(['\r', '\n']));
        }
        let stream = connect(socket).await?;
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(said)?;
        let question = async {
            let row = client
                .query_one(
                    "SELECT system_identifier::text, current_database()::text FROM pg_catalog.pg_control_system()",
                    &[],
                )
                .await
                .map_err(said)?;
            Ok((row.get::<_, String>(0), row.get::<_, String>(1)))
        };
        let mut question = std::pin::pin!(question);
        let (identifier, database) = tokio::select! {
            answer = &mut question => answer?,
            _ = connection => question.await?,
        };
        let found = format!("{identifier}/{database}");
        match &self.system_identifier {
            Some(expected) if *expected != identifier => {
                Err(Fault::Mismatch { expected: expected.clone(), found })
            }
            _ => Ok(found),
        }
    }
}

fn said(error: tokio_postgres::Error) -> Fault {
    match error.as_db_error() {
        Some(error) => Fault::Wrong(format!("{} ({})", error.message(), error.code().code())),
        None if error.is_closed() => Fault::Closed,
        None => Fault::Wrong(error.to_string()),
    }
}

/// A server answers with one byte, and then waits.
async fn handshake(socket: &Path) -> Result<Option<String>, Fault> {
    let mut stream = connect(socket).await?;
    stream.write_all(&SSL_REQUEST).await.map_err(|_| Fault::Closed)?;
    match stream.read_u8().await {
        Ok(b'S' | b'N') => Ok(None),
        Ok(_) => Err(Fault::Wrong("the answer is not PostgreSQL's".to_owned())),
        Err(_) => Err(Fault::Closed),
    }
}
