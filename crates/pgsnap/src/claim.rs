//! A claim on a database by its name: one program at a time changes what the name means.
//!
//! The claim is a session advisory lock on the server, so it ends with the session, however the
//! program ends. It keeps away only programs that ask for it.

use std::fmt;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::fence::maintenance;
use crate::session::Session;

/// The right to change what a database name means on its server, such as by a fence or a handover.
///
/// It is held by a session in another database, which takes no transaction number.
pub struct Claim {
    session: Session,
    database: Database,
}

/// The lock of a name. Both numbers are ours: the key of the claims, and a hash of the name.
const LOCK: &str =
    "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('pgsnap claim ' || $1, 0))";

impl Claim {
    /// Claims the name of a database at once. The database need not exist.
    ///
    /// # Errors
    /// [`Error::Claimed`] while another session holds the claim; connection errors.
    pub async fn take(database: &Database) -> Result<Self> {
        // A machine that lost its power must not hold a claim for hours.
        const SETTINGS: &str = "SET idle_session_timeout = 0; SET statement_timeout = '10s';
            SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;
            SET tcp_keepalives_count = 3; SET tcp_user_timeout = 25000";
        let session = maintenance(database, "claim").await?;
        session.execute("the session settings", SETTINGS).await?;
        let name = database.name();
        let row = session.row("claiming the database", LOCK, &[&name]).await?;
        if row.get(0) {
            return Ok(Self { session, database: database.clone() });
        }
        Err(Error::Claimed { database: name.to_owned() })
    }

    /// Returns successfully while the session that holds the claim answers.
    ///
    /// # Errors
    /// The session ended, and the claim with it.
    pub async fn ensure(&self) -> Result<()> {
        self.session.row("asking for the claim", "SELECT 1", &[]).await.map(drop)
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({})", self.database)
    }
}
