//! Tests against real PostgreSQL servers. They need a server and its client programs installed
//! (`cargo xtask test` sees to that).

#![allow(clippy::unwrap_used, missing_docs)]

mod campaign;
mod server;

mod collations;
mod connection;
mod copying;
mod damage;
mod delta;
mod diff;
mod examples;
mod fence;
mod fence_crash;
mod fence_soft;
mod fence_travels;
mod fidelity;
mod files;
mod foreign;
mod format;
mod handover;
mod handover_clone;
mod handover_crash;
mod handover_markers;
mod inspection;
mod inventory;
mod parts;
mod preflight;
mod privileges;
mod property;
mod quiet;
mod races;
mod restoring;
mod scratch;
mod seeds;
mod temporary;
mod user_code;
mod versions;
mod writers;
