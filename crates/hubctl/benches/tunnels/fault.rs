//! How soon bytes flow again after a fault, and how soon it is noticed.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testkit::{Machine, Signal, signal};

use crate::probing::{Seen, now};
use crate::report::Report;
use crate::tool::{TOOLS, Tool};
use crate::world::World;

/// Longer than this no tool is waited for.
const LIMIT: Duration = Duration::from_secs(90);

/// What is done to the world; the moment it ends is when recovery begins.
#[derive(Clone, Copy)]
enum Fault {
    SessionKilled,
    Away(u64),
    Dropped(u64),
    NewAddress,
    SshFrozen,
}

impl Fault {
    fn name(self) -> String {
        match self {
            Self::SessionKilled => "server process killed".to_owned(),
            Self::Away(seconds) => format!("sshd away for {seconds} s"),
            Self::Dropped(seconds) => format!("packets dropped for {seconds} s"),
            Self::NewAddress => "new address of the client".to_owned(),
            Self::SshFrozen => "ssh frozen".to_owned(),
        }
    }

    /// Does it, and tells the moment it was over.
    fn strike(self, world: &World) -> f64 {
        let wait = |seconds| std::thread::sleep(Duration::from_secs(seconds));
        match self {
            Self::SessionKilled => {
                let begin = now();
                world.sshd.borrow().kill_sessions();
                begin
            }
            Self::Away(seconds) => {
                world.sshd.borrow_mut().stop();
                wait(seconds);
                world.sshd.borrow_mut().resume().unwrap();
                now()
            }
            Self::Dropped(seconds) => {
                for machine in [Machine::Client, Machine::Server] {
                    world.network.deafen(machine).unwrap();
                }
                wait(seconds);
                for machine in [Machine::Client, Machine::Server] {
                    world.network.hear(machine).unwrap();
                }
                now()
            }
            Self::NewAddress => {
                let begin = now();
                world.network.move_client().unwrap();
                begin
            }
            Self::SshFrozen => {
                let begin = now();
                for pid in world.processes("ssh") {
                    signal(pid, Signal::STOP);
                }
                begin
            }
        }
    }
}

pub(crate) fn measure(
    report: &mut Report,
    runs: usize,
    short: bool,
    is_wanted: impl Fn(&str) -> bool,
) {
    let mut faults = vec![
        Fault::SessionKilled,
        Fault::Away(1),
        Fault::Away(10),
        Fault::Dropped(2),
        Fault::Dropped(9),
        Fault::Dropped(20),
        Fault::NewAddress,
        Fault::SshFrozen,
    ];
    if !short {
        faults.extend([Fault::Away(60), Fault::Dropped(60)]);
    }
    for fault in faults.into_iter().filter(|fault| is_wanted(&fault.name())) {
        for tool in TOOLS {
            // None of the others ever notices, as was seen by hand; each would take the limit.
            if matches!(fault, Fault::SshFrozen) && tool != Tool::Hubctl {
                continue;
            }
            for _ in 0..runs {
                recover(report, fault, tool);
            }
        }
    }
    if is_wanted("noticed") {
        for _ in 0..runs {
            notice(report);
        }
    }
}

fn recover(report: &mut Report, fault: Fault, tool: Tool) {
    let world = World::new();
    let client = world.client();
    let _running = tool.start(&world);
    let (recovered, starts) = struck(&world, &client, fault);
    report.seconds(&fault.name(), tool, recovered.map(|ms| ms / 1e3));
    if let Fault::Away(seconds) | Fault::Dropped(seconds) = fault
        && seconds >= 10
    {
        let minutes = seconds as f64 / 60.0;
        report.number(
            &format!("ssh started per minute, {}", fault.name()),
            tool,
            starts as f64 / minutes,
        );
    }
}

fn struck(world: &World, client: &Seen, fault: Fault) -> (Option<f64>, usize) {
    client.steady(Duration::from_secs(3));
    let before = world.starts();
    let over = fault.strike(world);
    let starts = world.starts() - before;
    (client.first_after(over, LIMIT), starts)
}

/// How soon a line of `status --watch` says that it is not up: only hubctl has such a thing.
fn notice(report: &mut Report) {
    let world = World::new();
    let client = world.client();
    let _running = Tool::Hubctl.start(&world);
    client.steady(Duration::from_secs(3));
    let mut watch = world.command(Machine::Client, env!("CARGO_BIN_EXE_hubctl"));
    watch.arg("--config").arg(world.path("hubctl.toml"));
    let mut watch = watch
        .args(["tunnel", "status", "--watch", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut until = |is: &dyn Fn(&str) -> bool| loop {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if is(line["state"].as_str().unwrap()) {
            return now();
        }
    };
    until(&|state| state == "up");
    let mut noticed = |name: &str, strike: &dyn Fn(), mend: &dyn Fn()| {
        let begin = now();
        strike();
        let after = until(&|state| state != "up") - begin;
        report.seconds(&format!("noticed: {name}"), Tool::Hubctl, Some(after / 1e3));
        mend();
        until(&|state| state == "up");
    };
    noticed(
        "server process killed",
        &|| assert!(world.sshd.borrow().kill_sessions() > 0),
        &|| {},
    );
    noticed(
        "silent peer",
        &|| world.network.deafen(Machine::Client).unwrap(),
        &|| world.network.hear(Machine::Client).unwrap(),
    );
    noticed(
        "somebody else answers",
        &|| world.identify("hub-2"),
        &|| world.identify("hub-1"),
    );
    let _ = watch.kill();
    let _ = watch.wait();
}
