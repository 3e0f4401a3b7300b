//! The plan of a restore, with its obstacles.

use serde::Serialize;

use crate::error::{Error, Result};

/// The state of the wanted name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TargetState {
    /// No database has this name.
    Absent,
    /// A database has this name.
    Present {
        /// Its size in bytes.
        bytes: i64,
        /// Sessions connected to it, ours left out.
        sessions: i64,
    },
}

/// Which way the rows take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Method {
    /// Into a new database, which gets its name when it is proven.
    Swap,
    /// Into an empty database that is there, by a role that may not create one. If the restore
    /// fails, what it made there is dropped again.
    InPlace,
    /// Into the empty tables of a database that is there, in one transaction.
    IntoTables,
}

/// One reason why a target cannot take a restore, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Obstacle {
    /// The reason, as a sentence.
    pub problem: String,
    /// The remedy, in the imperative.
    pub remedy: String,
}

impl Obstacle {
    pub(crate) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

/// The plan of a restore, with its obstacles.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RestorePlan {
    /// The server, as `user@host:port`.
    pub server: String,
    /// Which way the rows would take.
    pub method: Method,
    /// The database the backup would become.
    pub database: String,
    /// The name it is built under.
    pub restoring: String,
    /// The name the present database would be kept under, if there is one.
    pub keeps: Option<String>,
    /// The state of the wanted name.
    pub state: TargetState,
    /// Left-overs of earlier restores that would be dropped.
    pub leftovers: Vec<String>,
    /// Roles that would be created, without login.
    pub creates_roles: Vec<String>,
    /// A restore refuses while there is one.
    pub obstacles: Vec<Obstacle>,
    /// Facts that do not prevent the restore and should be known before it.
    pub warnings: Vec<String>,
    /// Checks that could not be made, with the reasons.
    pub unchecked: Vec<String>,
}

impl RestorePlan {
    pub(crate) fn require_clear(&self) -> Result<()> {
        if self.obstacles.is_empty() {
            return Ok(());
        }
        Err(Error::Preflight { obstacles: self.obstacles.clone() })
    }

    pub(crate) fn obstacle(&mut self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.obstacles.push(Obstacle::new(problem, remedy));
    }

    pub(crate) fn warning(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    pub(crate) fn not_checked(&mut self, what: impl Into<String>) {
        self.unchecked.push(what.into());
    }
}

/// A refusal before anything is made.
pub(crate) fn refusal(problem: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::Preflight { obstacles: vec![Obstacle::new(problem, remedy)] }
}
