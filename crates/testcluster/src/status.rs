//! `cluster status`: what runs of a cluster, and what is held down.

use std::process::ExitCode;

use anyhow::Context as _;

use super::build::Components;
use super::kubectl::Kubectl;
use super::layout::Layout;
use super::plan::Plan;
use super::process;
use super::supervisor::RUNNING;

/// Prints a line per daemon. Exits with 1 unless all of them run and every node is ready.
pub(super) fn print(layout: &Layout) -> anyhow::Result<ExitCode> {
    let Ok(plan) = Plan::read(&layout.plan()) else {
        println!("{}: no cluster", layout.root().display());
        return Ok(ExitCode::FAILURE);
    };
    let nodes = match plan.nodes {
        1 => "1 node".to_owned(),
        nodes => format!("{nodes} nodes"),
    };
    println!("{}: {nodes}, {} to {}", layout.root().display(), plan.link(), plan.node(1));
    if process::first(&plan.id, 1).is_none() {
        println!("not running; `cargo xtask cluster down` removes it");
        return Ok(ExitCode::FAILURE);
    }
    let mut is_whole = true;
    let daemons = daemons(layout)?;
    for (name, state) in &daemons {
        let state = with_node(&daemons, name, state);
        is_whole &= state.starts_with(RUNNING);
        let hold = layout.hold(name);
        if hold.exists() {
            println!("{name:<26} {state}, by {}", hold.display());
        } else {
            println!("{name:<26} {state}");
        }
    }
    let ready = Kubectl::admin(layout, &Components::locate()?).ready_nodes();
    match ready {
        Some(ready) => println!("{ready} of {nodes} ready"),
        None => println!("the API server does not answer"),
    }
    is_whole &= ready == Some(usize::from(plan.nodes));
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The last that a supervisor said of a daemon is not true any more when its node has ended.
fn with_node<'a>(daemons: &[(String, String)], name: &str, state: &'a str) -> &'a str {
    let node = name.rsplit_once('-').map(|(_, node)| format!("node-{node}"));
    let has_ended = |(of, state): &(String, String)| {
        Some(of) == node.as_ref() && of != name && !state.starts_with(RUNNING)
    };
    if daemons.iter().any(has_ended) { "ended with its node" } else { state }
}

/// Returns the reports of the supervisors, by name.
fn daemons(layout: &Layout) -> anyhow::Result<Vec<(String, String)>> {
    let mut daemons = Vec::new();
    for entry in fs_err::read_dir(layout.path("daemons"))? {
        let path = entry?.path();
        let name = path.file_name().context("an entry has a name")?.to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "new") {
            daemons.push((name, fs_err::read_to_string(&path)?.trim().to_owned()));
        }
    }
    daemons.sort();
    Ok(daemons)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_on_a_node_ended_with_it() {
        let daemons = [("kubelet-1", "running 7"), ("kubelet-2", "running 7"), ("node-2", "held")]
            .map(|(name, state)| (name.to_owned(), state.to_owned()));
        let state = |index: usize| {
            let (name, state) = &daemons[index];
            with_node(&daemons, name, state)
        };
        assert_eq!([0, 1, 2].map(state), ["running 7", "ended with its node", "held"]);
    }
}
