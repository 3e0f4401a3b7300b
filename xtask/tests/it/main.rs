//! Tests of the project's own commands as a developer runs them.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod cluster;
