//! The directory of the project, and the way its commands are run.

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
    let mut command = Command::from(command);
    forget_package(&mut command);
    let status = command.status().with_context(|| format!("could not run `{shown}`"))?;
    // A process that a signal ended has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// Takes away what cargo says about this package to those it runs, us.
///
/// Build scripts that look at it (that of `ring` does) would run again, and all that is built on
/// them be built again, whenever one changes between `cargo xtask` and `cargo`.
pub(crate) fn forget_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if is_about_package(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
}

fn is_about_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_does_not_hear_of_this_package() {
        // Cargo sets both for tests as well.
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        let mut command = Command::new("env");
        forget_package(&mut command);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = || said.lines().filter_map(|line| line.split('=').next());
        assert!(names().any(|name| name == "PATH"), "{said}");
        assert!(!names().any(is_about_package), "{said}");
        assert!(!is_about_package("CARGO_HOME") && !is_about_package("CARGO"));
    }
}
