//! `cargo xtask ci`: everything that a change has to pass, how long each part took, and what could
//! not be checked here.

mod dependencies;

use std::fmt::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use xshell::{Cmd, Shell, cmd};

use crate::{fuzz, project, tidy};

type Part = fn(&Shell) -> anyhow::Result<Ended>;

const PARTS: [(&str, Part); 11] = [
    ("format", format),
    ("clippy", clippy),
    ("tidy", |_| Ok(tidy::run()?.into())),
    ("documentation", documentation),
    ("packages", packages),
    ("dependencies", dependencies::check),
    ("fuzz", fuzz_targets),
    ("tests", tests),
    ("cluster", kubernetes),
    ("images", images),
    ("drill", drill),
];

/// Slow work that leaves the compiler alone begins at once, beside the parts: each line is a chain
/// of our own commands. The parts repeat them and report what failed.
const EARLY: [&[&[&str]]; 2] = [
    // Ten minutes of another compiler, on a new machine.
    &[&["cluster", "build"]],
    // Packages, downloads and file systems.
    &[&["setup"], &["images"]],
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only these parts
    #[arg(value_parser = PARTS.map(|(name, _)| name))]
    parts: Vec<String>,
}

/// The result of a part.
#[derive(Debug, PartialEq)]
struct Ended {
    passed: bool,
    /// Checks that this machine cannot make, each with the reason.
    skipped: Vec<String>,
}

impl From<ExitCode> for Ended {
    fn from(code: ExitCode) -> Self {
        Self { passed: code == ExitCode::SUCCESS, skipped: Vec::new() }
    }
}

impl Ended {
    /// Nothing failed, as nothing could be asked; that is said at once, and again at the end.
    fn skipped(what: String) -> Self {
        println!("SKIPPED {what}");
        Self { passed: true, skipped: vec![what] }
    }

    /// Both, one after the other.
    fn and(mut self, next: Self) -> Self {
        self.passed &= next.passed;
        self.skipped.extend(next.skipped);
        self
    }
}

/// Runs all parts, also after one failed, so that one run tells everything.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let shell = project::shell()?;
    let is_everything = args.parts.is_empty();
    let early = is_everything.then(|| EARLY.map(begin));
    let start = Instant::now();
    let mut results = Vec::new();
    let is_wanted = |name: &str| is_everything || args.parts.iter().any(|part| part == name);
    for (name, part) in PARTS.into_iter().filter(|(name, _)| is_wanted(name)) {
        println!("\n== {name}");
        let begin = Instant::now();
        let ended = part(&shell).unwrap_or_else(|error| {
            println!("error: {error:#}");
            ExitCode::FAILURE.into()
        });
        results.push((name, ended, begin.elapsed()));
    }
    for chain in early.into_iter().flatten() {
        // What one of them says was said.
        let _ = chain.join();
    }
    print!("{}", summary(&results, start.elapsed()));
    let passed = results.iter().all(|(_, ended, _)| ended.passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs commands of ours, one after the other, with what the parts leave of the processor.
fn begin(chain: &'static [&[&str]]) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let Ok(me) = std::env::current_exe() else {
            return;
        };
        for words in chain {
            let mut command = Command::new("nice");
            command.arg(&me).args(*words);
            // The part of the same name says how it ended.
            let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        }
    })
}

fn summary(results: &[(&str, Ended, Duration)], total: Duration) -> String {
    let mut text = "\n== summary\n".to_owned();
    for (name, ended, duration) in results {
        let verdict = match (ended.passed, ended.skipped.is_empty()) {
            (false, _) => "FAILED",
            (true, true) => "passed",
            (true, false) => "skipped in part",
        };
        let seconds = duration.as_secs_f64();
        let _ = writeln!(text, "{name:<14} {seconds:>8.1} s  {verdict}");
    }
    let _ = writeln!(text, "{:<14} {:>8.1} s", "total", total.as_secs_f64());
    for what in results.iter().flat_map(|(_, ended, _)| &ended.skipped) {
        let _ = writeln!(text, "SKIPPED {what}");
    }
    text
}

fn check(command: Cmd<'_>) -> anyhow::Result<Ended> {
    Ok(project::run(command)?.into())
}

fn format(shell: &Shell) -> anyhow::Result<Ended> {
    let cargo = project::cargo();
    check(cmd!(shell, "{cargo} fmt --all --check"))
}

fn clippy(shell: &Shell) -> anyhow::Result<Ended> {
    let cargo = project::cargo();
    check(cmd!(shell, "{cargo} clippy --locked --workspace --all-targets -- -D warnings"))
}

fn documentation(shell: &Shell) -> anyhow::Result<Ended> {
    let cargo = project::cargo();
    let command = cmd!(shell, "{cargo} doc --locked --no-deps --workspace");
    check(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Packs the libraries as if to publish them; the parts before have built what is in them.
fn packages(shell: &Shell) -> anyhow::Result<Ended> {
    let cargo = project::cargo();
    let libraries = tidy::LIBRARIES.iter().flat_map(|library| ["--package", library]);
    check(cmd!(shell, "{cargo} package --offline --no-verify --allow-dirty --quiet {libraries...}"))
}

/// The compiler that fuzzing needs looks at the targets. Where it cannot be had, ours has to do.
fn fuzz_targets(shell: &Shell) -> anyhow::Result<Ended> {
    let check = ["check", "--locked", "--bins", "--manifest-path", "fuzz/Cargo.toml"];
    if fuzz::has_nightly() {
        return self::check(cmd!(shell, "rustup run nightly cargo {check...}"));
    }
    let what =
        "fuzz targets with a nightly compiler: there is none, so the one of the project had to do";
    let skipped = Ended::skipped(what.to_owned());
    let cargo = project::cargo();
    Ok(self::check(cmd!(shell, "{cargo} {check...}"))?.and(skipped))
}

/// Requires that what clusters consist of could be made; the tests have waited for it. A machine
/// that can have no cluster says so, and so do the tests then. Where only what is fetched or
/// installed is missing, this fails.
fn kubernetes(shell: &Shell) -> anyhow::Result<Ended> {
    if let Err(error) = testcluster::require_ability() {
        let what = format!("a cluster, and the tests that need one: {error:#}");
        return Ok(Ended::skipped(what));
    }
    let cargo = project::cargo();
    check(cmd!(shell, "{cargo} xtask cluster build"))
}

/// The command of the README. A test that is late on a busy machine does not stop a change, but is
/// named.
fn tests(shell: &Shell) -> anyhow::Result<Ended> {
    let cargo = project::cargo();
    check(cmd!(shell, "{cargo} xtask test --rerun"))
}

fn images(shell: &Shell) -> anyhow::Result<Ended> {
    let cargo = project::cargo();
    check(cmd!(shell, "{cargo} xtask images"))
}

/// Restores in containers made of those images. Where there can be no container, this fails: nobody
/// would notice else.
fn drill(shell: &Shell) -> anyhow::Result<Ended> {
    let cargo = project::cargo();
    check(cmd!(shell, "{cargo} xtask drill"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_is_in_the_summary_and_fails_nothing() {
        let seconds = Duration::from_secs;
        let skipped = Ended::skipped("advisories: no network".to_owned());
        let passed = Ended::from(ExitCode::SUCCESS);
        let results = [
            ("format", Ended::from(ExitCode::SUCCESS), seconds(1)),
            ("dependencies", passed.and(skipped), seconds(2)),
            ("tests", Ended::from(ExitCode::FAILURE), seconds(30)),
        ];
        let expected = "\n== summary\n\
             format              1.0 s  passed\n\
             dependencies        2.0 s  skipped in part\n\
             tests              30.0 s  FAILED\n\
             total              33.0 s\n\
             SKIPPED advisories: no network\n";
        assert_eq!(summary(&results, seconds(33)), expected);
    }

    #[test]
    fn a_failure_is_not_forgotten_for_what_follows_it() {
        let failed = Ended::from(ExitCode::FAILURE);
        assert!(!failed.and(Ended::skipped("the rest".to_owned())).passed);
    }
}
