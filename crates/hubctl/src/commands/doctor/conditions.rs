//! Clusters: whether each is the one that is meant, asked by the engine of the gates.

use std::collections::BTreeMap;

use gates::{Answer, Gate, Gates};
use serde_json::json;

use super::{Finding, Verdict};
use crate::commands::gates::asking::Asking;
use crate::context::Context;
use crate::settings::Settings;

pub(super) async fn examine(context: &Context, settings: &Settings, findings: &mut Vec<Finding>) {
    let names: Vec<&str> = settings.clusters.keys().map(String::as_str).collect();
    if names.is_empty() {
        return;
    }
    let asked = async {
        let mut settings = settings.clone();
        settings.gates = identities(&names)?;
        let asking = Asking::new(context, &settings, &names)?;
        anyhow::Ok(asking.ask(&settings.gates, &BTreeMap::new()).await?.1)
    };
    match asked.await {
        Ok(verdicts) => findings.extend(
            verdicts
                .into_iter()
                .map(|(name, verdict)| finding(&name, verdict)),
        ),
        Err(error) => findings.push(Finding::of("clusters", &error)),
    }
}

/// A gate for each cluster, which asks whether it is the pinned one.
fn identities(names: &[&str]) -> anyhow::Result<Gates> {
    let gate = |name: &&str| {
        let gate: Gate =
            serde_json::from_value(json!({ "condition": "identity", "cluster": name }))?;
        anyhow::Ok(((*name).to_owned(), gate))
    };
    Ok(Gates::new(
        names.iter().map(gate).collect::<anyhow::Result<_>>()?,
    )?)
}

fn finding(name: &str, asked: gates::Verdict) -> Finding {
    let verdict = match asked.answer {
        Answer::Pass => Verdict::Ok,
        Answer::Fail => Verdict::Fail,
        _ => Verdict::Unknown,
    };
    let finding = Finding::new(verdict, format!("cluster {name}"), asked.reason);
    match asked.hint {
        Some(hint) => finding.hint(hint),
        None => finding,
    }
}
