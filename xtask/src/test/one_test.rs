//! Tests that other commands run by their names: one that was renamed is found out, since the test
//! programs run none and are content.

use std::io::Write;
use std::process::ExitCode;

use xshell::Cmd;

use super::rerun::observe;

/// Runs a command that is to run a single test, and fails where it runs none.
pub(crate) fn run(command: Cmd<'_>) -> anyhow::Result<ExitCode> {
    require(command, &mut std::io::stdout(), |passed| passed == 1)
}

/// Runs a command that is to run tests, and fails where it runs none.
pub(crate) fn run_some(command: Cmd<'_>) -> anyhow::Result<ExitCode> {
    require(command, &mut std::io::stdout(), |passed| passed > 0)
}

fn require(
    command: Cmd<'_>,
    out: &mut impl Write,
    is_right: impl Fn(usize) -> bool,
) -> anyhow::Result<ExitCode> {
    let shown = command.to_string();
    let (succeeded, said) = observe(command, out)?;
    if !succeeded {
        return Ok(ExitCode::FAILURE);
    }
    let passed = said.count;
    anyhow::ensure!(
        is_right(passed),
        "{passed} tests passed in `{shown}`: is that still the name?"
    );
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_test_has_is_no_success() {
        let shell = xshell::Shell::new().unwrap();
        let ran = |said: &str, code: &str| {
            let script = format!("printf '{said}'; exit {code}");
            let command = xshell::cmd!(shell, "sh -c {script}");
            require(command, &mut std::io::sink(), |passed| passed == 1)
        };
        let one =
            "running 1 test\\ntest a ... it says\\nok\\ntest result: ok. 1 passed; 0 failed\\n";
        assert_eq!(ran(one, "0").unwrap(), ExitCode::SUCCESS);
        assert_eq!(ran(one, "1").unwrap(), ExitCode::FAILURE);
        let none = "running 0 tests\\ntest result: ok. 0 passed\\n";
        assert!(ran(none, "0").unwrap_err().to_string().contains("0 tests"));
    }
}
