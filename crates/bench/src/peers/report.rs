//! The table of results, and where it goes.

use super::run::Run;

/// One row of the table.
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) peer: String,
    /// theirs / ours that was asked for.
    pub(crate) target: f64,
    pub(crate) pairs: Vec<(Run, Run)>,
}

impl Row {
    fn line(&self) -> String {
        let ours = median(self.pairs.iter().map(|pair| pair.0.seconds));
        let theirs = median(self.pairs.iter().map(|pair| pair.1.seconds));
        let mut ratios: Vec<f64> =
            self.pairs.iter().map(|pair| pair.1.seconds / pair.0.seconds).collect();
        ratios.sort_by(f64::total_cmp);
        // The library runs inside the bench, whose memory is not its own.
        let memory = match self.pairs.iter().map(|pair| pair.0.peak_kib).max() {
            Some(kib) if kib > 0 => format!("{} MiB", kib / 1024),
            _ => "not measured".to_owned(),
        };
        let ratio = median(ratios.iter().copied());
        let verdict = if ratio >= self.target { "met" } else { "**missed**" };
        format!(
            "| {} | {} | {} | {ours:.2} s | {theirs:.2} s | {ratio:.2}× ({:.2}–{:.2}) | {}× {verdict} | {memory} |\n",
            self.work,
            self.peer.replace('|', "\\|"),
            self.pairs.len(),
            ratios[0],
            ratios[ratios.len() - 1],
            self.target,
        )
    }
}

/// The rows as Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    const HEAD: &str = "| work | against | pairs | hubctl | peer | ratio | target | memory |\n|---|---|---|---|---|---|---|---|\n";
    rows.iter().fold(HEAD.to_owned(), |text, row| text + &row.line())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
