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
    eprintln!("Building hubctl for release; the first time takes a minute or more.");
    project::run(cmd!(
        shell,
        "{cargo} run --release --package hubctl --bin hubctl -- demo {arguments...}"
    ))
}
