//! Ask whether gates are open: once, until they are settled, on each change, or out of a bundle.

mod asking;
mod own;
mod resting;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gates::{
    Answer, ApprovalCopies, Bundle, Condition, Evidence, Gates, Held, Rule, Verdict, Verdicts,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use self::asking::Asked;
pub(crate) use self::asking::Asking;
use super::{Ops, Report};
use crate::failure::Refusal;
use crate::human;
use crate::settings::Settings;

/// The page of the guide on gates that are made of others.
const GUIDE: &str = "docs/guide/gates.md";

/// Which gates to ask, and for how long.
#[derive(Debug, Clone)]
pub struct GatesOrder {
    /// Gates of the configuration; without one, all that are no part of another.
    pub names: Vec<String>,
    /// Asks again until the gates pass, waiting cannot help, or this time has passed.
    pub wait: Option<Duration>,
    /// The pause between two attempts.
    pub every: Duration,
    /// Keeps everything that was read in this file, without secrets.
    pub bundle: Option<PathBuf>,
}

impl Default for GatesOrder {
    fn default() -> Self {
        Self { names: Vec::new(), wait: None, every: Duration::from_secs(5), bundle: None }
    }
}

/// Earlier evidence to judge, and the gates to judge by it.
#[derive(Debug, Clone, Default)]
pub struct EvaluateOrder {
    /// A bundle, or the `evidence.json` in it, which is judged by the gates of the settings.
    pub from: PathBuf,
    /// Gates; without one, all that are no part of another.
    pub names: Vec<String>,
}

/// The verdicts on gates and their parts, parts before wholes.
#[derive(Debug, Clone, Serialize)]
pub struct GatesReport {
    /// The answer of all gates of the order together.
    pub answer: Answer,
    /// The moment at which the reading began.
    pub collected_at: Timestamp,
    /// The gates.
    pub gates: Vec<GateReport>,
}

/// The verdict on one gate.
#[derive(Debug, Clone, Serialize)]
pub struct GateReport {
    /// The gate's name in the configuration.
    pub name: String,
    /// True if the order asks for it; false if it is only a part of one that is.
    pub asked: bool,
    /// The page of the documentation on its condition.
    pub guide: String,
    /// The digest of the verdict, in hexadecimal.
    pub digest: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A gate whose answer changed.
#[derive(Debug, Clone, Serialize)]
pub struct GateChange {
    /// The moment at which the change was seen.
    pub at: Timestamp,
    /// The gate's name.
    pub name: String,
    /// The new verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Report for GatesReport {
    const SCHEMA: &'static str = "hubctl.gates.v1";
}

impl Report for GateChange {
    const SCHEMA: &'static str = "hubctl.gates-change.v1";
}

/// Asks gates, with evidence.
///
/// All facts are read once, then the gates are judged. Facts that cannot be read make a gate
/// unknown, which is neither yes nor no. Runs of scripts are recorded in the journal.
///
/// # Errors
/// A name without a gate, or no gate at all; a journal that cannot record scripts; a bundle that
/// cannot be written. A fact that cannot be read is no error.
pub async fn gates(ops: &Ops, order: GatesOrder) -> anyhow::Result<GatesReport> {
    let settings = ops.settings();
    let names = chosen(&settings.gates, &order.names)?;
    let asking = Asking::new(ops, &settings.gates, &names)?;
    let Asked { evidence, verdicts, judged_at, gates } =
        wait(&asking, order.wait, order.every).await?;
    if let Some(path) = &order.bundle {
        let mut bundle = Bundle::new(&gates, &names, evidence.clone(), None);
        let (directory, kept) = (approvals_directory(settings), bundle.gates.iter());
        let copies = ApprovalCopies::of(&directory, kept, judged_at, &TimeZone::system())?;
        bundle.approvals = Some(copies);
        bundle.write(path, &verdicts)?;
        ops.say(format_args!("what was read is in {}", path.display()));
    }
    Ok(GatesReport::new(&settings.gates, &names, &verdicts, &evidence))
}

/// Asks gates again and again, and reports each change of an answer. Ends only with an error.
///
/// # Errors
/// Those of [`gates()`], and those of `changed`.
pub async fn watch_gates(
    ops: &Ops,
    order: GatesOrder,
    mut changed: impl FnMut(&GateChange) -> anyhow::Result<()>,
) -> anyhow::Result<Infallible> {
    let settings = ops.settings();
    let names = chosen(&settings.gates, &order.names)?;
    let asking = Asking::new(ops, &settings.gates, &names)?;
    let mut held = BTreeMap::<String, Held>::new();
    let mut before = Verdicts::new();
    loop {
        let Asked { evidence, verdicts, .. } = asking.ask(&held).await?;
        for name in &names {
            let verdict = &verdicts[*name];
            if before.get(*name).is_none_or(|old| old.answer != verdict.answer) {
                let (name, verdict) = ((*name).to_owned(), verdict.clone());
                changed(&GateChange { at: ops.now(), name, verdict })?;
            }
        }
        held = evidence.held;
        before = verdicts;
        tokio::time::sleep(order.every).await;
    }
}

/// Judges earlier evidence again, without asking anything.
///
/// The gates, the approvals and the allowed signers are those of the bundle, and are judged as of
/// the time it was made. Evidence alone holds no approvals.
///
/// # Errors
/// A file that is neither a bundle nor evidence; a name without a gate.
pub fn evaluate_gates(ops: &Ops, order: &EvaluateOrder) -> anyhow::Result<GatesReport> {
    let bundle = Bundle::read(&order.from, &ops.settings().gates)?;
    let names = chosen(&bundle.gates, &order.names)?;
    let evidence = &bundle.evidence;
    let age = ops.now().duration_since(evidence.collected_at);
    // A moment ahead is no age.
    let age = human::duration(Duration::try_from(age).unwrap_or_default());
    ops.say(format_args!("as of {:.0}, {age} ago", evidence.collected_at));
    let verdicts = match bundle.approvals {
        Some(copies) => {
            let at = copies.judged_at;
            ops.say("by the approvals and the allowed signers in the bundle");
            let approvals = copies.unpack(TimeZone::system())?;
            bundle.gates.evaluate_with(&names, evidence, at, &approvals)
        }
        // Evidence alone says nothing of people.
        None => bundle.gates.evaluate(&names, evidence, evidence.collected_at),
    };
    Ok(GatesReport::new(&bundle.gates, &names, &verdicts, evidence))
}

impl GatesReport {
    fn new(gates: &Gates, names: &[&str], verdicts: &Verdicts, evidence: &Evidence) -> Self {
        let known = gates.with_parts(names).into_iter();
        let report = |name: &str| {
            let verdict = verdicts.get(name)?.clone();
            Some(GateReport {
                name: name.to_owned(),
                asked: names.contains(&name),
                guide: page(gates, name),
                digest: verdict.digest().to_string(),
                verdict,
            })
        };
        let gates: Vec<GateReport> = known.filter_map(report).collect();
        let asked = gates.iter().filter(|gate| gate.asked).map(|gate| gate.verdict.answer);
        Self { answer: Answer::all(asked), collected_at: evidence.collected_at, gates }
    }
}

/// The directory of approvals: beside the journal, outside of the service that they are about.
pub(super) fn approvals_directory(settings: &Settings) -> PathBuf {
    settings.journal.value.with_file_name("approvals")
}

/// The page on a gate's condition.
fn page(gates: &Gates, name: &str) -> String {
    let condition = match gates.get(name).map(|gate| &gate.rule) {
        Some(Rule::Condition(Condition::Program(program))) => &program.question,
        Some(Rule::Condition(condition)) => condition.name(),
        _ => return GUIDE.to_owned(),
    };
    format!("docs/gates/{condition}.md")
}

/// Asks once, or until it is settled. Waiting is outside of what is judged.
async fn wait(
    asking: &Asking<'_>,
    limit: Option<Duration>,
    every: Duration,
) -> anyhow::Result<Asked> {
    let begun = Instant::now();
    let mut held = BTreeMap::<String, Held>::new();
    loop {
        let asked = asking.ask(&held).await?;
        let left = limit.and_then(|limit| limit.checked_sub(begun.elapsed()));
        match left {
            Some(left) if !is_settled(asking.names(), &asked.verdicts) => {
                held.clone_from(&asked.evidence.held);
                tokio::time::sleep(every.min(left)).await;
            }
            _ => return Ok(asked),
        }
    }
}

/// Returns true if waiting cannot change the answer any more.
fn is_settled(names: &[&str], verdicts: &Verdicts) -> bool {
    let mut asked = names.iter().filter_map(|name| verdicts.get(*name));
    let passes = asked.clone().all(|verdict| verdict.answer == Answer::Pass);
    passes || asked.any(|verdict| verdict.answer == Answer::Fail && verdict.terminal)
}

/// The gates that are named; without names, those that are no part of another.
fn chosen<'a>(gates: &'a Gates, names: &'a [String]) -> anyhow::Result<Vec<&'a str>> {
    if gates.iter().next().is_none() {
        return Err(Refusal::usage("no gate is configured")
            .hint(
                "describe one in hubctl.toml: `[gates.NAME]`; docs/profiles has commented examples",
            )
            .into());
    }
    if names.is_empty() {
        let parts: Vec<&String> = gates.iter().flat_map(|(_, gate)| gate.parts()).collect();
        let is_part = |name: &str| parts.iter().any(|part| *part == name);
        let roots = gates.iter().map(|(name, _)| name).filter(|name| !is_part(name));
        return Ok(roots.collect());
    }
    if let Some(unknown) = names.iter().find(|name| gates.get(name).is_none()) {
        let known = gates.iter().map(|(name, _)| name);
        return Err(Refusal::usage(format!("no gate `{unknown}` is configured"))
            .hint(format!("the configured gates are {}", human::quoted(known)))
            .into());
    }
    Ok(names.iter().map(String::as_str).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_where_it_cannot_help() {
        let named = [("g0", Verdict::fail("because")), ("g1", Verdict::waiting("because"))];
        let mut verdicts: Verdicts = named.map(|(name, verdict)| (name.to_owned(), verdict)).into();
        assert!(!is_settled(&["g0", "g1"], &verdicts));
        verdicts.get_mut("g0").unwrap().terminal = true;
        assert!(is_settled(&["g0", "g1"], &verdicts));
    }
}
