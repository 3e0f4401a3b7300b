//! The results of operations, as documents.

use serde::Serialize;

/// The result of an operation, which serialises to the document of its schema.
pub trait Report: Serialize {
    /// The schema id of the document, such as `hubctl.backup.v1`; see `docs/formats/results.md`.
    const SCHEMA: &'static str;
}
