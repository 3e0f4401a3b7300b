//! The tests of the program as its users see it.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod alerts;
mod answers;
mod approve;
mod cases;
mod cleaning;
mod completion;
mod connection;
mod copying;
mod crash;
mod damage;
mod faults;
mod files;
mod freeze;
mod gates;
mod importing;
mod interruption;
mod journal;
mod journey;
mod keys;
mod makefile;
mod offsite;
mod ops;
mod partitions;
mod passphrase;
mod questions;
mod reference;
mod secrets;
mod signed;
mod state_hub;
mod support;
mod surroundings;
mod terminal;
mod tunnels;
mod verbosity;
