//! A failed test is run once more, alone: so a test that is late on a busy machine is told from one
//! that fails.
//!
//! A test that passes then is called flaky, by name, in the report. It is not hidden, since it may
//! be a rare fault of the product. More than a few failures are no coincidence, and neither is a
//! test program that dies.

use std::io::{BufRead as _, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use xshell::Cmd;

use crate::project;

/// More failures than this are failures.
const MOST: usize = 3;

/// The result of one command's tests.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Passed,
    /// These failed beside the others, and passed alone.
    Flaky(Vec<String>),
    Failed,
}

impl From<ExitCode> for Outcome {
    fn from(code: ExitCode) -> Self {
        if code == ExitCode::SUCCESS { Self::Passed } else { Self::Failed }
    }
}

/// Runs all tests of a command, and those that failed once more. The function adds arguments of the
/// test programs to the command.
pub(super) fn run<'a>(
    command: impl Fn(&[String]) -> anyhow::Result<Cmd<'a>>,
    out: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let (passed, first) = observe(command(&[])?, out)?;
    if passed {
        return Ok(Outcome::Passed);
    }
    let Some(failed) = first.worth_another_run() else {
        return Ok(Outcome::Failed);
    };
    writeln!(out, "\n== once more, alone: {}", failed.join(", "))?;
    let mut arguments = vec!["--exact".to_owned(), "--test-threads=1".to_owned()];
    arguments.extend_from_slice(failed);
    let (passed, second) = observe(command(&arguments)?, out)?;
    let ran_all = failed.iter().all(|name| second.passed.contains(name));
    Ok(if passed && ran_all { Outcome::Flaky(failed.to_vec()) } else { Outcome::Failed })
}

/// The output of one command's test programs.
#[derive(Debug, Default)]
pub(super) struct Said {
    passed: Vec<String>,
    failed: Vec<String>,
    begun: usize,
    ended: usize,
    /// The number of passed tests by the results of the programs, which no test's output can tear.
    pub(super) count: usize,
}

impl Said {
    /// Reads a line of libtest's report: `running 3 tests`, `test NAME ... ok` and
    /// `test result: FAILED. …`.
    fn read(&mut self, line: &str) {
        if line.starts_with("test result: ") {
            self.ended += 1;
            let words: Vec<_> = line.split([' ', ';']).collect();
            let passed = words.windows(2).find(|pair| pair[1] == "passed");
            self.count += passed.map_or(0, |pair| pair[0].parse().unwrap_or(0));
        } else if line.starts_with("running ") && line.trim_end_matches('s').ends_with(" test") {
            self.begun += 1;
        } else if let Some((name, verdict)) = verdict(line) {
            match verdict {
                "FAILED" => self.failed.push(name.to_owned()),
                "ok" => self.passed.push(name.to_owned()),
                _ => {}
            }
        }
    }

    /// The failed tests, unless they are many or a program never told its result.
    fn worth_another_run(&self) -> Option<&[String]> {
        let is_worth = (1..=MOST).contains(&self.failed.len()) && self.begun == self.ended;
        is_worth.then_some(&self.failed)
    }
}

fn verdict(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("test ")?.rsplit_once(" ... ")
}

/// Runs a command as [`project::run`] does, and reads what it says on its way.
pub(super) fn observe(command: Cmd<'_>, out: &mut impl Write) -> anyhow::Result<(bool, Said)> {
    let shown = command.to_string();
    eprintln!("$ {shown}");
    let mut command = Command::from(command);
    project::forget_package(&mut command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not run `{shown}`"))?;
    let stdout = child.stdout.take().expect("the output was asked for");
    let mut said = Said::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        said.read(&String::from_utf8_lossy(&line));
    }
    Ok((child.wait()?.success(), said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        let mut said = Said::default();
        text.lines().for_each(|line| said.read(line));
        said
    }

    #[test]
    fn a_failure_among_many_tests_is_worth_another_run() {
        let said = said(
            "running 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\n\
             test src/lib.rs - f (line 3) ... ok\ntest a::slow has been running for over 60 seconds\n\
             test result: FAILED. 2 passed; 1 failed\nrunning 1 test\ntest d ... ignored, needs root\ntest result: ok. 0 passed",
        );
        assert_eq!(said.count, 2);
        assert_eq!(said.worth_another_run(), Some(&["a::c".to_owned()][..]));
        assert_eq!(said.passed, ["a::b", "src/lib.rs - f (line 3)"]);
    }

    #[test]
    fn many_failures_a_dead_program_and_none_at_all_are_not() {
        let many: String = (0..=MOST).map(|n| format!("test t{n} ... FAILED\n")).collect();
        assert_eq!(said(&many).worth_another_run(), None);
        let dead = "running 2 tests\ntest a ... FAILED\n";
        assert_eq!(said(dead).worth_another_run(), None);
        assert_eq!(said("error: could not compile\n").worth_another_run(), None);
    }

    #[test]
    fn what_passes_alone_is_flaky_and_what_fails_again_has_failed() {
        let shell = xshell::Shell::new().unwrap();
        let program = |second: &str| {
            let first =
                "printf 'running 1 test\\ntest a ... FAILED\\ntest result: FAILED\\n'; exit 1";
            let script = format!("if [ $# -gt 0 ]; then {second}; else {first}; fi");
            let shell = &shell;
            let command = |arguments: &[String]| {
                Ok(xshell::cmd!(shell, "sh -c {script} program {arguments...}"))
            };
            run(command, &mut std::io::sink()).unwrap()
        };
        assert_eq!(program("echo 'test a ... ok'"), Outcome::Flaky(vec!["a".to_owned()]));
        assert_eq!(program("echo 'test a ... FAILED'; exit 1"), Outcome::Failed);
        // A filter that finds nothing passes as well.
        assert_eq!(program("echo 'running 0 tests'"), Outcome::Failed);
    }
}
