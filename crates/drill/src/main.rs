//! Restore drills between versions of PostgreSQL, in containers; `cargo xtask drill` starts this
//! program.
//!
//! Every way from one version to the same or a newer one is gone as a user would go it: the real
//! `hubctl` takes a backup of one server and restores it into another, and so do the stock tools.
//! Then contents, schema and every index of the copies are compared and checked. Servers run with
//! their default settings, `fsync` included.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to a developer")]

mod arguments;
mod containers;
mod home;
mod image;
mod matrix;
mod plan;
mod programs;
mod schema;
mod server;
mod steps;
mod way;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Format};
use containers::Run;
use matrix::Matrix;
use programs::Programs;

/// A missing requirement of the drill, and the way to get it.
#[derive(Debug)]
pub(crate) struct Unavailable(String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime
        .context("could not start the runtime")
        .and_then(|runtime| runtime.block_on(drill(&arguments)));
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(if error.is::<Unavailable>() { 3 } else { 1 })
    })
}

/// The whole drill. However it ends, its containers go with it unless they are to be kept.
async fn drill(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let ways = match plan::ways(arguments) {
        Ok(ways) => ways,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Ok(ExitCode::from(2));
        }
    };
    home::sweep()?;
    let run = Run::begin(arguments.keep).await?;
    let images = image::Images::choose(&run, arguments.image.as_deref(), &ways).await?;
    let ways = plan::with_another_library(ways, arguments, &images);
    let programs = Programs::find(&arguments.clients).await?;
    let engine_keeper = arguments.engine_keeper.as_deref();
    if let Some(file) = engine_keeper {
        fs_err::write(file, "")?;
    }
    let outcome = tokio::select! {
        result = way::run_all(&run, &images, &programs, &ways) => Some(result),
        () = interrupted() => None,
    };
    if outcome.is_none() {
        eprintln!("Interrupted.");
    }
    run.end().await?;
    if let Some(file) = engine_keeper {
        eprintln!("To stop the engine, once they are removed:\n  rm {}", file.display());
    }
    let Some(result) = outcome else {
        return Ok(ExitCode::from(130));
    };
    let matrix = result?;
    match arguments.format {
        Format::Text => print!("{matrix}"),
        Format::Json => println!("{}", serde_json::to_string_pretty(&matrix)?),
    }
    Ok(code(&matrix))
}

fn code(matrix: &Matrix) -> ExitCode {
    if matrix.has_failed() {
        ExitCode::FAILURE
    } else if matrix.is_incomplete() {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    }
}

/// Waits for a signal that asks this process to end.
async fn interrupted() {
    let [mut interrupt, mut terminate, mut hang_up] =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .map(|kind| signal(kind).expect("these signals can be handled"));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}
