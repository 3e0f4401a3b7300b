//! The answer of a gate: two sides hold the same rows, or do not.

use gates::{Subject, Verdict};
use serde_json::json;

use super::CompareDepth;
use super::side::{Reading, censuses, sides};
use crate::human::{self, one_line};
use crate::ops::Ops;

/// Judges whether two sides hold the same rows.
pub(crate) async fn equality(
    ops: &Ops,
    (a, b): (&str, &str),
    depth: CompareDepth,
) -> anyhow::Result<Verdict> {
    let (a, b) = sides(ops, a, b).await?;
    if a.is_same(&b).await? {
        let (a, b) = (a.label(), b.label());
        return Ok(Verdict::fail(format!(
            "{a} and {b} are one and the same, so nothing was compared"
        ))
        .about(Subject::named("database", a))
        .about(Subject::named("database", b))
        .with_hint("name two databases, or a database and a backup, in `a` and `b`"));
    }
    let reading = Reading { depth, jobs: None };
    let (census_a, census_b) = censuses(ops, reading, &a, &b).await?;
    let comparison = pgsnap::compare(&census_a, &census_b);
    let notes: Vec<String> =
        comparison.notes.iter().map(|note| one_line(&note.to_string())).collect();
    let but = match &*notes.join("; ") {
        "" => String::new(),
        notes => format!("; but {notes}"),
    };
    let (tables, rows) = (comparison.tables as u64, comparison.rows);
    let (tables, rows) = (human::plural(tables, "table"), human::plural(rows, "row"));
    let depth = depth.proof();
    let (a, b) = (a.label(), b.label());
    let found: Vec<String> =
        comparison.differences.iter().map(|difference| one_line(&difference.to_string())).collect();
    let verdict = match found.first() {
        None if comparison.tables == 0 => {
            Verdict::fail(format!("{a} and {b} hold no tables, so nothing was compared"))
        }
        None => Verdict::pass(format!(
            "{a} and {b} are equal, {tables} with {rows}, compared by {depth}{but}"
        )),
        Some(first) => {
            let count = human::plural(found.len() as u64, "difference");
            Verdict::fail(format!("{count} between {a} and {b}: {first}"))
                .with_hint("`hubctl diff` lists them, with --rows down to their keys")
        }
    };
    Ok(verdict
        .about(Subject::named("database", a))
        .about(Subject::named("database", b))
        .with_evidence(json!({ "equal": found.is_empty(), "differences": found, "notes": notes }))
        .with_measured(json!({ "tables": comparison.tables, "rows": comparison.rows }))
        .against(json!({ "compared_by": depth })))
}
