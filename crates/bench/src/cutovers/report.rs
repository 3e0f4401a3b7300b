//! The table of results.

use std::fmt::Write as _;

use super::way::Way;

/// The gaps of one way to move a database of one size.
pub(crate) struct Row {
    pub(crate) megabytes: u32,
    /// Size of the database in bytes.
    pub(crate) size: u64,
    pub(crate) way: Way,
    pub(crate) seconds: Vec<f64>,
}

impl Row {
    fn median(&self) -> f64 {
        self.sorted()[self.seconds.len() / 2]
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn verdict(&self) -> String {
        match self.way.target(self.megabytes) {
            Some(target) if self.median() <= target => format!("{target} s met"),
            Some(target) => format!("{target} s **missed**"),
            None => String::new(),
        }
    }
}

/// The rows as Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = "| database | way | runs | clients are away | of the script's time | target | \
                    leaves |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let sorted = row.sorted();
        let script = rows
            .iter()
            .find(|other| other.megabytes == row.megabytes && other.way == Way::Script)
            .map(|script| format!("{:.2}×", row.median() / script.median()));
        let _ = writeln!(
            text,
            "| {:.0} MB | {} | {} | {:.2} s ({:.2}–{:.2}) | {} | {} | {} |",
            row.size as f64 / 1e6,
            row.way.name(),
            row.seconds.len(),
            row.median(),
            sorted[0],
            sorted[sorted.len() - 1],
            script.unwrap_or_default(),
            row.verdict(),
            row.way.proof(),
        );
    }
    text
}
