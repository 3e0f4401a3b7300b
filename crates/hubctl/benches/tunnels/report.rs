//! The table of results, and where it goes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::tool::{TOOLS, Tool};

/// Results by measure and tool, in the order of measuring.
#[derive(Default)]
pub(crate) struct Report {
    names: Vec<String>,
    results: BTreeMap<(String, u8), Vec<Option<f64>>>,
    /// Those that are seconds.
    timed: Vec<String>,
}

impl Report {
    /// A time; nothing where it never came.
    pub(crate) fn seconds(&mut self, name: &str, tool: Tool, seconds: Option<f64>) {
        if !self.timed.iter().any(|timed| timed == name) {
            self.timed.push(name.to_owned());
        }
        self.add(name, tool, seconds);
    }

    pub(crate) fn number(&mut self, name: &str, tool: Tool, number: f64) {
        self.add(name, tool, Some(number));
    }

    fn add(&mut self, name: &str, tool: Tool, result: Option<f64>) {
        eprintln!("{name}: {tool}: {result:.3?}");
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        self.results
            .entry((name.to_owned(), tool as u8))
            .or_default()
            .push(result);
    }

    fn cell(&self, name: &str, tool: Tool) -> String {
        let Some(results) = self.results.get(&(name.to_owned(), tool as u8)) else {
            return "–".to_owned();
        };
        let mut found: Vec<f64> = results.iter().flatten().copied().collect();
        found.sort_by(f64::total_cmp);
        let unit = if self.timed.iter().any(|timed| timed == name) {
            " s"
        } else {
            ""
        };
        let missing = results.len() - found.len();
        match (found.get(found.len() / 2), found.last(), missing) {
            (Some(median), Some(longest), 0) => format!("{median:.2}{unit} ({longest:.2})"),
            (Some(median), ..) => format!(
                "{median:.2}{unit} (never in {missing} of {})",
                results.len()
            ),
            _ => "never".to_owned(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| measure | hubctl | autossh | loop | tuned loop |\n|---|---|---|---|---|"
        )?;
        for name in &self.names {
            let cells: Vec<String> = TOOLS.iter().map(|tool| self.cell(name, *tool)).collect();
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

pub(crate) fn write_between_markers(path: &Path, report: &str) {
    let (begin, end) = (
        "<!-- bench tunnel: begin -->\n",
        "<!-- bench tunnel: end -->",
    );
    let text = fs_err::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(begin).expect("the file has a begin marker");
    let (_, after) = rest.split_once(end).expect("the file has an end marker");
    fs_err::write(path, format!("{before}{begin}\n{report}\n{end}{after}")).unwrap();
}
