//! `cargo xtask demo`: the demo of `hubctl`, after installing what it needs.

use std::process::ExitCode;

use xshell::cmd;

use crate::{project, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to `hubctl demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    setup::ensure()?;
    let shell = project::shell()?;
    let cargo = project::cargo();
    let arguments = args.arguments;
    eprintln!(
        "Building hubctl for the demo; the first time takes some minutes, and cargo tells how far it is."
    );
    project::run(cmd!(
        shell,
        "{cargo} run --profile quick --package hubctl --bin hubctl -- demo {arguments...}"
    ))
}
