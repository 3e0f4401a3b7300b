//! `cargo xtask fidelity`: what `pg_dump` keeps is kept. The tests of `docs/fidelity.md`, and the
//! large cases on request.

use std::process::{Command, ExitCode, Stdio};

use anyhow::ensure;
use xshell::{Shell, cmd};

use crate::test::one_test;
use crate::{project, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the cases that take minutes, gigabytes of disk and of the server's memory, each in
    /// a process of its own
    #[arg(long)]
    large: bool,
    /// Passed on to the tests, such as a part of a case's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    setup::ensure()?;
    let shell = project::shell()?;
    let cargo = project::cargo();
    let arguments = args.arguments;
    if args.large {
        return run_large(&shell, &arguments);
    }
    let filter = arguments.is_empty().then_some("fidelity::");
    // The servers do most of the work, so the build that all tests use will do.
    one_test::run_some(cmd!(
        shell,
        "{cargo} test --package pgsnap --test it -- {filter...} {arguments...}"
    ))
}

/// One failure does not hide another.
fn run_large(shell: &Shell, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let cargo = project::cargo();
    let mut list = Command::from(cmd!(
        shell,
        "{cargo} test --release --package pgsnap --test it -- --ignored --list {arguments...}"
    ));
    project::forget_package(&mut list);
    let listed = list.stderr(Stdio::inherit()).output()?;
    if !listed.status.success() {
        return Ok(ExitCode::FAILURE);
    }
    let listed = String::from_utf8(listed.stdout)?;
    ensure!(cases(&listed).next().is_some(), "there is no large case of this name");
    println!("| case | dump: time, memory | verify | restore |\n|---|---|---|---|");
    let mut worst = ExitCode::SUCCESS;
    for case in cases(&listed) {
        let code = one_test::run(cmd!(
            shell,
            "{cargo} test --release --package pgsnap --test it -- --ignored --exact --nocapture {case}"
        ))?;
        if code != ExitCode::SUCCESS {
            worst = code;
        }
    }
    Ok(worst)
}

/// The large cases among what `--list` prints.
fn cases(listed: &str) -> impl Iterator<Item = &str> {
    listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .filter(|name| name.starts_with("fidelity::scale::large_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_cases_are_found_by_their_names() {
        let listed =
            "fidelity::scale::large_value: test\nother::large: test\n\n2 tests, 0 benchmarks\n";
        assert_eq!(cases(listed).collect::<Vec<_>>(), ["fidelity::scale::large_value"]);
    }
}
