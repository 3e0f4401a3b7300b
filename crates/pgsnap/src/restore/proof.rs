//! The proof of a restore: the new database against the manifest, as far as the order goes.

use std::collections::BTreeSet;

use crate::archive::Archive;
use crate::census::{Census, LargeObjects, SchemaFingerprint};
use crate::compare::{Comparison, Note, compare};
use crate::count::{CensusOptions, census};
use crate::error::{Error, Result};
use crate::manifest::Source;
use crate::restore::building::{Building, Refused};
use crate::restore::rerouting::Tree;
use crate::restore::selection::Selection;
use crate::sql::{self, RoleUse};
use crate::standby;

/// Returns the expected contents of the restored database.
pub(crate) fn expected(archive: &Archive, selection: &Selection) -> Census {
    let mut expected = archive.manifest().census.clone();
    expected.tables.retain(|table| selection.holds_table(table));
    if !selection.has_rows() {
        for table in &mut expected.tables {
            (table.rows, table.bytes) = (0, 0);
            (table.digest, table.buckets, table.generated) = Default::default();
        }
        expected.large_objects = LargeObjects::default();
    }
    expected.sequences.retain(|sequence| selection.holds_sequence(sequence));
    match &mut expected.schema {
        // The manifest keeps only their hash; with the statements a difference can be named and judged.
        Some(schema) if selection.is_whole() => schema.statements = selection.statements(),
        Some(schema) if selection.compares_schema() => {
            schema.replace_statements(selection.statements());
        }
        schema => *schema = None,
    }
    expected
}

/// Takes out what the server refused and what can be done without, by its label: there may be
/// another in its place.
fn remove_refused(schema: &mut SchemaFingerprint, refused: &[Refused]) {
    if refused.is_empty() {
        return;
    }
    let labels: BTreeSet<String> = refused.iter().map(|one| sql::label(&one.statement)).collect();
    let mut kept = std::mem::take(&mut schema.statements);
    kept.retain(|statement| !labels.contains(&sql::label(statement)));
    schema.replace_statements(kept);
}

/// Counts and digests what is in the restored database now, and compares: the proof comes from the
/// database, not from what was sent to it.
///
/// # Errors
/// [`Error::RestoreDiffers`], and errors of the server.
pub(crate) async fn prove(
    building: &Building<'_>,
    source: &Source,
    mut expected: Census,
    rerouted: &[Tree],
    refused: &[Refused],
) -> Result<(Comparison, Census)> {
    let (selection, options) = (building.selection, building.options);
    let census_options = CensusOptions {
        jobs: options.jobs,
        schema: selection.compares_schema(),
        foreign_data: selection.foreign_servers().to_vec(),
        tables: (!selection.is_of_everything())
            .then(|| expected.tables.iter().map(|table| table.name.clone()).collect()),
        columns_like: Some(expected.clone()),
        bin_directories: options.bin_directories.clone(),
        ..CensusOptions::default()
    };
    let mut found = census(&building.database, &census_options, building.progress).await?;
    found.sequences.retain(|sequence| selection.holds_sequence(sequence));
    if !selection.has_large_objects() {
        // Large objects were not part of the order.
        found.large_objects = expected.large_objects;
    }
    if !selection.has_rows() {
        // They stand where their definitions let them begin.
        found.sequences.clone_from(&expected.sequences);
    }
    if source.in_recovery {
        let session = building.session().await?;
        standby::leave_out_what_is_missing(&session, &mut found).await?;
    }
    let mut notes = left_out(selection);
    if let (Some(a), Some(b)) = (&mut expected.schema, &mut found.schema)
        && a.is_comparable(b)
        && (a.digest != b.digest || !selection.edits.keep_roles())
    {
        for schema in [&mut *a, &mut *b] {
            remove_refused(schema, refused);
            reduce(schema, selection)?;
        }
        if !selection.is_of_everything() {
            forget_public(a, b);
        }
        if !selection.edits.keep_privileges_in_print() {
            notes.extend(compare_privileges(a, b));
        }
    }
    let mut whole = found.clone();
    for tree in rerouted {
        tree.join(&mut expected);
        tree.join(&mut whole);
    }
    let mut comparison = compare(&expected, &whole).of_restore();
    comparison.require_foreign(&expected, &whole);
    comparison.notes.extend(notes);
    if options.accept_recomputed {
        let recomputed = comparison.accept_recomputed();
        comparison.notes.extend(recomputed);
    }
    if comparison.is_equal() {
        Ok((comparison, found))
    } else {
        Err(Error::RestoreDiffers { differences: comparison.differences })
    }
}

/// Takes out the privileges on the schema `public` that a new database has and nobody ordered:
/// before PostgreSQL 15 a `pg_dump` of 15 or newer prints them.
fn forget_public(expected: &SchemaFingerprint, found: &mut SchemaFingerprint) {
    let is_of_public = |statement: &String| {
        ["GRANT ", "REVOKE "].iter().any(|verb| statement.starts_with(verb))
            && statement.contains(" ON SCHEMA public ")
    };
    let mut kept = std::mem::take(&mut found.statements);
    kept.retain(|statement| !is_of_public(statement) || expected.statements.contains(statement));
    found.replace_statements(kept);
}

/// Returns notes of everything the order leaves out, so that the proof is not taken for more than
/// it is.
fn left_out(selection: &Selection) -> Vec<Note> {
    let edits = &selection.edits;
    [
        (!edits.keep_owners()).then_some("owners, which were left out on purpose"),
        (!edits.keep_privileges()).then_some("privileges, which were left out on purpose"),
        (!selection.has_rows()).then_some("rows and sequences, which were left out on purpose"),
        (!selection.is_of_everything()).then_some("everything that was not selected"),
    ]
    .into_iter()
    .flatten()
    .map(|what| Note::NotCompared { what: what.into() })
    .collect()
}

/// Leaves only what can be compared in a fingerprint.
fn reduce(schema: &mut SchemaFingerprint, selection: &Selection) -> Result<()> {
    let mut kept = Vec::with_capacity(schema.statements.len());
    for statement in &schema.statements {
        kept.extend(selection.edits.comparable(statement)?);
    }
    schema.replace_statements(kept);
    Ok(())
}

/// Takes privileges out of both sides and says where they differ. They print as the difference from
/// what an owner has anyway, so with other owners an equal privilege may print in another way.
fn compare_privileges(a: &mut SchemaFingerprint, b: &mut SchemaFingerprint) -> Option<Note> {
    let (privileges_a, privileges_b) = (take_privileges(a), take_privileges(b));
    let only = |x: &BTreeSet<String>, y: &BTreeSet<String>| -> Vec<String> {
        x.difference(y).map(|statement| sql::label(statement)).collect()
    };
    (privileges_a != privileges_b).then(|| Note::Privileges {
        only_a: only(&privileges_a, &privileges_b),
        only_b: only(&privileges_b, &privileges_a),
    })
}

fn take_privileges(schema: &mut SchemaFingerprint) -> BTreeSet<String> {
    let (privileges, others): (Vec<String>, Vec<String>) = std::mem::take(&mut schema.statements)
        .into_iter()
        .partition(|statement| sql::role_use(statement) == Some(RoleUse::Privilege));
    schema.replace_statements(others);
    privileges.into_iter().collect()
}
