//! Measures hubctl against the programs it replaces. Never published; run by `cargo xtask bench`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a bench talks to a developer, and stops where anything fails"
)]

mod cutovers;
mod peers;
mod tunnels;
mod vault;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask bench",
    about = "Measures hubctl against the programs it replaces"
)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Backups and restores against the pipelines that hubctl replaces
    Peers(peers::Args),
    /// The time that clients are away while a service moves, against scripts
    Cutovers(cutovers::Args),
    /// Tunnels against autossh and loops, as root
    Tunnels(tunnels::Args),
    /// Sealing and opening against the `age` crate, and a prune
    Vault(vault::Args),
}

fn main() {
    match Cli::parse().bench {
        Bench::Peers(args) => peers::run(args),
        Bench::Cutovers(args) => cutovers::run(args),
        Bench::Tunnels(args) => tunnels::run(args),
        Bench::Vault(args) => vault::run(args),
    }
}

/// The program that is measured: cargo puts it beside this one.
fn hubctl() -> PathBuf {
    let program = std::env::current_exe().unwrap().with_file_name("hubctl");
    assert!(program.is_file(), "{} is missing; `cargo xtask bench` builds it", program.display());
    program
}
