//! The weight of a supervisor of twenty tunnels while nothing happens.

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;

use testkit::Machine;

use super::report::Report;
use super::tool::{Running, Tool, configuration};
use super::world::World;

const TUNNELS: u16 = 20;
const IDLE: Duration = Duration::from_secs(30);

pub(crate) fn measure(report: &mut Report, is_wanted: impl Fn(&str) -> bool) {
    if !is_wanted("weight of twenty tunnels") {
        return;
    }
    let world = World::new();
    fs_err::write(world.path("hubctl.toml"), configuration(&world, TUNNELS, "default")).unwrap();
    let client = world.client();
    let mut command = world.command(Machine::Client, crate::hubctl());
    command.arg("--config").arg(world.path("hubctl.toml")).args(["tunnel", "run"]);
    let child = command.stdout(Stdio::null()).process_group(0).spawn().unwrap();
    let running = Running { world: &world, child };
    client.steady(Duration::from_secs(5));
    drop(client);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(world.processes("ssh").len(), usize::from(TUNNELS));
    let pid = running.child.id();
    let before = processor_seconds(pid);
    std::thread::sleep(IDLE);
    let used = processor_seconds(pid) - before;
    report.number("memory of the supervisor of 20 tunnels, MiB", Tool::Hubctl, resident_mib(pid));
    report.number(
        "processor used by it when idle, %",
        Tool::Hubctl,
        used / IDLE.as_secs_f64() * 100.0,
    );
}

/// proc(5): user and system time are the 12th and 13th fields after the name, in hundredths of a
/// second.
fn processor_seconds(pid: u32) -> f64 {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

fn resident_mib(pid: u32) -> f64 {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
