//! The properties of a database that a fence changes.

/// The setting that makes transactions read-only unless they say otherwise.
pub(crate) const READ_ONLY: &str = "default_transaction_read_only";
pub(crate) const CONNECT: &str = "CONNECT";
