//! Rows that their partition does not take, because the server judges its bound in another way than
//! the source did: by another collation, or another hash function. They are loaded through the
//! partitioned table, which is then proven as a whole: the digest of a table is a sum over its
//! rows, so the digests of all partitions add up to the same one wherever the rows lie.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Mutex;

use crate::census::{Census, TableCensus};
use crate::compare::Note;
use crate::digest::{Buckets, Digest};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::name::TableName;
use crate::session::Session;

/// A partitioned table and all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) root: TableName,
    members: BTreeSet<TableName>,
}

/// The trees through which rows were loaded.
#[derive(Debug, Default)]
pub(super) struct Rerouted(Mutex<BTreeMap<TableName, Tree>>);

impl Rerouted {
    pub(super) fn note(&self, tree: Tree) {
        self.lock().insert(tree.root.clone(), tree);
    }

    pub(super) fn trees(&self) -> Vec<Tree> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TableName, Tree>> {
        self.0.lock().expect("nothing panics while it holds the trees")
    }
}

impl Tree {
    /// The tree that a partition belongs to.
    ///
    /// # Errors
    /// [`Error::PartitionBound`] where its rows must not go through the root: into a foreign
    /// server, or where the whole could not be proven.
    pub(super) async fn of(
        session: &Session,
        manifest: &Manifest,
        partition: &TableCensus,
    ) -> Result<Self> {
        const QUERY: &str = "
            SELECT n.nspname, c.relname, c.relkind = 'f'
              FROM pg_catalog.pg_partition_tree(pg_catalog.pg_partition_root(pg_catalog.to_regclass($1))) AS t
              JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             ORDER BY t.level";
        let name = partition.name.quoted();
        let rows = session.rows("reading the partitions", QUERY, &[&name]).await?;
        let names =
            rows.iter().map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)));
        let names: Vec<TableName> = names.collect();
        let foreign = rows.iter().position(|row| row.get(2));
        let obstacle = match (names.first(), foreign) {
            (None, _) => Some("it is no partition".to_owned()),
            (Some(root), _) if *root == partition.name => {
                Some("it is that table itself".to_owned())
            }
            (_, Some(foreign)) => Some(format!(
                "{} is a foreign table, whose server might be sent rows",
                names[foreign]
            )),
            _ => None,
        };
        if let Some(obstacle) = obstacle {
            return Err(refused(partition, obstacle));
        }
        let tree = Self { root: names[0].clone(), members: names.into_iter().collect() };
        tree.require_comparable(manifest, partition)?;
        Ok(tree)
    }

    /// All trees whose rows may go through their roots, as [`Tree::of`] judges it.
    pub(crate) async fn all(session: &Session, manifest: &Manifest) -> Result<Vec<Self>> {
        const QUERY: &str = "
            SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relispartition AND c.relkind IN ('r', 'p')";
        let rows = session.rows("reading the partitions", QUERY, &[]).await?;
        let partitions: HashSet<TableName> = rows
            .iter()
            .map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)))
            .collect();
        let mut trees: Vec<Self> = Vec::new();
        for table in &manifest.census.tables {
            if !partitions.contains(&table.name) || trees.iter().any(|tree| tree.holds(&table.name))
            {
                continue;
            }
            match Self::of(session, manifest, table).await {
                Ok(tree) => trees.push(tree),
                Err(Error::PartitionBound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(trees)
    }

    /// The text of a row, and so its hash, depends on the order of the columns.
    fn require_comparable(&self, manifest: &Manifest, partition: &TableCensus) -> Result<()> {
        let mut members = manifest.census.tables.iter().filter(|table| self.holds(&table.name));
        match members.find(|table| table.columns != partition.columns) {
            None => Ok(()),
            Some(other) => Err(refused(
                partition,
                format!(
                    "partition {} has its columns in another order, so nothing could prove that all rows arrived",
                    other.name
                ),
            )),
        }
    }

    /// Returns the error for rows that were sent to the root and refused.
    pub(super) fn refused(&self, partition: &TableCensus, error: Error) -> Error {
        match error {
            Error::PartitionBound { .. } => {
                refused(partition, format!("no partition of {} takes all of them", self.root))
            }
            error => error,
        }
    }

    /// Puts one table into the place of all that the tree holds.
    pub(super) fn join(&self, census: &mut Census) {
        let (members, others): (Vec<TableCensus>, Vec<TableCensus>) =
            std::mem::take(&mut census.tables)
                .into_iter()
                .partition(|table| self.holds(&table.name));
        census.tables = others;
        let Some(first) = members.first() else {
            return;
        };
        let mut whole = TableCensus {
            name: self.root.clone(),
            key: Vec::new(),
            rows: 0,
            bytes: 0,
            digest: Default::default(),
            buckets: Buckets::default(),
            with_partitions: true,
            ..first.clone()
        };
        for member in &members {
            whole.rows += member.rows;
            whole.bytes += member.bytes;
            whole.digest.add(member.digest);
        }
        if let Some(generated) = &mut whole.generated {
            generated.digest = Digest::default();
            for member in members.iter().filter_map(|member| member.generated.as_ref()) {
                generated.digest.add(member.digest);
            }
        }
        census.tables.push(whole);
        census.tables.sort_by(|a, b| a.name.cmp(&b.name));
    }

    pub(crate) fn note(&self) -> Note {
        Note::Rerouted { table: self.root.clone() }
    }

    /// Returns true if a table is part of it.
    pub(crate) fn holds(&self, table: &TableName) -> bool {
        self.members.contains(table)
    }
}

fn refused(partition: &TableCensus, obstacle: String) -> Error {
    Error::PartitionBound { partition: partition.name.to_string(), obstacle: Some(obstacle) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::{LargeObjects, Locale};
    use crate::compare::compare;

    fn census(leaves: &[(&str, &[&str])]) -> Census {
        let table = |(name, rows): &(&str, &[&str])| {
            let mut digest = Digest::default();
            for row in *rows {
                digest.add(Digest::of(row.as_bytes()));
            }
            TableCensus {
                name: TableName::new("public", *name),
                columns: Vec::new(),
                key: vec!["id".into()],
                rows: rows.len() as u64,
                bytes: 2 * rows.len() as u64,
                digest,
                buckets: Buckets::default(),
                with_partitions: false,
                filter: None,
                foreign_server: None,
                generated: None,
                encoding: None,
            }
        };
        Census {
            tables: leaves.iter().map(table).collect(),
            sequences: Vec::new(),
            large_objects: LargeObjects::default(),
            extensions: Vec::new(),
            locale: Locale::default(),
            schema: None,
            content: true,
        }
    }

    #[test]
    fn rows_in_other_partitions_are_the_same_rows_and_other_rows_are_not() {
        let names = ["root", "leaf_a", "leaf_b"].map(|name| TableName::new("public", name));
        let tree = Tree { root: names[0].clone(), members: names.into_iter().collect() };
        let joined = |leaves: &[(&str, &[&str])]| {
            let mut census = census(leaves);
            tree.join(&mut census);
            census
        };
        let before = joined(&[("leaf_a", &["1", "2"]), ("leaf_b", &["3"]), ("t", &["9"])]);
        assert_eq!(before.tables.len(), 2);
        let moved = joined(&[("leaf_a", &["3"]), ("leaf_b", &["2", "1"]), ("t", &["9"])]);
        assert!(compare(&before, &moved).is_equal());
        for wrong in [
            joined(&[("leaf_a", &["3"]), ("leaf_b", &["2"]), ("t", &["9"])]),
            joined(&[("leaf_a", &["3"]), ("leaf_b", &["2", "2"]), ("t", &["9"])]),
            joined(&[("leaf_a", &["3", "9"]), ("leaf_b", &["2", "1"]), ("t", &[])]),
        ] {
            assert!(!compare(&before, &wrong).is_equal());
        }
    }
}
