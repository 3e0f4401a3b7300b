//! `cargo xtask bench`: hubctl against the programs it replaces. The work is done by the crate
//! `bench`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use xshell::cmd;

use crate::{project, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Replace the table in docs/benchmarks.md
    #[arg(long)]
    write: bool,
    /// Measure tunnels instead, against autossh and loops; only root can
    #[arg(long)]
    tunnel: bool,
    /// Measure how long clients are away while a service moves instead, against scripts
    #[arg(long, conflicts_with_all = ["tunnel", "vault"])]
    cutover: bool,
    /// Measure sealing and opening instead, against the `age` crate, and a prune
    #[arg(long, conflicts_with = "tunnel")]
    vault: bool,
    /// Passed on to the bench: `--data events|narrow|many`, `--pairs N`, `--only WORK`,
    /// `--scale N`, or `--growth`; of tunnels `--runs N`, `--kills N`, `--only MEASURE`, `--short`;
    /// of moves `--runs N`, `--sizes MB,MB`, `--only WAY`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    setup::ensure()?;
    let (bench, programs): (&str, &[_]) = if args.cutover {
        ("cutovers", &[])
    } else if args.tunnel {
        ("tunnels", &[("autossh", "autossh")])
    } else if args.vault {
        ("vault", &[])
    } else {
        ("peers", &[("pigz", "pigz"), ("pgcopydb", "pgcopydb")])
    };
    provision::ensure_programs(programs)?;
    let shell = project::shell()?;
    let cargo = project::cargo();
    let mut arguments = args.arguments;
    if args.write {
        let page = shell.current_dir().join("docs/benchmarks.md");
        arguments.extend(["--write".into(), page.display().to_string()]);
    }
    eprintln!("Building for release. Stop everything else on this machine while this runs.");
    let built = project::run(cmd!(
        shell,
        "{cargo} build --release --package hubctl --bin hubctl --package bench --bin bench"
    ))?;
    if built != ExitCode::SUCCESS {
        return Ok(built);
    }
    let program = program()?;
    project::run(cmd!(shell, "{program} {bench} {arguments...}"))
}

/// The bench as cargo has just built it, beside `hubctl`. `cargo run` would build it again, with
/// the features of one package instead of two.
fn program() -> anyhow::Result<PathBuf> {
    // Cargo has a directory for each profile, and we are in that of another one.
    let me = std::env::current_exe()?;
    let profiles = me.ancestors().nth(2);
    let profiles = profiles.context("cargo builds us two directories deep")?;
    Ok(profiles.join("release/bench"))
}
