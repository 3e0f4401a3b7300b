//! Moves a directory of files, and can be killed at any time: run again, it goes on or back.
//!
//! Run it with `cargo run -p runbook --example move_directory`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use jiff::Timestamp;
use journal::Journal;
use runbook::{
    Effect, Failure, Found, Intent, Outcome, Pending, Runbook, Runner, Step, StepFacts, TimeBox,
};
use serde_json::{Value, json};

// Visible to the test that runs this file.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (from, to) = (made_in(directory.path())?, directory.path().join("to"));
    let journal = Journal::open(beside(&from, "journal.jsonl"))?;
    println!("{:?}", move_directory(&journal, &from, &to).await?);
    for record in journal.read()? {
        let step = record.evidence["step"].as_str().unwrap_or_default();
        println!("{:>3} {:<11} {step}", record.seq, record.outcome.to_string());
    }
    Ok(())
}

/// Moves `from` to `to`, or goes on with an earlier attempt.
async fn move_directory(
    journal: &Journal,
    from: &Path,
    to: &Path,
) -> Result<Outcome, Box<dyn Error>> {
    let steps = steps(from, to);
    let runner = Runner::open(journal, &described(&steps)?, Arc::new(Timestamp::now))?;
    Ok(runner.execute(&steps, Intent::Forward).await?)
}

pub(crate) fn described(steps: &[Box<dyn Step>]) -> Result<Runbook, runbook::Error> {
    let facts = steps.iter().map(|step| step.facts());
    // Writers wait for ten minutes at most.
    let limit = TimeBox::new("held", "hold", "release", Duration::from_secs(600));
    Runbook::new("move", facts, [limit])
}

pub(crate) fn steps(from: &Path, to: &Path) -> Vec<Box<dyn Step>> {
    let paths = Paths {
        hold: beside(from, "hold"),
        part: beside(to, "part"),
        old: beside(from, "old"),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let step = |facts: StepFacts, check, act, undo| -> Box<dyn Step> {
        Box::new(FileStep { facts, paths: paths.clone(), check, act, undo })
    };
    let facts = StepFacts::new;
    vec![
        step(
            facts("hold", "Ask writers to wait"),
            |at| Ok(exists(&at.hold)),
            |at| regularfile::create(&at.hold, "").and_then(|()| synced(&at.hold)),
            |at| fs::remove_file(&at.hold).and_then(|()| synced(&at.hold)),
        ),
        step(
            facts("copy", "Copy the files"),
            |at| match at.part.exists() {
                false => Ok(Found::NotDone),
                true if content(&at.part)? == content(&at.from)? => Ok(Found::Done(Value::Null)),
                true => Ok(Found::Partly("some files are missing or incomplete".to_owned())),
            },
            copy,
            |at| fs::remove_dir_all(&at.part).and_then(|()| synced(&at.part)),
        ),
        step(
            facts("compare", "Compare the copy").with_effect(Effect::Nothing),
            |at| match content(&at.part)? == content(&at.from)? {
                true => Ok(Found::Done(json!({ "files": content(&at.part)?.len() }))),
                false => Ok(Found::NotDone),
            },
            |_| Err(io::Error::other("the copy differs")),
            |_| Ok(()),
        ),
        step(
            facts("switch", "Give the copy its name").with_effect(Effect::Commit),
            switched,
            |at| fs::rename(&at.part, &at.to).and_then(|()| synced(&at.to)),
            |_| Ok(()),
        ),
        step(
            facts("remove", "Remove the old directory"),
            |at| Ok(if at.from.exists() { Found::NotDone } else { missing(&at.old) }),
            remove,
            |_| Ok(()),
        ),
        step(
            facts("release", "Let writers go on"),
            |at| Ok(missing(&at.hold)),
            |at| fs::remove_file(&at.hold).and_then(|()| synced(&at.hold)),
            |_| Ok(()),
        ),
    ]
}

#[derive(Debug, Clone)]
struct Paths {
    from: PathBuf,
    to: PathBuf,
    /// Writers wait while this file exists.
    hold: PathBuf,
    /// The copy, until it is complete.
    part: PathBuf,
    /// The old directory, while it is removed.
    old: PathBuf,
}

/// A step of three plain functions.
struct FileStep {
    facts: StepFacts,
    paths: Paths,
    check: fn(&Paths) -> io::Result<Found>,
    act: fn(&Paths) -> io::Result<()>,
    undo: fn(&Paths) -> io::Result<()>,
}

impl Step for FileStep {
    fn facts(&self) -> StepFacts {
        self.facts.clone()
    }

    fn check(&self) -> Pending<'_, Found> {
        let unknown = |error: io::Error| Found::Unknown(error.to_string());
        Box::pin(async move { (self.check)(&self.paths).unwrap_or_else(unknown) })
    }

    fn act(&self) -> Pending<'_, Result<Value, Failure>> {
        Box::pin(async move { (self.act)(&self.paths).map(|()| Value::Null).map_err(failure) })
    }

    fn undo(&self) -> Pending<'_, Result<(), Failure>> {
        Box::pin(async move { (self.undo)(&self.paths).map_err(failure) })
    }
}

fn failure(error: io::Error) -> Failure {
    Failure::permanent(error.to_string())
}

fn copy(at: &Paths) -> io::Result<()> {
    if at.part.exists() {
        fs::remove_dir_all(&at.part)?;
    }
    fs::create_dir(&at.part)?;
    for (name, bytes) in content(&at.from)? {
        let path = at.part.join(name);
        regularfile::create(&path, bytes)?;
        fs::File::open(&path)?.sync_all()?;
    }
    regularfile::sync_directory(&at.part)?;
    synced(&at.part)
}

/// Another directory may have the name already. It must not pass for the copy, or the only files
/// would be removed.
fn switched(at: &Paths) -> io::Result<Found> {
    if at.part.exists() || !at.to.exists() {
        return Ok(Found::NotDone);
    }
    // The old directory loses its name as a whole, and only after the commit point.
    let is_ours = !at.from.exists() || content(&at.to)? == content(&at.from)?;
    Ok(if is_ours { Found::Done(Value::Null) } else { Found::NotDone })
}

fn remove(at: &Paths) -> io::Result<()> {
    if at.from.exists() {
        fs::rename(&at.from, &at.old)?;
        synced(&at.old)?;
    }
    fs::remove_dir_all(&at.old)?;
    synced(&at.old)
}

/// The files of a directory, by name.
fn content(directory: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push((name, fs::read(entry.path())?));
    }
    files.sort();
    Ok(files)
}

/// Makes the name of a file survive a crash, or its removal.
fn synced(path: &Path) -> io::Result<()> {
    regularfile::sync_directory(regularfile::parent(path))
}

fn exists(path: &Path) -> Found {
    if path.exists() { Found::Done(Value::Null) } else { Found::NotDone }
}

fn missing(path: &Path) -> Found {
    if path.exists() { Found::NotDone } else { Found::Done(Value::Null) }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.{suffix}"))
}

fn made_in(directory: &Path) -> io::Result<PathBuf> {
    let from = directory.join("from");
    fs::create_dir(&from)?;
    for number in 0..3 {
        fs::write(from.join(number.to_string()), format!("file {number}\n"))?;
    }
    Ok(from)
}
