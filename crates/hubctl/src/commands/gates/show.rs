//! Verdicts as they are shown.

use gates::{Answer, Condition, Gates, Rule, Verdict, Verdicts};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::time::Duration;

use crate::context::Context;
use crate::human;
use crate::printer::{Format, table};

/// The page of the guide on gates that are made of others.
const GUIDE: &str = "docs/guide/gates.md";

/// All verdicts, those that were asked for first.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    answer: Answer,
    collected_at: Timestamp,
    gates: Vec<Line<'a>>,
}

/// A gate.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    /// Whether it was asked for, or is only a part.
    asked: bool,
    guide: String,
    digest: String,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

/// A change as one line of JSON.
#[derive(Serialize)]
struct Change<'a> {
    schema: &'static str,
    at: Timestamp,
    name: &'a str,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

impl<'a> Shown<'a> {
    pub(super) fn new(
        gates: &'a Gates,
        names: &[&'a str],
        verdicts: &'a Verdicts,
        collected_at: Timestamp,
    ) -> Self {
        let mut lines: Vec<Line<'a>> = Vec::new();
        for name in gates.with_parts(names) {
            let Some(verdict) = verdicts.get(name) else {
                continue;
            };
            lines.push(Line {
                name,
                asked: names.contains(&name),
                guide: page(gates, name),
                digest: verdict.digest().to_string(),
                verdict,
            });
        }
        let asked = lines.iter().filter(|line| line.asked);
        Self {
            answer: Answer::all(asked.map(|line| line.verdict.answer)),
            collected_at,
            gates: lines,
        }
    }

    pub(super) fn text(&self) -> String {
        let now = Timestamp::now();
        let rows = self.gates.iter().map(|line| {
            vec![
                word(line.verdict.answer).to_owned(),
                if line.asked { line.name.to_owned() } else { format!("  {}", line.name) },
                line.verdict
                    .observed_at
                    .map_or_else(String::new, |at| span(now.duration_since(at))),
                line.verdict.expires_at.map_or_else(String::new, |at| span(at.duration_since(now))),
                line.verdict.reason.clone(),
            ]
        });
        table(&["", "gate", ">read", ">holds for", "reason"], rows)
    }

    /// What to do, for each gate that does not pass by itself.
    pub(super) fn hints(&self) -> Vec<String> {
        let closed = self.gates.iter().filter(|line| line.verdict.answer != Answer::Pass);
        closed
            .filter_map(|line| {
                let hint = line.verdict.hint.as_ref()?;
                Some(format!("{}: {hint} ({})", line.name, line.guide))
            })
            .collect()
    }
}

/// Prints a change as it happens.
pub(super) fn change(context: &Context, name: &str, verdict: &Verdict) -> anyhow::Result<()> {
    let at = Timestamp::now();
    let line = match context.printer.format() {
        Format::Json => {
            serde_json::to_string(&Change { schema: "hubctl.gates-change.v1", at, name, verdict })?
        }
        Format::Text => format!("{at:.0}  {}  {name}: {}", word(verdict.answer), verdict.reason),
    };
    context.printer.data(&line)
}

/// The page of its condition.
fn page(gates: &Gates, name: &str) -> String {
    let condition = match gates.get(name).map(|gate| &gate.rule) {
        Some(Rule::Condition(Condition::Program(program))) => &program.question,
        Some(Rule::Condition(condition)) => condition.name(),
        _ => return GUIDE.to_owned(),
    };
    format!("docs/gates/{condition}.md")
}

/// A sign, and a word for whoever cannot tell signs apart.
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
