//! The origin of a line: errors and notes name the place instead of the text, which may be a
//! secret.

use std::fmt;

/// A place that keys were read from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The path of the file, or how the caller named another source.
    pub name: String,
    /// The line, counted from 1, where one line is meant.
    pub line: Option<usize>,
}

impl Origin {
    pub(crate) fn whole(name: impl Into<String>) -> Self {
        Self { name: name.into(), line: None }
    }

    pub(crate) fn line(name: impl Into<String>, line: usize) -> Self {
        Self { name: name.into(), line: Some(line) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A line or a file that could not be used, and why. It never holds the line's text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file and line.
    pub origin: Origin,
    /// The reason why it cannot be used.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.reason)
    }
}

pub(crate) fn join(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}
