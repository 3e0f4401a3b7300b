//! The tests of the program as its users see it.
#![allow(clippy::unwrap_used, missing_docs)]
