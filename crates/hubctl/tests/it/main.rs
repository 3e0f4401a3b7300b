//! The tests of the program as its users see it.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod alerts;
mod answers;
mod cases;
mod connection;
mod copying;
mod crash;
mod damage;
mod faults;
mod importing;
mod journey;
mod keys;
mod makefile;
mod partitions;
mod passphrase;
mod secrets;
mod support;
mod surroundings;
mod tunnels;
