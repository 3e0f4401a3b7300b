//! A new database that takes the place of another: what people are told before and after.

use std::collections::BTreeMap;

use pgsnap::{Method, RestorePlan, Restored, TargetState};

use crate::console::Console;
use crate::human;

/// Returns the plan for the target, line by line.
pub(crate) fn describe(plan: &RestorePlan) -> Vec<String> {
    let mut lines = vec![
        format!("to        database {} at {}", plan.database, plan.server),
        match plan.method {
            Method::InPlace => {
                "built     in the existing, empty database, compared row by row".to_owned()
            }
            Method::IntoTables => {
                "built     in the existing, empty tables, in one transaction, compared row by row"
                    .to_owned()
            }
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

/// Names the obstacles of a plan with their remedies, its warnings, and what was not checked.
pub(crate) fn qualify(plan: &RestorePlan, console: &dyn Console) {
    for obstacle in &plan.obstacles {
        console.warn(format_args!("obstacle: {}", obstacle.problem));
        console.hint(&obstacle.remedy);
    }
    for warning in &plan.warnings {
        console.warn(warning);
    }
    for what in &plan.unchecked {
        console.say(format_args!("not checked: {what}"));
    }
}

/// Tells what qualifies the proof, and which databases came and went.
pub(crate) fn tell(restored: &Restored, console: &dyn Console) {
    for note in &restored.notes {
        console.say(format_args!("note: {note}"));
    }
    for name in &restored.cleaned {
        console.warn(format_args!("dropped a leftover of an interrupted run: {name}"));
    }
    if let Some(kept) = &restored.kept {
        console.say(format_args!("the database that was there before is kept as {kept}"));
    }
}

/// Seconds per phase, rounded to milliseconds.
pub(crate) fn phases(restored: &Restored) -> BTreeMap<String, f64> {
    let phases = restored.seconds.iter();
    phases
        .map(|(phase, seconds)| ((*phase).to_owned(), (seconds * 1000.0).round() / 1000.0))
        .collect()
}
