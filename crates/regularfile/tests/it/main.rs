//! Files that are none, files that are too much, and files that others may change.

#![allow(clippy::unwrap_used)]

mod kinds;
mod replacing;
mod support;
mod trust;
