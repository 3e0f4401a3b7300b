//! The first process of a node: it arranges the namespaces it begins in, then supervises what runs
//! there.
//!
//! When it ends, however that happens, the kernel ends every process, mount and interface of the
//! node.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind,
    mount_change, move_mount, open_tree,
};

use super::build::Components;
use super::host::ip;
use super::layout::Layout;
use super::plan::{PREFIX, Plan};
use super::wait::wait_for;
use super::{daemons, supervisor};

/// kubelet sets these for the whole machine, and nobody would set them back. It reads before it
/// writes: so it is shown what it wants to see.
const SYSCTLS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];
/// kubelet, containerd, runc and the CNI plugins have paths below these compiled in. Mount points
/// made for them on the host would have to be removed by someone, which unmounts them for every
/// other cluster.
const PRIVATE: [&str; 3] = ["/run", "/var/log", "/var/lib"];
/// A bridge left to itself takes the lowest address of its ports; each new one leaves the others
/// asking for the old one for half a minute.
const SWITCH_ADDRESS: &str = "02:00:00:00:00:01";
const SWITCH: &str = "nodes";
const WIRE: &str = "eth0";

/// The hidden command. It does not return while the node lives.
pub(super) fn run(id: &str, directory: &Path, node: u8) -> anyhow::Result<ExitCode> {
    // The terminal and its signals are not for us. This fails where we lead a session already.
    let _ = rustix::process::setsid();
    let layout = Layout::at(directory)?;
    let plan = Plan::read(&layout.plan())?;
    ensure!(plan.id == id, "{} is of another cluster by now", directory.display());
    rustix::system::sethostname(format!("node{node}").as_bytes())?;
    arrange_mounts(&layout, node)?;
    arrange_network(&plan, node)?;

    let components = Components::locate()?;
    let mut all = Vec::new();
    if node == 1 {
        all.extend(daemons::control_plane(&layout, &plan, &components));
        all.extend(plan.each_node().skip(1).map(|node| daemons::node(&layout, &plan, node)));
    }
    all.extend(daemons::of_node(&layout, &plan, &components, node));
    supervisor::run(&layout, all)
}

fn arrange_mounts(layout: &Layout, node: u8) -> anyhow::Result<()> {
    mount("proc", "/proc", "proc", MountFlags::empty(), None)?;
    // kubelet and runc need to propagate mounts; as a slave of the host ours do not get out.
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    mount_change("/", shared)?;
    for path in PRIVATE {
        cover(Path::new(path), layout.root())?;
    }
    for name in ["kubelet", "cni"] {
        fs_err::create_dir(Path::new("/var/lib").join(name))?;
    }
    mount_bind(layout.node(node).join("kubelet"), "/var/lib/kubelet")?;
    for (name, wanted) in SYSCTLS {
        let system = Path::new("/proc/sys").join(name);
        if system.exists() {
            let shown = layout.node(node).join("sysctl").join(name.replace('/', "."));
            fs_err::write(&shown, format!("{wanted}\n"))?;
            mount_bind(&shown, &system)?;
        }
    }
    Ok(())
}

/// Puts an empty directory over `path`, in which the directory of the cluster is where it was.
fn cover(path: &Path, kept: &Path) -> anyhow::Result<()> {
    let is_below = kept.starts_with(path);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = is_below.then(|| open_tree(CWD, kept, flags)).transpose()?;
    mount("tmpfs", path, "tmpfs", MountFlags::empty(), Some(c"mode=755"))?;
    if let Some(tree) = tree {
        fs_err::create_dir_all(kept)?;
        move_mount(tree, "", CWD, kept, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    }
    Ok(())
}

fn arrange_network(plan: &Plan, node: u8) -> anyhow::Result<()> {
    wait_for("the link", Duration::from_secs(30), Path::new(""), || {
        let devices = fs_err::read_to_string("/proc/net/dev")?;
        Ok(devices.lines().any(|line| line.trim_start().starts_with("eth0:")))
    })?;
    ip(&["link", "set", "lo", "up"])?;
    let mut device = WIRE;
    if node == 1 && plan.nodes > 1 {
        // The first node is the switch between the host and the other nodes.
        ip(&["link", "add", SWITCH, "address", SWITCH_ADDRESS, "type", "bridge"])?;
        ip(&["link", "set", WIRE, "master", SWITCH])?;
        ip(&["link", "set", WIRE, "up"])?;
        device = SWITCH;
    }
    let address = format!("{}/{PREFIX}", plan.node(node));
    ip(&["address", "add", &address, "dev", device])?;
    ip(&["link", "set", device, "up"])?;
    for other in plan.each_node().filter(|other| *other != node) {
        ip(&["route", "add", &plan.pods(other), "via", &plan.node(other).to_string()])?;
    }
    if node == 1 {
        // There is no default route: nothing leaves the machine. But the packet to a service without endpoints has to be
        // routable, to reach the rule that says "connection refused"; else the kernel says "network unreachable".
        ip(&["route", "add", &plan.services(), "dev", device])?;
    }
    let network = Path::new("/proc/sys/net");
    // That packet would have left where it came in, and a redirect would use up the rate limit of the refusal.
    for interface in ["all", "default", device] {
        let file = format!("ipv4/conf/{interface}/send_redirects");
        fs_err::write(network.join(file), "0")?;
    }
    fs_err::write(network.join("ipv4/icmp_ratelimit"), "0")?;
    fs_err::write(network.join("ipv4/ip_forward"), "1")?;
    let filter = network.join("bridge/bridge-nf-call-iptables");
    if filter.exists() {
        fs_err::write(filter, "1")?;
    }
    Ok(())
}

/// Plugs another node into the switch, with the node's first process as this namespace knows it.
pub(super) fn plug(node: u8, first: rustix::process::Pid) -> anyhow::Result<()> {
    let port = format!("w{node}");
    // That of a node that ended goes with its namespace, some time later.
    let _ = ip(&["link", "delete", &port]);
    let pid = first.as_raw_nonzero().to_string();
    ip(&["link", "add", &port, "type", "veth", "peer", "name", WIRE, "netns", &pid])?;
    ip(&["link", "set", &port, "master", SWITCH])?;
    ip(&["link", "set", &port, "up"])
}
