//! `cargo xtask drill`: restores between versions of PostgreSQL, in containers. The work is done by
//! the crate `drill`.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use xshell::cmd;

use crate::servers::{self, BUNDLES};
use crate::{engine, project, setup};

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Passed on to the drill; `--help` lists what it takes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let shell = project::shell()?;
    let cargo = project::cargo();
    let arguments = args.arguments;
    let mut drill = Command::new(&cargo);
    project::forget_package(&mut drill);
    drill.current_dir(project::root()).args(["run", "--quiet", "--package", "drill", "--"]);
    if !arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        setup::ensure()?;
        drill.arg("--clients").arg(client_directories()?);
        eprintln!("Building hubctl and the drill.");
        let built = project::run(cmd!(
            shell,
            "{cargo} build --quiet --package hubctl --bin hubctl --package drill --bin drill"
        ))?;
        if built != ExitCode::SUCCESS {
            return Ok(built);
        }
        let engine = engine::ensure()?;
        drill.envs(engine.environment());
        if arguments.iter().any(|argument| argument == "--keep")
            && let Some(file) = engine.keeper()
        {
            drill.arg("--engine-keeper").arg(file);
        }
    }
    // The drill takes our place: the engine of our own belongs to this process, and signals reach who can clean up.
    let error = drill.args(arguments).exec();
    Err(error).context("could not start the drill")
}

/// Returns the directories of PostgreSQL's client programs, as a search path.
fn client_directories() -> anyhow::Result<std::ffi::OsString> {
    let mut directories = Vec::new();
    for bundle in &BUNDLES {
        let clients = servers::ensure(bundle)?.clients().to_owned();
        if !directories.contains(&clients) {
            directories.push(clients);
        }
    }
    Ok(std::env::join_paths(directories)?)
}
