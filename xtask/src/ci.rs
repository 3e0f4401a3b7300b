//! `cargo xtask ci`: everything that a change has to pass, and how long each part took.

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use xshell::{Shell, cmd};

use crate::{project, tidy};

type Part = fn(&Shell) -> anyhow::Result<ExitCode>;

const PARTS: [(&str, Part); 10] = [
    ("format", format),
    ("clippy", clippy),
    ("tidy", |_| tidy::run()),
    ("documentation", documentation),
    ("packages", packages),
    ("dependencies", dependencies),
    ("cluster", kubernetes),
    ("tests", tests),
    ("images", images),
    ("drill", drill),
];

/// Runs all parts, also after one failed, so that one run tells everything.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let shell = project::shell()?;
    let mut builder = build_cluster();
    let mut results = Vec::new();
    for (name, part) in PARTS {
        println!("\n== {name}");
        let begin = Instant::now();
        let passed = part(&shell).map_or_else(
            |error| {
                println!("error: {error:#}");
                false
            },
            |code| code == ExitCode::SUCCESS,
        );
        results.push((name, passed, begin.elapsed()));
    }
    if let Some(builder) = &mut builder {
        builder.wait()?;
    }
    report(&results);
    let passed = results.iter().all(|(_, passed, _)| *passed);
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(results: &[(&str, bool, Duration)]) {
    println!("\n== summary");
    for (name, passed, duration) in results {
        let verdict = if *passed { "passed" } else { "FAILED" };
        println!("{name:<14} {verdict} {:>8.1} s", duration.as_secs_f64());
    }
    let total: Duration = results.iter().map(|(_, _, duration)| duration).sum();
    println!("{:<14} {:>15.1} s", "total", total.as_secs_f64());
}

fn format(shell: &Shell) -> anyhow::Result<ExitCode> {
    let cargo = project::cargo();
    project::run(cmd!(shell, "{cargo} fmt --all --check"))
}

fn clippy(shell: &Shell) -> anyhow::Result<ExitCode> {
    let cargo = project::cargo();
    project::run(cmd!(
        shell,
        "{cargo} clippy --locked --workspace --all-targets -- -D warnings"
    ))
}

fn documentation(shell: &Shell) -> anyhow::Result<ExitCode> {
    let cargo = project::cargo();
    let command = cmd!(shell, "{cargo} doc --locked --no-deps --workspace");
    project::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Packs the libraries as if to publish them; the parts before have built what is in them.
fn packages(shell: &Shell) -> anyhow::Result<ExitCode> {
    let cargo = project::cargo();
    let libraries = tidy::LIBRARIES
        .iter()
        .flat_map(|library| ["--package", library]);
    project::run(cmd!(
        shell,
        "{cargo} package --offline --no-verify --allow-dirty --quiet {libraries...}"
    ))
}

fn dependencies(shell: &Shell) -> anyhow::Result<ExitCode> {
    let cargo = project::cargo();
    let installed = cmd!(shell, "{cargo} deny --version")
        .quiet()
        .ignore_stderr()
        .read()
        .is_ok();
    if !installed {
        println!("not checked: cargo-deny is not installed here");
        return Ok(ExitCode::SUCCESS);
    }
    project::run(cmd!(shell, "{cargo} deny check bans licenses sources"))
}

/// Compiles Kubernetes while the other parts leave something of the processor. Where it fails, the part `cluster` says so.
fn build_cluster() -> Option<Child> {
    Command::new("nice")
        .arg(std::env::current_exe().ok()?)
        .args(["cluster", "build"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .ok()
}

/// Waits until what clusters consist of is there. A machine that can have none says so, and so do the tests then; where
/// it could have one and only what is fetched or installed is missing, this fails.
fn kubernetes(shell: &Shell) -> anyhow::Result<ExitCode> {
    if let Err(error) = testcluster::require_ability() {
        println!("SKIPPED, as are the tests that need a cluster: {error:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let cargo = project::cargo();
    project::run(cmd!(shell, "{cargo} xtask cluster build"))
}

/// The command of the README. A test that is late on a busy machine does not stop a change, but is named.
fn tests(shell: &Shell) -> anyhow::Result<ExitCode> {
    let cargo = project::cargo();
    project::run(cmd!(shell, "{cargo} xtask test --rerun"))
}

fn images(shell: &Shell) -> anyhow::Result<ExitCode> {
    let cargo = project::cargo();
    project::run(cmd!(shell, "{cargo} xtask images"))
}

/// Restores in containers made of those images. Where there can be no container, this fails: nobody would notice else.
fn drill(shell: &Shell) -> anyhow::Result<ExitCode> {
    let cargo = project::cargo();
    project::run(cmd!(shell, "{cargo} xtask drill"))
}
