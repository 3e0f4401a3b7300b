//! `cargo xtask codegen`: writes the files anew that are made of the program.

use std::process::ExitCode;

use xshell::cmd;

use crate::project;

/// Writes `docs/cli.md` from the help of every command. A test of hubctl fails where it is not
/// current.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let shell = project::shell()?;
    let cargo = project::cargo();
    let _writes = shell.push_env("HUBCTL_CODEGEN", "1");
    project::run(cmd!(shell, "{cargo} test --package hubctl --test it -- reference::"))
}
