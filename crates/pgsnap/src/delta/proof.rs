//! The proof: the census of the source against that of the base, as the change has made it.

use super::change::Change;
use super::{Base, DeltaOptions, schema};
use crate::catalog::{self, setval};
use crate::census::Census;
use crate::compare::{Comparison, compare};
use crate::error::{Error, Result};
use crate::large_object::{self, NoPieces};
use crate::restore::run_statements;
use crate::session::Session;

/// The judgement of whether the base is the source.
pub(super) struct Judge<'a> {
    pub(super) base: &'a Base,
    pub(super) options: &'a DeltaOptions,
    pub(super) expected: &'a Census,
}

impl Judge<'_> {
    /// The census of the base as the change has made it, but for its sequences.
    pub(super) async fn census_of(
        &self,
        change: &Change<'_>,
        has_new_objects: bool,
    ) -> Result<Census> {
        let before = &self.base.contents.census;
        let mut tables = Vec::with_capacity(before.tables.len());
        for (index, table) in before.tables.iter().enumerate() {
            tables.push(change.census(index, table).await?);
        }
        let large_objects = if has_new_objects {
            large_object::read(&change.session, &mut NoPieces).await?
        } else {
            // They were found to be the same.
            self.expected.large_objects
        };
        Ok(Census {
            tables,
            sequences: self.expected.sequences.clone(),
            large_objects,
            extensions: catalog::extensions(&change.session).await?,
            locale: before.locale.clone(),
            schema: before.schema.as_ref().map(schema::without_large_objects),
            content: true,
        })
    }

    /// Compares the source with the base.
    pub(super) fn require_equal(&self, found: &Census) -> Result<Comparison> {
        let mut expected = self.expected.clone();
        expected.schema = expected.schema.as_ref().map(schema::without_large_objects);
        // The schemas were judged before the first change.
        let mut comparison = compare(&expected, found).of_restore();
        if self.options.accept_recomputed {
            let recomputed = comparison.accept_recomputed();
            comparison.notes.extend(recomputed);
        }
        if comparison.is_equal() {
            Ok(comparison)
        } else {
            Err(Error::DeltaDiffers { differences: comparison.differences })
        }
    }
}

/// Sets the sequences that differ, and reads all of them again.
pub(super) async fn set_sequences(
    session: &Session,
    wanted: &Census,
    found: &mut Census,
) -> Result<()> {
    let present = catalog::sequences(session).await?;
    let differing = wanted.sequences.iter().filter(|state| !present.contains(state));
    run_statements(session, differing.map(setval).collect(), "the sequences").await?;
    found.sequences = catalog::sequences(session).await?;
    Ok(())
}
