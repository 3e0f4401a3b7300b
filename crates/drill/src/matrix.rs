//! The results, as a table in Markdown and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::plan::Way;
use crate::server::Server;
use crate::steps::Step;

const SCHEMA: &str = "hubctl.xtask.drill.v1";
const HEAD: &str = "\
| way | sample | backup | restore | contents | schema | stock tools | contents | schema | indexes | verdict |
|---|---|---|---|---|---|---|---|---|---|---|
";

/// All ways, with what was found on each.
#[derive(Debug, Serialize)]
pub(crate) struct Matrix {
    schema: &'static str,
    /// Releases and images by version.
    servers: BTreeMap<String, Release>,
    cells: Vec<Cell>,
    untried: Vec<Untried>,
    pub(crate) seconds: f64,
}

#[derive(Debug, Serialize)]
struct Release {
    release: String,
    image: String,
}

/// One sample on one way.
#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    from: String,
    to: String,
    sample: &'static str,
    backup_seconds: Option<f64>,
    steps: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_failure: Option<String>,
}

#[derive(Debug, Serialize)]
struct Untried {
    from: String,
    to: String,
    reason: String,
}

impl Default for Matrix {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            servers: BTreeMap::new(),
            cells: Vec::new(),
            untried: Vec::new(),
            seconds: 0.0,
        }
    }
}

impl Matrix {
    pub(crate) fn add(&mut self, cell: Cell) {
        self.cells.push(cell);
    }

    pub(crate) fn add_untried(&mut self, way: Way, reason: &str) {
        self.untried.push(Untried {
            from: way.from.to_string(),
            to: way.to.to_string(),
            reason: reason.to_owned(),
        });
    }

    pub(crate) fn add_server(&mut self, server: &Server) {
        let release = Release { release: server.release.clone(), image: server.image.clone() };
        self.servers.insert(server.version.to_string(), release);
    }

    /// Returns true if nothing was tried.
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.cells.iter().any(|cell| !cell.has_passed())
    }

    pub(crate) fn is_incomplete(&self) -> bool {
        !self.untried.is_empty()
    }

    /// Returns the reasons why ways were not tried, each once.
    pub(crate) fn reasons(&self) -> String {
        let mut reasons: Vec<_> = self.untried.iter().map(|way| way.reason.as_str()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons.join("\n")
    }
}

impl Cell {
    pub(crate) fn new(
        way: Way,
        sample: &'static str,
        backup_seconds: f64,
        steps: Vec<Step>,
    ) -> Self {
        Self {
            from: way.from.to_string(),
            to: way.to.to_string(),
            sample,
            backup_seconds: Some(backup_seconds),
            steps,
            backup_failure: None,
        }
    }

    pub(crate) fn without_backup(way: Way, sample: &'static str, error: &anyhow::Error) -> Self {
        Self {
            from: way.from.to_string(),
            to: way.to.to_string(),
            sample,
            backup_seconds: None,
            steps: Vec::new(),
            backup_failure: Some(format!("{error:#}")),
        }
    }

    fn has_passed(&self) -> bool {
        self.backup_failure.is_none() && self.steps.iter().all(|step| step.failure.is_none())
    }

    fn verdict(&self) -> &'static str {
        if self.has_passed() { "right" } else { "WRONG" }
    }

    /// For those who wait.
    pub(crate) fn line(&self) -> String {
        // A sum of nothing would be -0.0.
        let seconds = self.steps.iter().fold(0.0, |sum, step| sum + step.seconds);
        let Self { from, to, sample, .. } = self;
        format!("{from} → {to} {sample}: {} ({seconds:.1} s)", self.verdict())
    }

    fn failures(&self) -> impl Iterator<Item = String> {
        let Self { from, to, sample, .. } = self;
        let backup = self
            .backup_failure
            .iter()
            .map(move |failure| format!("{from} → {to}, {sample}, backup: {failure}"));
        let steps = self.steps.iter().filter_map(move |step| {
            let failure = step.failure.as_ref()?;
            let (name, copy) = (step.name, step.copy);
            Some(format!("{from} → {to}, {sample}, {name} of {copy}: {failure}"))
        });
        backup.chain(steps)
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (version, server) in &self.servers {
            writeln!(f, "- {version}: PostgreSQL {} in {}", server.release, server.image)?;
        }
        write!(f, "\n{HEAD}")?;
        for cell in &self.cells {
            writeln!(f, "{cell}")?;
        }
        for failure in self.cells.iter().flat_map(Cell::failures) {
            writeln!(f, "\n{failure}")?;
        }
        for way in &self.untried {
            writeln!(f, "\n{} → {} was not tried: {}", way.from, way.to, way.reason)?;
        }
        let right = self.cells.iter().filter(|cell| cell.has_passed()).count();
        let (all, untried) = (self.cells.len(), self.untried.len());
        write!(f, "\n{right} of {all} right")?;
        if untried > 0 {
            write!(f, ", {untried} ways not tried")?;
        }
        writeln!(f, ", in {:.0} s", self.seconds)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, sample, .. } = self;
        write!(f, "| {from} → {to} | {sample} |")?;
        match self.backup_seconds {
            Some(seconds) => write!(f, " {seconds:.1} s |")?,
            None => write!(f, " FAILED | | | | | | | |")?,
        }
        for step in &self.steps {
            match step.failure {
                None => write!(f, " {:.1} s |", step.seconds)?,
                Some(_) => write!(f, " FAILED |")?,
            }
        }
        write!(f, " {} |", self.verdict())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> Way {
        Way { from: 14.into(), to: 18.into() }
    }

    fn step(failure: Option<&str>) -> Step {
        Step { name: "restore", copy: "hubctl", seconds: 1.24, failure: failure.map(str::to_owned) }
    }

    #[test]
    fn one_step_that_failed_fails_the_drill() {
        let mut matrix = Matrix::default();
        matrix.add(Cell::new(way(), "hub", 0.5, vec![step(None)]));
        assert!(!matrix.has_failed());
        matrix.add(Cell::new(way(), "zoo", 0.5, vec![step(None), step(Some("why"))]));
        assert!(matrix.has_failed());
        let text = matrix.to_string();
        assert!(text.contains("| 14 → 18 | hub | 0.5 s | 1.2 s | right |"), "{text}");
        assert!(text.contains("14 → 18, zoo, restore of hubctl: why"), "{text}");
        assert!(text.contains("1 of 2 right"), "{text}");
    }

    #[test]
    fn a_way_that_was_not_tried_is_not_passed_over() {
        let mut matrix = Matrix::default();
        matrix.add_untried(way(), "no image");
        matrix.add_untried(way(), "no image");
        assert!(matrix.is_empty() && matrix.is_incomplete());
        assert_eq!(matrix.reasons(), "no image");
        assert!(matrix.to_string().contains("2 ways not tried"));
    }
}
