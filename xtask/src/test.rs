//! `cargo xtask test`: all tests, after installing what they need.

use std::process::ExitCode;

use xshell::cmd;

use crate::{project, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to `cargo test`, such as `--package NAME` or a part of a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    setup::ensure()?;
    let shell = project::shell()?;
    let cargo = project::cargo();
    let arguments = args.arguments;
    // At the root, cargo takes the whole workspace unless a package is named: unit, integration and documentation tests.
    // One failure does not hide another.
    project::run(cmd!(shell, "{cargo} test --no-fail-fast {arguments...}"))
}
