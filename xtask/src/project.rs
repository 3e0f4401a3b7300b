//! Where the project is, and how its commands are run.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use xshell::{Cmd, Shell};

/// The directory of the workspace.
pub(crate) fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// A shell in the directory of the workspace.
pub(crate) fn shell() -> anyhow::Result<Shell> {
    let shell = Shell::new()?;
    shell.change_dir(root());
    Ok(shell)
}

/// The cargo that runs this program, so that both are of one toolchain.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| env!("CARGO").to_owned())
}

/// Shows and runs a command, with its output going where ours goes, and passes its exit code on.
pub(crate) fn run(command: Cmd<'_>) -> anyhow::Result<ExitCode> {
    let shown = command.to_string();
    eprintln!("$ {shown}");
    let status = Command::from(command)
        .status()
        .with_context(|| format!("could not run `{shown}`"))?;
    // A process that a signal ended has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
