//! Large objects: those that differ are made anew.

use std::collections::BTreeMap;

use crate::census::LargeObjects;
use crate::copy::large_objects::Writer;
use crate::digest::Digest;
use crate::error::Result;
use crate::large_object::{self, PieceSink};
use crate::restore::run_statements;
use crate::session::Session;
use crate::sql;

const CONTEXT: &str = "the large objects";

/// A digest of each large object: contents, owner, comment, labels and privileges.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Objects(BTreeMap<u32, Digest>);

impl Objects {
    /// Reads all of them.
    pub(super) async fn read(session: &Session) -> Result<(Self, LargeObjects)> {
        let mut objects = Self::default();
        let found = large_object::read(session, &mut objects).await?;
        if found.count > 0 {
            for (oid, definition) in large_object::each_definition(session).await? {
                objects.add(oid, definition.as_bytes());
            }
            for (oid, privileges) in large_object::each_privileges(session).await? {
                objects.add(oid, privileges.as_bytes());
            }
        }
        Ok((objects, found))
    }

    fn add(&mut self, oid: u32, bytes: &[u8]) {
        self.0.entry(oid).or_default().add(Digest::of(bytes));
    }

    /// The objects that only one side has, or that are others on the other.
    pub(super) fn differing(&self, other: &Self) -> Vec<u32> {
        let mut oids: Vec<u32> = self.0.keys().chain(other.0.keys()).copied().collect();
        oids.sort_unstable();
        oids.dedup();
        oids.retain(|oid| self.0.get(oid) != other.0.get(oid));
        oids
    }

    fn has(&self, oid: u32) -> bool {
        self.0.contains_key(&oid)
    }
}

impl PieceSink for Objects {
    async fn piece(&mut self, oid: u32, position: i64, bytes: &[u8]) -> Result<()> {
        let seed = u64::try_from(position).expect("a position is not negative");
        self.0.entry(oid).or_default().add(Digest::seeded(bytes, seed));
        Ok(())
    }
}

/// Makes these objects of the base what they are at the source, in the transaction of the session.
pub(super) async fn replace(
    oids: &[u32],
    source: (&Session, &Objects),
    base: (&Session, &Objects),
) -> Result<()> {
    let (source, wanted) = source;
    let (session, present) = base;
    let unlink = |oid: &u32| format!("SELECT pg_catalog.lo_unlink({oid});");
    let unlinks = oids.iter().filter(|&&oid| present.has(oid)).map(unlink).collect();
    run_statements(session, unlinks, CONTEXT).await?;
    let made: Vec<u32> = oids.iter().copied().filter(|&oid| wanted.has(oid)).collect();
    if made.is_empty() {
        return Ok(());
    }
    let of_made = |statements: Vec<(u32, String)>| -> Vec<String> {
        let kept = statements.into_iter().filter(|(oid, _)| made.binary_search(oid).is_ok());
        kept.flat_map(|(_, text)| sql::statements(&text)).collect()
    };
    let definitions = of_made(large_object::each_definition(source).await?);
    run_statements(session, definitions, CONTEXT).await?;
    let mut writer = Writer::new(session);
    large_object::read_some(source, &made, &mut writer).await?;
    writer.flush().await?;
    // An owner may have revoked his own rights, so they come after the contents.
    let privileges = of_made(large_object::each_privileges(source).await?);
    run_statements(session, privileges, CONTEXT).await?;
    Ok(())
}
