//! A new database that takes the place of another: what people are told before and after.

use pgsnap::{Method, RestorePlan, Restored, TargetState};
use serde_json::{Value, json};

use crate::human;
use crate::printer::Printer;

/// What would happen at the target, line by line.
pub(crate) fn describe(plan: &RestorePlan) -> Vec<String> {
    let mut lines = vec![
        format!("to        database {} at {}", plan.database, plan.server),
        match plan.method {
            Method::InPlace => "built     in the existing, empty database, compared row by row".to_owned(),
            Method::IntoTables => "built     in the empty tables that are there, in one transaction, compared row by row".to_owned(),
            _ => format!("built as  {}, compared row by row, then renamed", plan.restoring),
        },
    ];
    if !plan.creates_roles.is_empty() {
        let roles = plan.creates_roles.join(", ");
        lines.push(format!("creates   role(s) {roles}, without login"));
    }
    if let (TargetState::Present { bytes, .. }, Some(keeps)) = (&plan.state, &plan.keeps) {
        let size = human::bytes(u64::try_from(*bytes).unwrap_or(0));
        lines.push(format!("keeps     the present {} ({size}) as {keeps}", plan.database));
    }
    lines.extend(
        plan.leftovers
            .iter()
            .map(|name| format!("drops     {name}, a leftover of an interrupted run")),
    );
    lines
}

/// Names what is in the way, each with its remedy. Whether nothing is.
pub(crate) fn is_clear(plan: &RestorePlan, printer: &Printer) -> bool {
    for obstacle in &plan.obstacles {
        printer.warn(format_args!("obstacle: {}", obstacle.problem));
        printer.hint(&obstacle.remedy);
    }
    for warning in &plan.warnings {
        printer.warn(warning);
    }
    for what in &plan.unchecked {
        printer.say(format_args!("not checked: {what}"));
    }
    plan.obstacles.is_empty()
}

/// Tells what qualifies the proof, and which databases came and went.
pub(crate) fn tell(restored: &Restored, printer: &Printer) {
    for note in &restored.notes {
        printer.say(format_args!("note: {note}"));
    }
    for name in &restored.cleaned {
        printer.warn(format_args!("dropped a leftover of an interrupted run: {name}"));
    }
    if let Some(kept) = &restored.kept {
        printer.say(format_args!("the database that was there before is kept as {kept}"));
    }
}

/// Seconds per phase, rounded to milliseconds.
pub(crate) fn phases(restored: &Restored) -> Value {
    let rounded = restored
        .seconds
        .iter()
        .map(|(phase, seconds)| ((*phase).to_owned(), json!((seconds * 1000.0).round() / 1000.0)));
    Value::Object(rounded.collect())
}
