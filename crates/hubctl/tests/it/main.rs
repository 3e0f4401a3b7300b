//! The tests of the program as its users see it.
#![allow(clippy::unwrap_used, missing_docs)]

mod answers;
mod cases;
mod connection;
mod copying;
mod crash;
mod damage;
mod faults;
mod gates;
mod journey;
mod offsite;
mod partitions;
mod passphrase;
mod secrets;
mod support;
mod surroundings;
mod tunnels;
