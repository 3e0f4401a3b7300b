//! The parts of a cluster outside its namespaces: one link with routes, and control groups.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::Pid;

use super::layout::Layout;
use super::plan::{self, MOST_CLUSTERS, PREFIX, Plan};
use super::wait::wait_for;

const LINKS: &str = "/sys/class/net";
const CGROUPS: &str = "/sys/fs/cgroup";

/// Takes the first free number, by making its link. Each attempt is written down before: a link
/// that exists is known.
pub(super) fn claim(plan: &mut Plan, layout: &Layout) -> anyhow::Result<()> {
    for number in 0..MOST_CLUSTERS {
        plan.number = number;
        let link = plan.link();
        if Path::new(LINKS).join(&link).exists() {
            continue;
        }
        plan.write(&layout.plan())?;
        let peer = format!("{link}p");
        let made = ip(&[
            "link",
            "add",
            &link,
            "address",
            &plan.hardware_address(),
            "type",
            "veth",
            "peer",
            "name",
            &peer,
        ]);
        match made {
            Ok(()) => return Ok(()),
            // Somebody was faster.
            Err(_) if Path::new(LINKS).join(&link).exists() => {}
            Err(error) => return Err(error),
        }
    }
    bail!(
        "{MOST_CLUSTERS} clusters are running: there are interfaces from hubk0 to hubk{}",
        MOST_CLUSTERS - 1
    )
}

/// Gives the first node its end of the link, and this machine an address and the ways to pods and
/// services.
pub(super) fn connect(plan: &Plan, first: Pid) -> anyhow::Result<()> {
    let link = plan.link();
    let pid = first.as_raw_nonzero().to_string();
    ip(&["link", "set", &format!("{link}p"), "netns", &pid, "name", "eth0"])?;
    let address = format!("{}/{PREFIX}", plan.host());
    ip(&["address", "add", &address, "dev", &link])?;
    ip(&["link", "set", &link, "up"])?;
    ip(&["route", "add", &plan.services(), "via", &plan.node(1).to_string()])?;
    for node in plan.each_node() {
        ip(&["route", "add", &plan.pods(node), "via", &plan.node(node).to_string()])?;
    }
    Ok(())
}

/// Removes the link of a cluster, and its routes with it. Normally both went when the namespace at
/// the other end did.
pub(super) fn disconnect(id: &str) -> anyhow::Result<()> {
    let ours = plan::hardware_address(id);
    for entry in fs_err::read_dir(LINKS)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let address = fs_err::read_to_string(entry.path().join("address")).unwrap_or_default();
        if name.starts_with("hubk")
            && address.trim() == ours
            && ip(&["link", "delete", &name]).is_err()
        {
            // It may have gone by itself in between.
            let limit = Duration::from_secs(10);
            wait_for(&format!("the end of {name}"), limit, Path::new(""), || {
                Ok(!entry.path().exists())
            })?;
        }
    }
    Ok(())
}

/// Runs `ip`.
pub(super) fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    provision::run_quietly(Command::new("ip").args(arguments))
}

/// Makes the control groups under which kubelets put their pods: in every hierarchy, or they refuse
/// to start.
pub(super) fn make_cgroups(plan: &Plan) -> anyhow::Result<()> {
    for node in plan.each_node() {
        let name = plan.cgroup(node);
        if Path::new(CGROUPS).join("cgroup.controllers").exists() {
            make_unified_cgroup(&name)?;
            continue;
        }
        for hierarchy in hierarchies()? {
            fs_err::create_dir_all(hierarchy.join(&name))?;
            // A new one has no processor and no memory, and nothing runs in it.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let inherited = hierarchy.join(file);
                if inherited.exists() {
                    fs_err::write(hierarchy.join(&name).join(file), fs_err::read(inherited)?)?;
                }
            }
        }
    }
    Ok(())
}

/// The same of version 2, where what is available to a group has to be handed down.
fn make_unified_cgroup(name: &str) -> anyhow::Result<()> {
    let root = Path::new(CGROUPS);
    let group = root.join(name);
    fs_err::create_dir_all(&group)?;
    for parent in [root, &group] {
        let available = fs_err::read_to_string(parent.join("cgroup.controllers"))?;
        for controller in available.split_whitespace() {
            // kubelet says which of those it misses.
            let _ = fs_err::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
    Ok(())
}

/// Removes the control groups of a cluster, which takes until its last process is gone.
pub(super) fn remove_cgroups(id: &str) -> anyhow::Result<()> {
    let prefix = plan::cgroup_prefix(id);
    // Version 2 has one hierarchy, version 1 one below each directory; a mixture has both.
    let mut parents = directories()?;
    parents.push(CGROUPS.into());
    for parent in parents {
        for entry in fs_err::read_dir(parent)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(&prefix) {
                continue;
            }
            let group = entry.path();
            let what = format!("{} to be empty", group.display());
            wait_for(&what, Duration::from_secs(20), Path::new(""), || {
                remove_group(&group);
                Ok(!group.exists())
            })?;
        }
    }
    Ok(())
}

/// From the leaves up. The kernel refuses where there still is a process.
fn remove_group(group: &Path) {
    for entry in fs_err::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = fs_err::remove_dir(group);
}

/// A hierarchy in which control groups are made.
pub(super) fn any_hierarchy() -> anyhow::Result<PathBuf> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        return Ok(root.to_owned());
    }
    hierarchies()?.pop().with_context(|| format!("there is no hierarchy in {CGROUPS}"))
}

/// The hierarchies of version 1.
fn hierarchies() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = directories()?;
    found.retain(|path| path.join("tasks").is_file());
    Ok(found)
}

fn directories() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(CGROUPS)? {
        let entry = entry?;
        // Links such as `cpu` lead to directories such as `cpu,cpuacct`.
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}
