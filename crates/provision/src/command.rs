//! Commands that speak only when they fail.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Runs a command whose output matters only when it fails.
///
/// # Errors
///
/// If it cannot be run or fails. The error ends with the last lines of its output.
pub fn run_quietly(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().display().to_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    let _ = write!(said, "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = said.lines().collect();
    let end = lines[lines.len().saturating_sub(20)..].join("\n");
    bail!("{program} failed ({})\n{end}", output.status)
}
