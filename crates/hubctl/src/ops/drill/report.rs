//! The findings of a drill, and the verdict on it.

use std::time::Duration;

use backup::Entry;
use jiff::Timestamp;
use journal::evidence::{self, Check, Phases, Verdict};
use pgsnap::{Database, Restored};
use serde::Serialize;

use super::target::KeptCopy;
use crate::exit::Exit;
use crate::failure::{Failure, is_damage};
use crate::human::{self, age};
use crate::ops::Report;
use crate::replacement;
use crate::settings;

/// A drill that came to a verdict on the backup, or the record of one that did not.
#[derive(Debug, Serialize)]
pub struct DrillReport {
    /// The backup's id.
    pub id: String,
    /// The sealed file.
    pub path: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The server on which the backup was restored, in words.
    pub place: String,
    /// The moment of the snapshot, in RFC 3339.
    pub taken_at: Option<String>,
    /// The age of the data when the drill began, counted from the time of the snapshot.
    pub age_seconds: Option<u64>,
    /// The moment the drill began, in RFC 3339.
    pub began_at: String,
    /// The restored tables.
    pub tables: Vec<DrilledTable>,
    /// The rows in them.
    pub rows: u64,
    /// The checks of `[drill]`, with their answers.
    pub checks: Vec<Check>,
    /// The seconds that each phase of the restore took.
    pub phases: Option<Phases>,
    /// The duration in seconds.
    pub seconds: f64,
    /// The reason for the verdict, if the drill did not reach the checks.
    pub error: Option<String>,
    /// The Markdown page about the drill.
    pub page: Option<String>,
    /// True if the reason is damage of the sealed file.
    #[serde(skip)]
    pub damaged: bool,
    /// The restored copy, if it was to be kept on a scratch server.
    #[serde(skip)]
    pub kept: Option<KeptCopy>,
    /// The reason with its causes and its remedy.
    #[serde(skip)]
    pub(crate) failure: Option<Failure>,
}

impl Report for DrillReport {
    const SCHEMA: &'static str = "hubctl.drill.v1";
}

/// The rows of one restored table.
#[derive(Debug, Clone, Serialize)]
pub struct DrilledTable {
    /// The table's name with its schema.
    pub table: String,
    /// Its rows.
    pub rows: u64,
}

impl DrillReport {
    pub(super) fn of(entry: &Entry, now: Timestamp) -> Self {
        let taken = entry.taken_at();
        Self {
            id: entry.id().to_owned(),
            path: entry.path().display().to_string(),
            verdict: Verdict::NotDone,
            place: String::new(),
            taken_at: taken.map(|at| at.to_string()),
            age_seconds: taken.and_then(|at| age(at, now)).map(|age| age.as_secs()),
            began_at: format!("{now:.0}"),
            tables: Vec::new(),
            rows: 0,
            checks: Vec::new(),
            phases: None,
            seconds: 0.0,
            error: None,
            page: None,
            damaged: false,
            kept: None,
            failure: None,
        }
    }

    /// The manifest knows the time better than the name of a file that was copied around.
    pub(super) fn snapshot_at(&mut self, taken_at: &str) {
        if self.taken_at.is_none() {
            self.taken_at = Some(taken_at.to_owned());
            let times =
                taken_at.parse::<Timestamp>().ok().zip(self.began_at.parse::<Timestamp>().ok());
            self.age_seconds =
                times.and_then(|(taken, began)| age(taken, began)).map(|age| age.as_secs());
        }
    }

    pub(super) fn restored(&mut self, restored: &Restored) {
        let tables = restored.census.iter().flat_map(|census| &census.tables);
        self.tables = tables
            .map(|table| DrilledTable { table: table.name.to_string(), rows: table.rows })
            .collect();
        self.rows = restored.rows;
        self.phases = Some(replacement::phases(restored));
    }

    /// Decides the verdict, and returns the error.
    pub(super) fn judge(&mut self, result: anyhow::Result<()>) -> Option<anyhow::Error> {
        let error = result.err();
        self.verdict = match &error {
            Some(error) if Failure::of(error).exit == Exit::No => Verdict::Failed,
            Some(_) => Verdict::NotDone,
            None if self.checks.iter().all(|check| check.passed) => Verdict::Passed,
            None => Verdict::Failed,
        };
        self.damaged = error.as_ref().is_some_and(is_damage);
        self.error = error.as_ref().map(|error| {
            let failure = Failure::of(error);
            std::iter::once(failure.message).chain(failure.causes).collect::<Vec<_>>().join(": ")
        });
        error
    }

    pub(super) fn evidence(&self) -> evidence::Drill {
        evidence::Drill {
            verdict: self.verdict,
            place: self.place.clone(),
            taken_at: self.taken_at.clone(),
            age_seconds: self.age_seconds,
            tables: self.tables.len() as u64,
            rows: self.rows,
            checks: self.checks.clone(),
            phases: self.phases.clone(),
            error: self.error.clone(),
            damaged: self.damaged,
            page: self.page.clone(),
        }
    }

    /// The age of the data for people.
    pub(crate) fn shown_age(&self) -> String {
        self.age_seconds.map_or_else(
            || "of unknown age, or".to_owned(),
            |age| human::duration(Duration::from_secs(age)),
        )
    }
}

/// Asks one of the user's questions. An error of the server is a wrong answer.
pub(super) async fn ask(database: &Database, question: &settings::Check) -> Check {
    let (found, error) = match pgsnap::query_scalar(database, &question.sql).await {
        Ok(found) => (found, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let settings::Check { name, sql, expect } = question.clone();
    let passed = found.as_deref() == Some(expect.as_str());
    Check { name, sql, expect, found, error, passed }
}

/// The verdict on one check alone.
pub(crate) fn verdict_on(check: &Check) -> Verdict {
    if check.passed { Verdict::Passed } else { Verdict::Failed }
}

/// The answer to a check, for people.
pub(crate) fn answer_to(check: &Check) -> &str {
    check.found.as_deref().or(check.error.as_deref()).unwrap_or("nothing")
}
