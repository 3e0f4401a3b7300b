//! Integration tests: one module per promise of the library.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod catalogue;
mod copying;
mod crash;
mod damage;
mod full_disk;
mod keys;
mod lock;
mod odd_servers;
mod plugins;
mod rekey;
mod remote;
mod retention;
mod round_trip;
mod scripted;
mod signed;
mod stock_age;
mod support;
mod targets;
mod tls;

#[path = "../../examples/seal_and_open.rs"]
mod seal_and_open;

#[test]
fn the_example_runs() {
    seal_and_open::main().unwrap();
}
