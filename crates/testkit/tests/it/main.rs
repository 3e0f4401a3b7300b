//! Tests of the test support itself.
#![allow(clippy::unwrap_used, missing_docs)]

mod cluster;
mod proxy;
mod tmpfs;
