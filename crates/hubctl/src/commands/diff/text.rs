//! The differences of two sides as text.

use pgsnap::{Difference, RowChange, RowDifference, StatementDifference, TableName};

use crate::human::{self, one_line};
use crate::ops::CompareReport;

/// The differences, line by line.
pub(super) fn text(compared: &CompareReport) -> String {
    let mut lines = Vec::new();
    for difference in &compared.comparison.differences {
        lines.push(one_line(&difference.to_string()));
        if let Difference::Schema { statements, .. } = difference {
            lines.extend(changed_statements(statements));
        }
    }
    for table in &compared.rows_listed {
        lines.extend(table.rows.iter().map(|row| one_line(&describe(&table.table, row))));
    }
    lines.join("\n")
}

fn describe(table: &TableName, row: &RowDifference) -> String {
    let key = if row.key.is_empty() { "a row without key".to_owned() } else { row.key.join(", ") };
    match row.change {
        RowChange::OnlyA => format!("only in A: {table} {key}"),
        RowChange::OnlyB => format!("only in B: {table} {key}"),
        _ if row.columns.is_empty() => format!("changed:   {table} {key}"),
        _ => format!("changed:   {table} {key} ({})", row.columns.join(", ")),
    }
}

/// Both texts of each object that the sides define differently, as far as a terminal is the place
/// for them.
fn changed_statements(statements: &[StatementDifference]) -> Vec<String> {
    const SHOWN: usize = 20;
    let changed = statements.iter().filter_map(|one| Some((one.a.as_deref()?, one.b.as_deref()?)));
    let count = changed.clone().count();
    let mut lines: Vec<String> = changed
        .take(SHOWN)
        .flat_map(|(a, b)| {
            let [a, b] = excerpts(a, b);
            [format!("  A: {a}"), format!("  B: {b}")]
        })
        .collect();
    if count > SHOWN {
        let more = human::plural((count - SHOWN) as u64, "changed statement");
        lines.push(format!("  {more} more; --format json lists all of them"));
    }
    lines
}

/// Two texts on one line each; of long ones the part in which they begin to differ.
fn excerpts(a: &str, b: &str) -> [String; 2] {
    const LONGEST: usize = 600;
    const BEFORE: usize = 100;
    let [a, b] = [a, b].map(|text| -> Vec<char> {
        let words: Vec<&str> = text.split_whitespace().collect();
        one_line(&words.join(" ")).chars().collect()
    });
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let is_long = a.len().max(b.len()) > LONGEST;
    let from = if is_long { same.saturating_sub(BEFORE) } else { 0 };
    [a, b].map(|text| {
        let shown: String = text.iter().skip(from).take(LONGEST).collect();
        let before = if from > 0 { "…" } else { "" };
        let after = if text.len() > from + LONGEST { "…" } else { "" };
        format!("{before}{shown}{after}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_statements_are_shown_where_they_begin_to_differ() {
        let view = |word: &str| format!("CREATE VIEW v AS\n SELECT {} {word}", "x, ".repeat(400));
        let [a, b] = excerpts(&view("one"), &view("two"));
        assert!(a.starts_with('…') && a.ends_with("x, one"), "{a}");
        assert!(b.ends_with("x, two") && b.chars().count() < 200, "{b}");
        let [a, b] = excerpts("CHECK\n  (a)", "CHECK (\u{1b}[2Jb)");
        assert_eq!((&*a, &*b), ("CHECK (a)", "CHECK (\\u{1b}[2Jb)"));
    }
}
