//! `cargo xtask`: the project's own commands, one module each.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "these commands talk to a developer")]

mod bench;
mod campaign;
mod ci;
mod codegen;
mod demo;
mod drill;
mod engine;
mod fetch;
mod fidelity;
mod fuzz;
mod images;
mod moto;
mod project;
mod servers;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "The project's own commands")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Back up, drill, restore and compare a sample service on this machine
    Demo(demo::Args),
    /// Run all tests
    Test(test::Args),
    /// Show that what pg_dump keeps is kept
    Fidelity(fidelity::Args),
    /// Measure against the pipelines hubctl replaces
    Bench(bench::Args),
    /// Run the randomised tests for longer than the tests do
    Campaign(campaign::Args),
    /// Fuzz everything that reads bytes of unknown origin
    Fuzz(fuzz::Args),
    /// Install what the demo and the tests need: PostgreSQL, age, an SSH server, pgbouncer,
    /// iproute2, iptables; as root also what clusters need
    Setup,
    /// Fetch servers of every supported version of PostgreSQL, for the tests
    Servers(servers::Args),
    /// Build images of PostgreSQL for containers, where there is no registry
    Images(images::Args),
    /// Back up every version of PostgreSQL and restore into others, in containers
    Drill(drill::Args),
    /// A real Kubernetes on this machine, for tests
    Cluster(testcluster::Args),
    /// Write the files anew that are made of the program
    Codegen,
    /// Check the rules that the compiler and clippy cannot
    Tidy,
    /// Run everything that a change has to pass
    Ci(ci::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Demo(args) => demo::run(args),
        Task::Test(args) => test::run(args),
        Task::Fidelity(args) => fidelity::run(args),
        Task::Bench(args) => bench::run(args),
        Task::Campaign(args) => campaign::run(args),
        Task::Fuzz(args) => fuzz::run(args),
        Task::Setup => setup::run(),
        Task::Servers(args) => servers::run(args),
        Task::Images(args) => images::run(args),
        Task::Drill(args) => drill::run(args),
        Task::Cluster(args) => testcluster::run(args),
        Task::Codegen => codegen::run(),
        Task::Tidy => tidy::run(),
        Task::Ci(args) => ci::run(args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        // As hubctl: 3 means that something needed could not be asked or is not there.
        let is_absent = error.is::<provision::Missing>() || error.is::<provision::Unavailable>();
        ExitCode::from(if is_absent { 3 } else { 1 })
    })
}
