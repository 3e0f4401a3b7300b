//! Finds, installs and caches what the project's own commands run. Never published.
//!
//! - **Packages.** [`ensure_programs`] and its siblings install Debian packages, and only those of
//!   which something is missing. Where nobody may install, [`Missing`] names the line to run.
//! - **The cache.** [`Cache`] keeps what was fetched or compiled. Each tree carries its origin, so
//!   a pin that moved makes a new one, and a run that was killed leaves the tree that was there.
//! - **Python.** A [`PythonEnvironment`] holds what a lock file pins, in the cache.
//! - **What a machine cannot have.** [`Unavailable`] is neither a failure nor a success: a command
//!   that ends with it, or with [`Missing`], exits with 3.
//!
//! The lists of packages and the pins belong to those who need them: `xtask` and `testcluster`.

#![allow(clippy::print_stderr, reason = "these commands talk to a developer, who waits")]

mod cache;
mod command;
mod packages;
mod python;
mod unavailable;

pub use cache::{Cache, directory as cache_directory};
pub use command::run_quietly;
pub use packages::{
    Missing, ensure_file, ensure_packages, ensure_programs, is_root, program_directories,
};
pub use python::{PythonEnvironment, STATE_HUB};
pub use unavailable::Unavailable;
