//! `cluster down`: the end of a cluster, however much of it there is.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use super::host;
use super::layout::Layout;
use super::lock::Lock;
use super::plan::Plan;
use super::process::{self, Process};
use super::wait::wait_for;

/// Ends what belongs to a directory, and removes the directory.
///
/// Nothing has to be there: not the directory, not its plan, not a process. What is asked for is
/// that none is left.
pub(super) fn end(layout: &Layout) -> anyhow::Result<()> {
    let _lock = Lock::take(layout)?;
    let processes = process::all().into_iter();
    let mut ids: BTreeSet<_> = processes
        .filter(|process| process.directory == layout.root())
        .map(|process| process.cluster)
        .collect();
    if let Ok(plan) = Plan::read(&layout.plan()) {
        ids.insert(plan.id);
    }
    let is_ours = !ids.is_empty() || layout.plan().exists();
    ensure!(
        is_ours || !layout.root().exists() || layout.is_free()?,
        "{} is not the directory of a cluster: it has no plan.toml",
        layout.root().display()
    );
    for id in &ids {
        end_outside(id)?;
    }
    remove(layout, false)
}

/// Ends one cluster, and nothing of a later one that has the same directory. The logs may be kept.
pub(super) fn end_only(id: &str, layout: &Layout, keep_logs: bool) -> anyhow::Result<()> {
    let _lock = Lock::take(layout)?;
    end_outside(id)?;
    match Plan::read(&layout.plan()) {
        Ok(plan) if plan.id == id => remove(layout, keep_logs),
        _ => Ok(()),
    }
}

/// Ends all that is outside the directory.
fn end_outside(id: &str) -> anyhow::Result<()> {
    end_processes(id)?;
    host::disconnect(id)?;
    host::remove_cgroups(id)
}

fn remove(layout: &Layout, keep_logs: bool) -> anyhow::Result<()> {
    if !layout.root().exists() {
        return Ok(());
    }
    // The kernel may still be closing files of processes that it ended.
    let mut result = Ok(());
    let limit = Duration::from_secs(10);
    wait_for("the files to be free", limit, Path::new(""), || {
        result = layout.remove(keep_logs);
        Ok(result.is_ok())
    })
    .or(result)
}

/// Kills the first process of each namespace, and waits for the `unshare` beside it: that ends when
/// all others have.
fn end_processes(id: &str) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let processes: Vec<Process> =
            process::all().into_iter().filter(|process| process.cluster == id).collect();
        if processes.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > Duration::from_secs(30) {
            bail!("the processes of the cluster do not end: {processes:?}");
        }
        // One that was killed before it had a child to wait for is alone.
        let is_late = begin.elapsed() > Duration::from_secs(5);
        for process in processes {
            if process.is_first || is_late {
                process.kill();
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
