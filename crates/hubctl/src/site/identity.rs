//! The server and the database that a site is, and those that it must be.

use pgsnap::{Database, Identity};

use super::Site;
use crate::failure::Refusal;
use crate::settings::IdentityTable;

/// Refuses a site that is not pinned, and a server that is not the one it is pinned to.
///
/// The OID is not compared: it changes with each move, and says nothing about the server.
pub(crate) fn require_pinned(site: &Site, identity: &Identity) -> anyhow::Result<()> {
    let label = &site.label;
    let Some(IdentityTable { system_identifier: pinned, .. }) = &site.pinned else {
        return Err(Refusal::no(format!("{label} is not pinned to a server"))
            .hint(format!("pin it with `hubctl site pin {label} --execute`"))
            .into());
    };
    match &identity.system_identifier {
        Some(found) if found == pinned => Ok(()),
        Some(found) => Err(Refusal::no(format!(
            "{label} leads to another server: it is pinned to system {pinned}, and this is {found}"
        ))
        .hint("check the address, the tunnel and the context; `hubctl site show` compares them")
        .into()),
        None => Err(untold(label).into()),
    }
}

/// The refusal for a server that keeps its system identifier from this role.
pub(crate) fn untold(label: &str) -> Refusal {
    Refusal::could_not_ask(format!("the server of {label} does not tell its system identifier"))
        .hint("grant the role EXECUTE on pg_catalog.pg_control_system()")
}

/// The relation of two databases whose servers have the same system identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinship {
    /// One database, by two addresses.
    Same,
    /// Two databases of one server.
    Neighbours,
    /// Databases of two servers, one of which is a physical copy of the other.
    Copies,
}

/// Tells by a live test how two databases relate whose servers have the same system identifier.
/// Copied servers have it, and the same OIDs as well, so a lock taken here is looked for there.
pub(crate) async fn kinship(a: &Database, b: &Database) -> anyhow::Result<Kinship> {
    let there = b.with_name(a.name());
    let is_one_server = match pgsnap::is_same_database(a, &there).await {
        // A server without a database of this name is another one.
        Err(error) if error.sqlstate() == Some("3D000") => false,
        other => other?,
    };
    Ok(match is_one_server {
        false => Kinship::Copies,
        true if a.name() == b.name() => Kinship::Same,
        true => Kinship::Neighbours,
    })
}
