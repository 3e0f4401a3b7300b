//! The table of results, and where it goes.

use std::collections::BTreeMap;
use std::fmt;

use super::tool::{TOOLS, Tool};

/// The targets of hubctl: the name of a measure or its prefix, and the number that the worst run
/// may reach; `~` for the median, and `>` for a median that must not fall below it.
const TARGETS: &[(&str, char, f64)] = &[
    ("noticed: server process killed", '<', 0.05),
    ("noticed: ssh killed", '<', 0.05),
    ("noticed: ", '<', 4.0),
    ("server process killed", '<', 0.6),
    ("sshd away for", '<', 1.0),
    ("packets dropped for", '<', 2.0),
    ("new address of the client", '<', 3.0),
    ("ssh frozen", '<', 6.0),
    ("open connections: told of a silent peer, fast profile", '<', 4.0),
    ("open connections: told of a silent peer", '<', 15.0),
    ("open connections: survive", '>', 1.0),
    ("ssh started per minute", '<', 12.0),
    ("throughput against `ssh -L`, ratio", '>', 0.95),
    ("latency above `ssh -L`, ms", '~', 0.1),
    ("left after kill -9: processes and sockets", '<', 0.0),
    ("memory of the supervisor of 20 tunnels, MiB", '<', 15.0),
    ("processor used by it when idle, %", '<', 0.5),
];

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
        self.results.entry((name.to_owned(), tool as u8)).or_default().push(result);
    }

    /// Results in order, and how many never came.
    fn found(&self, name: &str, tool: Tool) -> Option<(Vec<f64>, usize)> {
        let results = self.results.get(&(name.to_owned(), tool as u8))?;
        let mut found: Vec<f64> = results.iter().flatten().copied().collect();
        found.sort_by(f64::total_cmp);
        let missing = results.len() - found.len();
        Some((found, missing))
    }

    fn target(&self, name: &str) -> String {
        let Some((_, kind, limit)) = TARGETS.iter().find(|(start, ..)| name.starts_with(start))
        else {
            return String::new();
        };
        let Some((found, missing)) = self.found(name, Tool::Hubctl) else {
            return String::new();
        };
        let is_whole = missing == 0;
        let median = found.get(found.len() / 2);
        let (sign, is_met) = match kind {
            '>' => ('≥', median.is_some_and(|median| median >= limit)),
            '~' => ('≤', median.is_some_and(|median| median <= limit)),
            _ => ('≤', found.last().is_some_and(|worst| worst <= limit)),
        };
        let met = if is_whole && is_met { "met" } else { "**missed**" };
        format!("{sign} {limit} {met}")
    }

    fn cell(&self, name: &str, tool: Tool) -> String {
        let Some((found, missing)) = self.found(name, tool) else {
            return "–".to_owned();
        };
        let unit = if self.timed.iter().any(|timed| timed == name) { " s" } else { "" };
        match (found.get(found.len() / 2), found.last(), missing) {
            (Some(median), Some(longest), 0) => format!("{median:.2}{unit} ({longest:.2})"),
            (Some(median), ..) => {
                format!("{median:.2}{unit} (never in {missing} of {})", found.len() + missing)
            }
            _ => "never".to_owned(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| measure | hubctl | autossh | loop | tuned loop | target |\n|---|---|---|---|---|---|"
        )?;
        for name in &self.names {
            let cells: Vec<String> = TOOLS.iter().map(|tool| self.cell(name, *tool)).collect();
            writeln!(f, "| {name} | {} | {} |", cells.join(" | "), self.target(name))?;
        }
        Ok(())
    }
}
