//! The databases of one service on a server, found by their names from outside, and their markers.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::fence::{FROZEN, Site};
use crate::handover::NEXT;
use crate::marker::Marker;
use crate::restore::{BEFORE, pattern};

/// A server, and the databases of one name and its derived names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Identity {
    /// `system_identifier` of the cluster, where the role may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<String>,
    /// `server_version`, such as `16.4 (Debian 16.4-1)`.
    pub server_version: String,
    /// The server is a standby: it may not have the latest markers yet.
    pub is_standby: bool,
    /// The database of the name; `None` where there is none.
    pub database: Option<LocatedDatabase>,
    /// The databases `NAME__frozen_ID`, `NAME__before_ID` and `NAME__next_RUN`, by name. PostgreSQL
    /// cuts long names, so those of another service whose name begins alike may be among them.
    pub others: Vec<LocatedDatabase>,
}

/// A database, and its claim about who is primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LocatedDatabase {
    /// Its present name.
    pub name: String,
    /// Its OID, which a rename keeps.
    pub oid: u32,
    /// Its marker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker: Option<Marker>,
    /// The marker was written for this database of this server. Otherwise it came here with a copy,
    /// is stale, and claims nothing.
    pub marker_is_own: bool,
}

impl LocatedDatabase {
    /// Returns the marker that was written for this database.
    #[must_use]
    pub fn own_marker(&self) -> Option<&Marker> {
        self.marker.as_ref().filter(|_| self.marker_is_own)
    }
}

impl Identity {
    /// The database of the name and the others.
    pub(crate) fn all(&self) -> impl Iterator<Item = &LocatedDatabase> {
        self.database.iter().chain(&self.others)
    }

    /// The database of this present name.
    pub(crate) fn named(&self, name: &str) -> Option<&LocatedDatabase> {
        self.all().find(|located| located.name == name)
    }
}

impl Site {
    pub(crate) async fn identify(&self) -> Result<Identity> {
        const QUERY: &str = "
            SELECT d.datname::text, d.oid,
                   ARRAY(SELECT c.setting
                           FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS c(setting)
                          WHERE s.setdatabase = d.oid AND s.setrole = 0 AND c.setting LIKE 'hubctl.epoch=%'),
                   pg_catalog.substring(pg_catalog.shobj_description(d.oid, 'pg_database'),
                                        '(?:(?:^|\\n)hubctl\\.(?:fence|epoch)=[^\\n]*)+$')
              FROM pg_catalog.pg_database d WHERE d.datname = $1 OR d.datname ~ ANY ($2) ORDER BY d.datname";
        const VERSION: &str = "SELECT pg_catalog.current_setting('server_version')";
        let name = self.database.name();
        let patterns = [FROZEN, BEFORE, NEXT].map(|infix| pattern(name, infix));
        let version = self.session.row("reading the server's version", VERSION, &[]).await?;
        let rows =
            self.session.rows("reading the markers", QUERY, &[&name, &&patterns[..]]).await?;
        let (mut database, mut others) = (None, Vec::new());
        for row in &rows {
            let lines: Option<String> = row.get(3);
            let located = self.locate(row.get(0), row.get(1), row.get(2), lines.as_deref())?;
            if located.name == name {
                database = Some(located);
            } else {
                others.push(located);
            }
        }
        Ok(Identity {
            system_identifier: self.system_identifier.clone(),
            server_version: version.get(0),
            is_standby: self.is_standby,
            database,
            others,
        })
    }

    fn locate(
        &self,
        name: String,
        oid: u32,
        settings: Vec<String>,
        lines: Option<&str>,
    ) -> Result<LocatedDatabase> {
        let server = self.system_identifier.as_deref();
        let marker = Marker::find(&settings, lines, server, oid).map_err(|error| match error {
            Error::Marker { reason } => {
                Error::Marker { reason: format!("that of database {name}: {reason}") }
            }
            other => other,
        })?;
        let marker_is_own = marker.as_ref().is_some_and(|marker| marker.is_of(server, oid));
        Ok(LocatedDatabase { name, oid, marker, marker_is_own })
    }

    /// The server's time, as it is written into records.
    pub(crate) async fn now(&self) -> Result<String> {
        const QUERY: &str = "SELECT pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
        Ok(self.session.row("asking for the time", QUERY, &[]).await?.get(0))
    }
}
