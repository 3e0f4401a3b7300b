//! What a drill found, and the verdict on it.

use std::time::Duration;

use backup::Entry;
use jiff::Timestamp;
use pgsnap::{Database, Restored};
use serde::Serialize;
use serde_json::{Value, json};

use crate::commands::backups::age;
use crate::exit::Exit;
use crate::failure::{Failure, is_damage};
use crate::human;
use crate::printer::table;
use crate::replacement::phases;
use crate::settings::Check;

/// A drill that was run to its end, passed or not.
#[derive(Debug, Default, Serialize)]
pub(super) struct Drilled {
    pub(super) id: String,
    pub(super) path: String,
    pub(super) verdict: &'static str,
    pub(super) place: String,
    pub(super) taken_at: Option<String>,
    /// How old the data was when the drill began, counted from the time of the dump.
    pub(super) age_seconds: Option<u64>,
    pub(super) began_at: String,
    pub(super) tables: Vec<TableRows>,
    pub(super) rows: u64,
    pub(super) checks: Vec<Answered>,
    pub(super) phases: Value,
    pub(super) seconds: f64,
    /// Why it failed, where it did not come to the checks.
    pub(super) error: Option<String>,
    /// Whether that is damage of the sealed file.
    #[serde(skip)]
    pub(super) damaged: bool,
    pub(super) page: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct TableRows {
    pub(super) table: String,
    pub(super) rows: u64,
}

/// One of the user's checks with the database's answer.
#[derive(Debug, Serialize)]
pub(super) struct Answered {
    #[serde(flatten)]
    pub(super) check: Check,
    pub(super) found: Option<String>,
    pub(super) error: Option<String>,
    pub(super) passed: bool,
}

pub(super) const PASSED: &str = "passed";
const FAILED: &str = "failed";
/// It could not be carried out: that says nothing about the backup, and is no pass either.
const NOT_DONE: &str = "not done";

impl Drilled {
    pub(super) fn of(entry: &Entry, now: Timestamp) -> Self {
        let taken = entry.taken_at();
        Self {
            id: entry.id().to_owned(),
            path: entry.path().display().to_string(),
            verdict: NOT_DONE,
            taken_at: taken.map(|at| at.to_string()),
            age_seconds: taken.and_then(|at| age(at, now)).map(|age| age.as_secs()),
            began_at: format!("{now:.0}"),
            phases: Value::Null,
            ..Self::default()
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
            .map(|table| TableRows { table: table.name.to_string(), rows: table.rows })
            .collect();
        self.rows = restored.rows;
        self.phases = phases(restored);
    }

    /// Decides the verdict, and keeps the error for whoever reports it.
    pub(super) fn judge(&mut self, result: anyhow::Result<()>) -> Option<anyhow::Error> {
        let error = result.err();
        self.verdict = match &error {
            Some(error) if Failure::of(error).exit == Exit::No => FAILED,
            Some(_) => NOT_DONE,
            None if self.checks.iter().all(|check| check.passed) => PASSED,
            None => FAILED,
        };
        self.damaged = error.as_ref().is_some_and(is_damage);
        self.error = error.as_ref().map(|error| {
            let failure = Failure::of(error);
            std::iter::once(failure.message).chain(failure.causes).collect::<Vec<_>>().join(": ")
        });
        error
    }

    pub(super) fn evidence(&self) -> Value {
        json!({
            "verdict": self.verdict, "place": self.place, "taken_at": self.taken_at, "age_seconds": self.age_seconds,
            "tables": self.tables.len(), "rows": self.rows, "checks": self.checks, "phases": self.phases,
            "error": self.error, "damaged": self.damaged, "page": self.page,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut lines = vec![format!(
            "drill {}: {} in {}",
            self.verdict,
            self.id,
            human::duration(Duration::from_secs_f64(self.seconds))
        )];
        lines.push(format!(
            "data of {} ({} old)",
            human::time(self.taken_at.as_deref().unwrap_or("an unknown time")),
            self.shown_age()
        ));
        if self.error.is_none() {
            let (tables, rows) =
                (human::plural(self.tables.len() as u64, "table"), human::plural(self.rows, "row"));
            lines.push(format!(
                "{tables}, {rows} restored on {}, all equal to the manifest",
                self.place
            ));
        }
        if !self.checks.is_empty() {
            lines.push(String::new());
            let row = |check: &Answered| {
                vec![
                    check.check.name.clone(),
                    check.verdict().to_owned(),
                    check.check.expect.clone(),
                    check.answer(),
                ]
            };
            lines.push(table(
                &["check", "verdict", "expected", "found"],
                self.checks.iter().map(row),
            ));
        }
        lines.join("\n")
    }

    pub(super) fn shown_age(&self) -> String {
        self.age_seconds.map_or_else(
            || "of unknown age, or".to_owned(),
            |age| human::duration(Duration::from_secs(age)),
        )
    }
}

impl Answered {
    pub(super) fn verdict(&self) -> &'static str {
        if self.passed { PASSED } else { FAILED }
    }

    pub(super) fn answer(&self) -> String {
        match (&self.found, &self.error) {
            (Some(found), _) => found.clone(),
            (None, Some(error)) => error.clone(),
            (None, None) => "nothing".to_owned(),
        }
    }
}

/// Asks one of the user's questions. An error of the server is a wrong answer.
pub(super) async fn ask(database: &Database, check: &Check) -> Answered {
    let (found, error) = match pgsnap::query_scalar(database, &check.sql).await {
        Ok(found) => (found, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let passed = found.as_deref() == Some(check.expect.as_str());
    Answered { check: check.clone(), found, error, passed }
}
