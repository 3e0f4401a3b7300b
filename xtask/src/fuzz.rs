//! `cargo xtask fuzz`: libFuzzer against everything that reads bytes of unknown origin.
//!
//! It needs a nightly compiler and `cargo-fuzz`, and installs them if need be. The same entry
//! points run over fewer inputs in the tests, on stable.

use std::process::{Command, ExitCode, Stdio};

use fs_err as fs;
use xshell::cmd;

use crate::test::one_test;
use crate::{project, setup};

const TARGETS: [&str; 7] =
    ["archive", "manifest", "member", "sql", "foreign", "sidecar", "signers"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long to run each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Which targets; all of them unless named
    #[arg(value_parser = TARGETS)]
    targets: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(remedy) = missing() {
        eprintln!("error: fuzzing needs what is not here; please run\n  {remedy}");
        return Ok(ExitCode::from(3));
    }
    setup::ensure()?;
    // libFuzzer itself is C++.
    provision::ensure_programs(&[("c++", "g++")])?;
    if seed()? != ExitCode::SUCCESS {
        return Ok(ExitCode::FAILURE);
    }
    let targets =
        if args.targets.is_empty() { TARGETS.map(String::from).into() } else { args.targets };
    // One finding does not keep the others from being looked for.
    let mut failed = Vec::new();
    for target in targets {
        if fuzz(&target, args.seconds)? != ExitCode::SUCCESS {
            failed.push(target);
        }
    }
    if failed.is_empty() {
        println!("fuzz: nothing found");
        return Ok(ExitCode::SUCCESS);
    }
    println!("fuzz: {} fell over; the inputs are in fuzz/artifacts", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Brings what is missing; where that fails, returns the command to run.
fn missing() -> Option<&'static str> {
    if !has_nightly() {
        return Some("rustup toolchain install nightly --profile minimal");
    }
    const DRIVER: [&str; 5] = ["run", "nightly", "cargo", "fuzz", "--version"];
    if !succeeds("rustup", &DRIVER) {
        eprintln!("Installing cargo-fuzz …");
        install(&project::cargo(), &["install", "--locked", "cargo-fuzz"]);
    }
    (!succeeds("rustup", &DRIVER)).then_some("cargo install --locked cargo-fuzz")
}

/// Says if there is a nightly compiler, installed now if it was not there.
pub(crate) fn has_nightly() -> bool {
    const COMPILER: [&str; 4] = ["run", "nightly", "rustc", "--version"];
    if succeeds("rustup", &COMPILER) {
        return true;
    }
    eprintln!("Installing the nightly compiler …");
    install("rustup", &["toolchain", "install", "nightly", "--profile", "minimal"]);
    succeeds("rustup", &COMPILER)
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Lets the program say why it failed; what counts is whether the thing is there afterwards.
fn install(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    let _ = command.args(arguments).stdin(Stdio::null()).status();
}

/// Fills the corpus with archives of real databases.
fn seed() -> anyhow::Result<ExitCode> {
    let shell = project::shell()?;
    let cargo = project::cargo();
    let corpus = project::root().join("fuzz/corpus");
    let test = "seeds::archives_of_real_databases_are_sound_seeds";
    let command = cmd!(shell, "{cargo} test --package pgsnap --test it -- --exact {test}");
    one_test::run(command.env("FUZZ_CORPUS", corpus))
}

fn fuzz(target: &str, seconds: u32) -> anyhow::Result<ExitCode> {
    let shell = project::shell()?;
    shell.change_dir("fuzz");
    let corpus = format!("corpus/{target}");
    fs::create_dir_all(project::root().join("fuzz").join(&corpus))?;
    // The limits are those of "no unbounded memory"; a member claims up to 1032 times its own length.
    let limits = ["-max_len=131072", "-rss_limit_mb=512", "-malloc_limit_mb=256", "-timeout=20"];
    let time = format!("-max_total_time={seconds}");
    let mut directories = vec![corpus];
    if project::root().join("fuzz/seeds").join(target).is_dir() {
        directories.push(format!("seeds/{target}"));
    }
    let command = cmd!(
        shell,
        "rustup run nightly cargo fuzz run {target} {directories...} -- {time} -print_final_stats=1 {limits...}"
    );
    // Freed memory that the sanitizer keeps would count as used; libdeflate has constants of one name in two files.
    let options = "quarantine_size_mb=16:detect_odr_violation=0";
    project::run(command.env("ASAN_OPTIONS", options))
}
