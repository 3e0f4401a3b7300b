//! Verdicts as text.

use std::time::Duration;

use gates::Answer;
use jiff::{SignedDuration, Timestamp};

use crate::human;
use crate::ops::{GateChange, GatesReport};
use crate::printer;

/// All verdicts, one line each; parts are indented.
pub(super) fn table(report: &GatesReport) -> String {
    let now = Timestamp::now();
    let rows = report.gates.iter().map(|gate| {
        let verdict = &gate.verdict;
        vec![
            word(verdict.answer).to_owned(),
            if gate.asked { gate.name.clone() } else { format!("  {}", gate.name) },
            verdict.observed_at.map_or_else(String::new, |at| span(now.duration_since(at))),
            verdict.expires_at.map_or_else(String::new, |at| span(at.duration_since(now))),
            verdict.reason.clone(),
        ]
    });
    printer::table(&["", "gate", ">read", ">holds for", "reason"], rows)
}

/// The remedy for each gate that does not pass by itself.
pub(super) fn hints(report: &GatesReport) -> impl Iterator<Item = String> {
    let closed = report.gates.iter().filter(|gate| gate.verdict.answer != Answer::Pass);
    closed.filter_map(|gate| {
        let hint = gate.verdict.hint.as_ref()?;
        Some(format!("{}: {hint} ({})", gate.name, gate.guide))
    })
}

/// A change, as one line.
pub(super) fn change(change: &GateChange) -> String {
    let GateChange { at, name, verdict } = change;
    format!("{at:.0}  {}  {name}: {}", word(verdict.answer), verdict.reason)
}

/// A sign, and a word for those who cannot tell signs apart.
fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Pass => "✓ pass",
        Answer::Fail => "✗ FAIL",
        Answer::Unknown => "? UNKNOWN",
        Answer::Waiting => "… waiting",
        Answer::NeedsApproval => "! needs approval",
    }
}

fn span(duration: SignedDuration) -> String {
    human::duration(Duration::try_from(duration).unwrap_or_default())
}
