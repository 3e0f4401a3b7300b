//! The program `hubctl` as a library: it composes `pgsnap`, `backup`, `tunnel`, `gates` and
//! `journal` into operations, and operations into commands.
//!
//! The libraries do the work and know nothing of each other; this crate knows the operator. There
//! are three floors:
//!
//! - *Commands* (private) turn arguments into an order, call an operation, and print its report:
//!   data on stdout, talk on stderr, the answer as the [`Exit`] code.
//! - *Operations* ([`ops`]) do what a person would call one thing, such as a backup: they open what
//!   the [`settings`] name, call the libraries, and record the act in the journal. They never
//!   print, and other programs can call them.
//! - *Libraries* do one thing each.
//!
//! ```no_run
//! let exit = hubctl::main(["hubctl", "doctor", "--format", "json"]);
//! # let _ = exit;
//! ```
//!
//! One file per concern. Between the command line and the operations: `cli` (arguments),
//! `completing` (completions), `context` (from arguments to operations), `printer`, `progress`,
//! `canvas`, `prompt` and `logging` (the terminal), `interruption` and `unfinished` (signals, and
//! the leftovers of an interrupted command on a server). Below the operations: `console` and
//! `report` (what an operation tells and returns), `site` and `password` (from a name to a
//! database), `store` (from a name to an entry and its archive), `targets` (off-site copies),
//! `keys` and `secret` (keys and passphrases), `act` and `damage` (the records of the journal),
//! `alerts` (monitors and messages), `hook` (programs of the operator), `writer`, `redirect` and
//! `probe` (the writers, clients and answers of a move), `http` (the client), `replacement` (a new
//! database in the place of another), `fences` (the files of frozen sites), `failure` and `exit`
//! (errors and exit codes). Only for `hubctl demo`: `demo` (its servers, keys and configuration).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod act;
mod alerts;
mod canvas;
mod cli;
mod commands;
mod completing;
mod console;
mod context;
mod damage;
mod demo;
mod environment;
mod exit;
mod failure;
mod fences;
mod free_space;
mod hook;
mod http;
mod human;
mod interruption;
mod keys;
mod logging;
pub mod ops;
mod printer;
mod probe;
mod progress;
mod prompt;
mod redirect;
mod replacement;
mod report;
mod run;
mod runtime;
mod secret;
pub mod settings;
mod site;
mod store;
mod systemd;
mod targets;
mod unfinished;
mod writer;

pub use crate::cli::Cli;
pub use crate::exit::Exit;
pub use crate::run::main;
