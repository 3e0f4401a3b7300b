//! `cargo xtask tidy`: the architecture invariants and house rules that the compiler and clippy
//! cannot check.
//!
//! The rules are explained in `docs/architecture.md`. The check also runs as a test of this crate.

mod columns;
mod commands;
mod dependencies;
mod documents;
mod modules;
mod repository;
mod sources;
mod words;

use std::fmt;
use std::process::ExitCode;

use repository::Repository;

/// The crates that others may use without the rest of the project. They know nothing of each other,
/// except [`LEAVES`].
pub(crate) const LIBRARIES: [&str; 9] =
    ["pgsnap", "backup", "tunnel", "gates", "runbook", LEAVES[0], LEAVES[1], LEAVES[2], LEAVES[3]];

/// Libraries that several of them need, and that need none of them: there is one way to check a
/// signature, one to keep an account, one to open a file, and one to run a program within limits. A
/// leaf may use another one.
pub(crate) const LEAVES: [&str; 4] = ["sshsig", "journal", "regularfile", "processgroup"];

const CHECKS: [fn(&Repository) -> Vec<Finding>; 7] = [
    dependencies::check,
    sources::check,
    modules::check,
    documents::check,
    words::check,
    columns::check,
    commands::check,
];

/// A rule that is broken, and where.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from 1; nothing when the rule is about the file as a whole.
    line: Option<usize>,
    message: String,
}

impl Finding {
    fn in_file(path: &str, message: impl Into<String>) -> Self {
        let (path, message) = (path.to_owned(), message.into());
        Self { path, line: None, message }
    }

    fn at_line(path: &str, line: usize, message: impl Into<String>) -> Self {
        let line = Some(line);
        Self { line, ..Self::in_file(path, message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let findings = findings()?;
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} findings", findings.len());
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn findings() -> anyhow::Result<Vec<Finding>> {
    let repository = Repository::read(&crate::project::root())?;
    Ok(CHECKS.iter().flat_map(|check| check(&repository)).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_tidy() {
        let findings = super::findings().unwrap();
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "\n{}", lines.join("\n"));
    }
}
