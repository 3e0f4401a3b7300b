//! What becomes of a connection that is open when the way breaks.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::mpsc::channel;
use std::time::Duration;

use testkit::Machine;

use crate::probing::now;
use crate::report::Report;
use crate::tool::{TOOLS, Tool};
use crate::world::{LOCAL, World};

/// Longer than this no end is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a link is down.
const DOWN: Duration = Duration::from_secs(10);

/// How long after that a connection must have shown that it goes on.
const AFTER: Duration = Duration::from_secs(8);

pub(crate) fn measure(report: &mut Report, runs: usize, is_wanted: impl Fn(&str) -> bool) {
    if !is_wanted("open connections") {
        return;
    }
    for _ in 0..runs {
        for tool in TOOLS {
            told(
                report,
                tool,
                "default",
                "open connections: told of a silent peer",
            );
        }
        let name = "open connections: told of a silent peer, fast profile";
        told(report, Tool::Hubctl, "fast", name);
        for tool in TOOLS {
            survived(report, tool);
        }
    }
}

/// How soon a client learns that nothing comes back any more.
fn told(report: &mut Report, tool: Tool, profile: &str, name: &str) {
    let world = World::new();
    let _running = tool.start_with(&world, profile);
    let stay = stay(&world);
    let begin = now();
    for machine in [Machine::Client, Machine::Server] {
        world.network.deafen(machine).unwrap();
    }
    report.seconds(name, tool, ended(stay, LIMIT).map(|at| (at - begin) / 1e3));
}

fn survived(report: &mut Report, tool: Tool) {
    let world = World::new();
    let _running = tool.start(&world);
    let stay = stay(&world);
    world.network.plug(false).unwrap();
    std::thread::sleep(DOWN);
    world.network.plug(true).unwrap();
    let survived = if ended(stay, AFTER).is_none() {
        1.0
    } else {
        0.0
    };
    report.number(
        "open connections: survive a link that is down for 10 s",
        tool,
        survived,
    );
}

/// A connection that has been open for some seconds.
fn stay(world: &World) -> Child {
    let client = world.client();
    client.steady(Duration::from_secs(3));
    drop(client);
    let stay = world.play(Machine::Client, &["stay", &LOCAL.to_string()]);
    std::thread::sleep(Duration::from_secs(1));
    stay
}

/// When it ended, if it did within this time.
fn ended(mut stay: Child, limit: Duration) -> Option<f64> {
    let mut output = BufReader::new(stay.stdout.take().unwrap());
    let (sender, line) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = output.read_line(&mut line);
        let _ = sender.send(line);
    });
    let line = line.recv_timeout(limit).ok();
    let _ = stay.kill();
    let _ = stay.wait();
    line?.trim().parse().ok()
}
