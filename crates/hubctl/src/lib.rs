//! The program `hubctl` as a library: it composes `pgsnap`, `backup`, `tunnel` and `gates` into
//! commands.
//!
//! The libraries do the work and know nothing of each other; this crate knows the operator. It
//! reads arguments, environment and `hubctl.toml` ([`Cli`] and the private module `settings`),
//! opens what they name, calls the libraries, and says what happened: data on stdout, talk on
//! stderr, the answer as the [`Exit`] code.
//!
//! ```no_run
//! let exit = hubctl::main(["hubctl", "doctor", "--format", "json"]);
//! # let _ = exit;
//! ```
//!
//! One file per concern: `cli` (arguments), `completing` (what may follow them), `settings` (what
//! is configured, and where from), `site` and `password` (from a name to a database), `store` (from
//! a name to an entry and its archive), `targets` (where copies are), `keys` and `secret` (what
//! seals and opens), `act` and `damage` (what is journalled, and what the journal knows), `alerts`
//! (who is told), `interruption` and `unfinished` (what ends a command early, and what that
//! leaves), `replacement` (what a new database does to the one of its name), `printer`, `progress`,
//! `canvas`, `prompt`, `logging`, `failure` and `exit` (what is said), and `commands`, one file per
//! command.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod act;
mod alerts;
mod canvas;
mod cli;
mod commands;
mod completing;
mod context;
mod damage;
mod environment;
mod exit;
mod failure;
mod human;
mod interruption;
mod keys;
mod logging;
mod printer;
mod progress;
mod prompt;
mod replacement;
mod run;
mod secret;
mod settings;
mod site;
mod store;
mod systemd;
mod targets;
mod unfinished;

pub use crate::cli::Cli;
pub use crate::exit::Exit;
pub use crate::run::main;
